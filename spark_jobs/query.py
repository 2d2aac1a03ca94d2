"""Answers a SQL query: ``spark-submit query.py --sql "SELECT ..."``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from darkroom.contract import DarkroomError, Workspace
from darkroom.sql.query import answer, check_deployed
from darkroom.stages.session import start_session


@click.command()
@click.option("--sql", required=True, help="One SQL statement.")
@click.option(
    "--workspace",
    type=click.Path(path_type=Path),
    envvar="DARKROOM_WORKSPACE",
    default="workspace",
    show_default=True,
    help="Folder of all tables, models and reports.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Most rows to show."
)
@click.option(
    "--format", "kind", type=click.Choice(["table", "json"]), default="table", show_default=True
)
def main(sql: str, workspace: Path, limit: int, kind: str) -> None:
    """Runs one SQL statement with all deployed functions and views at hand."""
    place = Workspace(workspace)
    try:
        check_deployed(place)
        click.echo(answer(start_session("query"), place, sql, limit).render(kind))
    except DarkroomError as error:
        click.echo(f"error: {error}", err=True)
        sys.stdout.flush()
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
