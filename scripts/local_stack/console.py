"""What people see: 80 columns, plain text when nobody watches."""

from __future__ import annotations

import textwrap
import traceback
from collections.abc import Iterable, Sequence

import click

WIDTH = 80
_INDENT = "  "


def title(text: str) -> None:
    """The first line of a command."""
    click.echo()
    click.echo(click.style(text, bold=True))


def step(number: int, text: str) -> None:
    """The headline of a step."""
    click.echo()
    click.echo(click.style(f"[{number}] {text}", fg="cyan", bold=True))


def line(text: str = "") -> None:
    """Indented text, wrapped at 80 columns."""
    click.echo(_wrapped(text, _INDENT, _INDENT))


def markdown(text: str) -> None:
    """Indented Markdown, wrapped at 80 columns; tables and lone links stay as they are."""
    for each in text.splitlines():
        item = each.startswith("* ")
        whole = each.startswith("|") or (item and " " not in each.removeprefix("* "))
        hanging = _INDENT + ("  " if item else "")
        click.echo(_INDENT + each if whole else _wrapped(each, _INDENT, hanging))


def verbatim(text: str) -> None:
    """Indented text that is never wrapped: commands, SQL, addresses."""
    click.echo(textwrap.indent(text, _INDENT))


def note(text: str) -> None:
    """Something of lesser weight."""
    click.echo(click.style(textwrap.fill(text, WIDTH), dim=True))


def error(text: str) -> None:
    """One line on what is wrong, on the error stream; never wrapped."""
    click.echo(f"{click.style('error:', fg='red', bold=True)} {text}", err=True)


def unexpected(problem: Exception) -> None:
    """An error that nobody foresaw: with its traceback."""
    traceback.print_exception(problem)
    error(f"unexpected {type(problem).__name__}: {problem}")


def stage(name: str, seconds: float, summary: str, state: str = "success") -> None:
    """One line per finished stage: name, wall seconds, summary; wrapped under the summary."""
    colour = {"success": "green", "skipped": "yellow"}.get(state, "red")
    head = f"{name:<10}{seconds:7.1f} s  "
    body = textwrap.wrap(summary, WIDTH - len(_INDENT) - len(head)) or [""]
    click.echo(f"{_INDENT}{click.style(head, fg=colour)}{body[0]}")
    for further in body[1:]:
        click.echo(f"{_INDENT}{' ' * len(head)}{further}")


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table whose last column is cut where the line ends."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(r[i]) for r in [list(headers), *cells]) for i in range(len(headers))]
    for number, row in enumerate([list(headers), *cells]):
        padded = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        text = f"{_INDENT}{padded}".rstrip()
        text = text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."
        click.echo(click.style(text, bold=True) if number == 0 else text)


def finding(kind: str, what: str, detail: str) -> None:
    """Something found, and on the next lines what there is to say about it."""
    margin = " " * (len(_INDENT) + 16)
    click.echo(f"{_INDENT}{click.style(f'{kind:<15}', fg='yellow')} {what}")
    click.echo(textwrap.fill(detail, WIDTH, initial_indent=margin, subsequent_indent=margin))


def _wrapped(text: str, first: str, other: str) -> str:
    """Wrapped between words alone: an address, a digest or a run's id stays whole."""
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=other,
        break_long_words=False,
        break_on_hyphens=False,
    )
