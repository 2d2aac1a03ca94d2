"""Shows in Airflow's UI how far a running stage is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from airflow.sdk.types import Logger

PROGRESS: Final = "progress"
"""XCom key of the last line that a stage said about how far it is."""

PROGRESS_SECONDS: Final = 5.0


@contextmanager
def followed(file: Path, push: Callable[[str], None], log: Logger) -> Iterator[None]:
    """Pushes what a stage writes into its progress file, as long as the block runs.

    A line that cannot be pushed is a warning and is left out: the stage matters more.

    Args:
        file: See `darkroom.contract.RunFolder.progress_file`; removed first, for it may be of an
            earlier try.
        push: Takes a line; called in another thread, and only when the line has changed.
        log: The task's.
    """
    over = threading.Event()

    def follow() -> None:
        last = ""
        while not over.wait(PROGRESS_SECONDS):
            try:
                line = file.read_text() if file.exists() else ""
                if line != last:
                    last = line
                    push(line)
            except Exception as error:
                log.warning("progress is not shown: %s: %s", type(error).__name__, error)

    file.unlink(missing_ok=True)
    follower = threading.Thread(target=follow, name="stage-progress", daemon=True)
    follower.start()
    try:
        yield
    finally:
        over.set()
        follower.join()
