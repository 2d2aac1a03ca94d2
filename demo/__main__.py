"""Command line of the generator: ``python -m demo --output DIR``."""

from __future__ import annotations

import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import click

from demo.generate import generate, usable_cores
from demo.parameters import MAX_DIFFICULTY, DemoError, DemoParameters


@click.command(help="Generates a class-per-folder tree of traffic-sign photographs.")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="Root of the tree.")
@click.option("--images", default=DemoParameters.images, show_default=True, help="Photographs.")
@click.option("--seed", default=DemoParameters.seed, show_default=True, help="0 or more.")
@click.option(
    "--difficulty",
    default=DemoParameters.difficulty,
    show_default=True,
    help=f"Scales every perturbation, 0 to {MAX_DIFFICULTY:g}.",
)
@click.option(
    "--defects/--no-defects",
    default=DemoParameters.defects,
    help="Plant a handful of unreadable and odd files.",
    show_default=True,
)
@click.option("--processes", type=click.IntRange(min=1), help="Usable cores when left out.")
def main(
    output: Path, images: int, seed: int, difficulty: float, defects: bool, processes: int | None
) -> None:
    """Entry point of the command."""
    try:
        parameters = DemoParameters(images, seed, difficulty, defects)
        click.echo(f"{output}: {images} photographs, {processes or usable_cores()} processes")
        summary = generate(output, parameters, processes, _progress)
    except DemoError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"cannot write {output}: {error}") from None
    except BrokenProcessPool:
        raise click.ClickException(
            "a worker process was killed, perhaps for memory: try again with --processes 1"
        ) from None
    click.echo(f"{output}: {summary}")


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{done}/{total} photographs", nl=done == total, err=True)


if __name__ == "__main__":
    main()
