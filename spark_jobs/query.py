"""Answers a SQL query: ``spark-submit query.py --sql "SELECT ..."``."""

from __future__ import annotations

from pathlib import Path

import click

from darkroom.contract import Workspace
from darkroom.sql.query import answer, check_deployed
from darkroom.stages.script import one_line_errors, workspace_option
from darkroom.stages.session import start_session


@click.command()
@click.option("--sql", required=True, help="One SQL statement.")
@workspace_option
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Most rows to show."
)
@click.option(
    "--format", "kind", type=click.Choice(["table", "json"]), default="table", show_default=True
)
def main(sql: str, workspace: Path, limit: int, kind: str) -> None:
    """Runs one SQL statement with all deployed functions and views at hand."""
    place = Workspace(workspace)
    with one_line_errors():
        check_deployed(place)
        click.echo(answer(start_session("query"), place, sql, limit).render(kind))


if __name__ == "__main__":
    main()
