"""Writes a pipeline's expectations from its accepted images: ``profile_images.py --help``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from darkroom.contract import DarkroomError, Workspace
from darkroom.stages.command import load_config
from darkroom.stages.profile import PROFILED, check_target, write_expectations
from darkroom.stages.session import start_session


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    required=True,
    help="The pipeline's YAML file.",
)
@click.option(
    "--workspace",
    type=click.Path(path_type=Path),
    envvar="DARKROOM_WORKSPACE",
    default="workspace",
    show_default=True,
    help="Folder of all tables, models and reports.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="The file to write; by default the one that the pipeline reads.",
)
@click.option("--overwrite", is_flag=True, help="Replace a file that is there, edits and all.")
def main(config: Path, workspace: Path, output: Path | None, overwrite: bool) -> None:
    """Derives expectations from the accepted images of a pipeline."""
    try:
        pipeline = load_config(config)
        file = check_target(pipeline, output, overwrite=overwrite)
        spark = start_session(f"{pipeline.name} profile")
        try:
            click.echo(write_expectations(spark, pipeline, Workspace(workspace), file))
        finally:
            spark.stop()
    except DarkroomError as error:
        click.echo(f"{PROFILED}: error: {error}", err=True)
        sys.stdout.flush()
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
