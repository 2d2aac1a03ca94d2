"""How far a search is: in Spark's job descriptions, and told now and then."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from pyspark import SparkContext

PROGRESS_SECONDS: Final = 5.0
_PROPERTIES: Final = ("spark.jobGroup.id", "spark.job.description")


class State(NamedTuple):
    """How far a search is.

    Attributes:
        done: Fits done.
        total: Fits in all.
        words: More to say.
    """

    done: int
    total: int
    words: str


@contextmanager
def watched(
    context: SparkContext,
    description: str,
    state: Callable[[], State],
    tell: Callable[[str], None],
) -> Iterator[None]:
    """Describes the jobs started inside, and tells how much of their work is done.

    Args:
        context: Runs the jobs.
        description: For Spark's pages, and before what is told.
        state: Called now and then.
        tell: Is told one line every `PROGRESS_SECONDS`, and at the end.
    """
    over, begun = threading.Event(), time.monotonic()
    before = state().done

    def say() -> None:
        done, total, more = state()
        words = [f"{description}: {done} of {total} fits done", more]
        if before < done < total:
            seconds = (time.monotonic() - begun) / (done - before) * (total - done)
            words.append(f"about {seconds:,.0f} s left")
        tell(", ".join(words))

    def watch() -> None:
        while not over.wait(PROGRESS_SECONDS):
            say()

    watcher = threading.Thread(target=watch, name="tuning-progress", daemon=True)
    earlier = {name: context.getLocalProperty(name) for name in _PROPERTIES}
    context.setJobGroup(f"tuning-{uuid.uuid4()}", description)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        for name, value in earlier.items():
            # PySpark's stubs do not know that None takes a property away.
            context.setLocalProperty(name, value)  # type: ignore[arg-type]
    say()
