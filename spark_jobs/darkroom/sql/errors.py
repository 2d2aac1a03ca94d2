"""Spark's errors in one line."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

_SQL_STATE = re.compile(r"\s*SQLSTATE: \w+;?")
_NAME_OF_MISSING = {
    "UNRESOLVED_ROUTINE": "routineName",
    "TABLE_OR_VIEW_NOT_FOUND": "relationName",
}


def one_line(error: PySparkException, spark: SparkSession) -> str:
    """Says in one line what is wrong with a query.

    Args:
        error: What Spark raised.
        spark: The session; asked for names that resemble an unknown one.

    Returns:
        The line, without a final full stop where a suggestion follows.
    """
    condition = error.getCondition() or ""
    parameter = _NAME_OF_MISSING.get(condition)
    if parameter:
        name = (error.getMessageParameters() or {}).get(parameter, "").strip("`")
        return _missing(condition, name, spark)
    return first_line(str(error), from_worker=type(error).__name__ == "PythonException")


def first_line(message: str, *, from_worker: bool = False) -> str:
    """Picks the line that matters.

    Args:
        message: Spark's message: the reason first, then plans and stack traces.
        from_worker: True when it is the traceback of a Python worker: the reason comes last.

    Returns:
        One line without Spark's SQLSTATE codes.
    """
    reason = message.split("\n== SQL", 1)[0]
    lines = [_SQL_STATE.sub("", line).strip() for line in reason.splitlines()]
    telling = [line for line in lines if line]
    if not telling:
        return "Spark gave no reason"
    return telling[-1] if from_worker else telling[0].rstrip(";")


def _missing(condition: str, name: str, spark: SparkSession) -> str:
    if condition == "TABLE_OR_VIEW_NOT_FOUND":
        tables = [table.name for table in spark.catalog.listTables()]
        return _unknown("table or view", name, _near(name, tables))
    # Deployed functions come first: among Spark's hundreds of its own, some always look alike.
    near = _near(name, _functions(spark, "USER")) or _near(name, _functions(spark, "SYSTEM"))
    return _unknown("function", name, near)


def _functions(spark: SparkSession, kind: str) -> list[str]:
    rows = spark.sql(f"SHOW {kind} FUNCTIONS").collect()
    return [row["function"].rpartition(".")[2] for row in rows]


def _near(name: str, known: list[str]) -> list[str]:
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.6)
    # A function stands for its companions, such as f_top beside f.
    return [one for one in near if not any(one.startswith(f"{other}_") for other in near)]


def _unknown(kind: str, name: str, near: list[str]) -> str:
    suggestion = f": did you mean {' or '.join(near)}?" if near else ""
    return f"unknown {kind} {name}{suggestion}"
