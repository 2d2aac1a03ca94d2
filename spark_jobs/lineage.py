"""Which images trained a model version: ``python spark_jobs/lineage.py --help``."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import click

from darkroom.contract import Workspace
from darkroom.lake import Lake
from darkroom.registry.lineage import TAGGED, Lineage, TrainedOn, trained_on
from darkroom.stages.script import one_line_errors, say, workspace_option

FIRST = 10
"""Images that are listed unless all are asked for."""

DIGITS = 12
"""Digits of their ids then, so that a line holds a path as well."""


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
            say(f"all {found.total:,} images: {output}")
        elif everything:
            _list(found)
        else:
            _list_first(found)


def _show(found: Lineage) -> None:
    say(
        f"{found.pipeline} version {found.version} (model {found.model}) was trained on "
        f"{found.total:,} images"
    )
    for table in TAGGED:
        when = f"{found.committed_at(table):%Y-%m-%d %H:%M:%S} UTC"
        snapshot = f"{found.pipeline}.{table}, snapshot {found.snapshots[table]} of {when}"
        say(snapshot, indent="  ")
    for label, number in found.classes.items():
        click.echo(f"  {number:>9,}  {_printable(label)}")


def _list(found: Lineage) -> None:
    click.echo(f"{found.total:,} images:")
    for image in found.images():
        click.echo(f"  {image.image_id}  {_printable(_where(image))}")


def _list_first(found: Lineage) -> None:
    shown = min(FIRST, found.total)
    say(
        f"{shown:,} of {found.total:,} images; --all lists them all, OUTPUT=images.csv writes them:"
    )
    for image in islice(found.images(), shown):
        click.echo(f"  {image.image_id[:DIGITS]}  {_printable(_where(image))}")


def _where(image: TrainedOn) -> str:
    return f"{image.root}/{image.path}" if image.root else image.path


def _printable(text: str) -> str:
    """A path may hold what a terminal takes for a command."""
    return "".join(one if one.isprintable() else "?" for one in text)


if __name__ == "__main__":
    main()
