"""Work in Spark tasks, some of which may take their worker process with them.

A Python worker that is killed, most often for its memory, fails the task, and with it the job: at
once where a task has one attempt only, as in ``local[*]``. What its neighbours had under way is
lost as well. Tasks that store their results at once lose nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException

from darkroom.contract import one_line

Item = TypeVar("Item")
Result = TypeVar("Result")

TOGETHER: Final = 2
"""Times that items are tried in one job; what then is left is tried alone, to tell which one it is
that kills its worker."""

REASON_LENGTH: Final = 200
_TRACEBACK: Final = "Traceback (most recent call last):"

log = logging.getLogger(__name__)


def run_all(
    items: Sequence[Item],
    run: Callable[[Sequence[Item]], Mapping[Item, Result]],
    stored: Callable[[Sequence[Item]], Mapping[Item, Result]],
) -> tuple[dict[Item, Result], dict[Item, str]]:
    """Runs jobs until every item has a result or has failed a job of its own.

    Args:
        items: What to do; hashable, all different.
        run: Runs one job with a task for each item.
        stored: The results that tasks of a job stored before it failed.

    Returns:
        The results, and for items without one what Spark said, one line.
    """
    results: dict[Item, Result] = {}
    lost: dict[Item, str] = {}

    def attempt(some: Sequence[Item]) -> str | None:
        try:
            results.update(run(some))
        except (Py4JJavaError, PySparkException) as error:
            results.update(stored(some))
            return _cause(error)
        return None

    for _ in range(TOGETHER):
        missing = [item for item in items if item not in results]
        reason = attempt(missing) if missing else None
        if reason is not None:
            log.warning("a worker was lost, what it left unfinished is tried again: %s", reason)
    for item in [item for item in items if item not in results]:
        reason = attempt([item])
        if item not in results:
            lost[item] = f"its worker was lost: {reason}"
    return results, lost


def _cause(error: Exception) -> str:
    """What Spark says of a failed job, without where."""
    java = getattr(error, "java_exception", None)
    text = str(error) if java is None else str(java.getMessage())
    first, *more = text.splitlines()
    if first.endswith(_TRACEBACK):
        # Of a Python traceback the line that is not indented says what was raised.
        first = next((line for line in more if line and not line[0].isspace()), first)
    return one_line(first, limit=None).rpartition("Exception: ")[2].rstrip(" :")[:REASON_LENGTH]
