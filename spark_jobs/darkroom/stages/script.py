"""What the scripts beside the stages share: the workspace's option, and errors in one line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from darkroom.contract import DarkroomError

workspace_option = click.option(
    "--workspace",
    type=click.Path(path_type=Path),
    envvar="DARKROOM_WORKSPACE",
    default="workspace",
    show_default=True,
    help="Folder of all tables, models and reports.",
)
"""Decorator of a command: its argument ``workspace`` is a Path."""


@contextmanager
def one_line_errors(label: str = "error") -> Iterator[None]:
    """Ends the process with a `DarkroomError`'s line and exit code.

    Args:
        label: What the line begins with.
    """
    try:
        yield
    except DarkroomError as error:
        click.echo(f"{label}: {error}", err=True)
        sys.stdout.flush()
        sys.exit(error.exit_code)
