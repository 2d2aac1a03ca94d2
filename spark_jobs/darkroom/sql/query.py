"""Answers one SQL query over the deployed functions and views."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from darkroom.contract import DarkroomError, ExitCode, MissingInputError, Workspace
from darkroom.lake import Lake
from darkroom.sql.deployments import deployed
from darkroom.sql.errors import one_line
from darkroom.sql.functions import register_functions
from darkroom.sql.rendering import as_json, as_table
from darkroom.sql.views import create_views

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class QueryError(DarkroomError):
    """The SQL text is wrong, or cannot be answered."""

    exit_code = ExitCode.CONFIG
    permanent = True


@dataclass(frozen=True)
class Answer:
    """What a query returned.

    Attributes:
        columns: Column names.
        rows: One tuple of Python values per row.
        more: True when there are more rows than were asked for.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    more: bool

    def render(self, kind: str) -> str:
        """Text of the rows: ``kind`` is table or json."""
        if kind == "json":
            return as_json(self.columns, self.rows)
        if not self.columns:
            return "done"
        count = f"{len(self.rows):,} row{'' if len(self.rows) == 1 else 's'}"
        note = f"{count}, and there are more: raise --limit" if self.more else count
        return f"{as_table(self.columns, self.rows)}\n({note})"


def check_deployed(workspace: Workspace) -> None:
    """Refuses a workspace without a single function; needs no Spark.

    Raises:
        MissingInputError: Nothing is deployed.
    """
    if not workspace.root.is_dir() or not deployed(Lake(workspace)):
        raise MissingInputError(
            f"no function is deployed in workspace {workspace.root}: run make demo, or train a "
            "pipeline of your own and approve its candidate (make run), then ask again"
        )


def answer(spark: SparkSession, workspace: Workspace, sql: str, limit: int) -> Answer:
    """Runs one SQL statement with all deployed functions and views at hand.

    Args:
        spark: The session.
        workspace: Where the models are deployed.
        sql: One statement.
        limit: Most rows to return, at least 1; functions run on no more rows than that needs.

    Returns:
        The answer.

    Raises:
        QueryError: Spark refuses the statement or fails to answer it: one line.
        MissingInputError: A deployed model's file is missing.
    """
    from pyspark.errors import PySparkException

    register_functions(spark, workspace)
    create_views(spark, workspace)
    # Spark would repeat every mistake in a query as JSON and as a stack trace.
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)
    spark.sparkContext.setLogLevel("OFF")
    try:
        frame = spark.sql(sql)
        rows = [tuple(row) for row in frame.limit(limit + 1).collect()]
    except PySparkException as error:
        raise QueryError(f"SQL: {one_line(error, spark)}") from None
    return Answer(tuple(frame.columns), tuple(rows[:limit]), more=len(rows) > limit)
