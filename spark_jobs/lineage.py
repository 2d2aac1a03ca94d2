"""Which images trained a model version: ``python spark_jobs/lineage.py --help``."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import click

from darkroom.contract import Workspace
from darkroom.lake import Lake
from darkroom.registry.lineage import TAGGED, Lineage, TrainedOn, trained_on
from darkroom.stages.script import one_line_errors, workspace_option

FIRST = 10
"""Images that are listed unless all are asked for."""


@click.command()
@click.option("--pipeline", required=True, help="The pipeline's name, which is the model's.")
@click.option("--version", required=True, help="The model's version in the registry.")
@click.option("--model", help="First digits of its SHA-256, where a number was given twice.")
@click.option("--all", "everything", is_flag=True, help="List every image.")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Write every image to this CSV file."
)
@workspace_option
def main(
    pipeline: str,
    version: str,
    model: str | None,
    everything: bool,
    output: Path | None,
    workspace: Path,
) -> None:
    """Prints which images trained a version: their classes, their tables, and the first of them."""
    with one_line_errors():
        found = trained_on(Lake(Workspace(workspace)), pipeline, version, model)
        _show(found)
        if output:
            found.write(output)
            click.echo(f"all {found.total:,} images: {output}")
        else:
            _list(found, found.total if everything else FIRST)


def _show(found: Lineage) -> None:
    click.echo(
        f"{found.pipeline} version {found.version} (model {found.model}) was trained on "
        f"{found.total:,} images"
    )
    for table in TAGGED:
        when = f"{found.committed_at(table):%Y-%m-%d %H:%M:%S} UTC"
        click.echo(f"  {found.pipeline}.{table}, snapshot {found.snapshots[table]} of {when}")
    for label, number in found.classes.items():
        click.echo(f"  {number:>9,}  {_printable(label)}")


def _list(found: Lineage, most: int) -> None:
    shown = min(most, found.total)
    rest = "" if shown == found.total else f" of {found.total:,}; --all lists them all"
    click.echo(f"{shown:,} images{rest}:")
    for image in islice(found.images(), most):
        click.echo(f"  {image.image_id}  {_printable(_where(image))}")


def _where(image: TrainedOn) -> str:
    return f"{image.root}/{image.path}" if image.root else image.path


def _printable(text: str) -> str:
    """A path may hold what a terminal takes for a command."""
    return "".join(one if one.isprintable() else "?" for one in text)


if __name__ == "__main__":
    main()
