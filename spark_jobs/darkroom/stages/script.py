"""What the scripts beside the stages share: the workspace's option, and how they speak."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

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


_COLUMNS: Final = 80


def say(text: str, indent: str = "") -> None:
    """Prints a text for a terminal of 80 columns; only what has no space is ever longer.

    Args:
        text: One paragraph.
        indent: What each line begins with; those after the first one get two spaces more.
    """
    lines = textwrap.wrap(
        text,
        _COLUMNS,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    click.echo("\n".join(lines))


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
