"""Writes a pipeline's expectations from its accepted images: ``profile_images.py --help``."""

from __future__ import annotations

from pathlib import Path

import click

from darkroom.contract import Workspace
from darkroom.stages.command import load_config
from darkroom.stages.profile import PROFILED, check_target, write_expectations
from darkroom.stages.script import one_line_errors, say, workspace_option
from darkroom.stages.session import start_session


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    required=True,
    help="The pipeline's YAML file.",
)
@workspace_option
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="The file to write; by default the one that the pipeline reads.",
)
@click.option("--overwrite", is_flag=True, help="Replace a file that is there, edits and all.")
def main(config: Path, workspace: Path, output: Path | None, overwrite: bool) -> None:
    """Derives expectations from the accepted images of a pipeline."""
    with one_line_errors(f"{PROFILED}: error"):
        pipeline = load_config(config)
        file = check_target(pipeline, output, overwrite=overwrite)
        spark = start_session(f"{pipeline.name} profile")
        try:
            say(write_expectations(spark, pipeline, Workspace(workspace), file))
        finally:
            spark.stop()


if __name__ == "__main__":
    main()
