"""Promotes in a process of its own: ``promote_process.py WORKSPACE PIPELINE RUN OPTIONS HOW``.

OPTIONS are the stage's, as JSON. HOW is ``die=N``: SIGKILL before the N-th write, counted from 0;
or ``ready=FILE``: wait before the first write until the file is there; or nothing.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from darkroom.contract import DarkroomError, Workspace
from darkroom.registry.ledger import Ledger
from darkroom.registry.versions import Registry
from darkroom.stages.promote import promote
from darkroom.stages.run import StageRun
from tests.integration.spark_env.colour_model import config

WRITES = ((Ledger, "append"), (Registry, "point"), (Registry, "clear"), (Registry, "follow_entry"))


def main(workspace: str, pipeline: str, run_id: str, options: str, how: str) -> None:
    """Runs the stage once and prints its summary, or the one line of its failure."""
    place = Workspace(Path(workspace))
    kind, _, value = how.partition("=")
    if kind == "die":
        before_each_write(_deadly(int(value)))
    elif kind == "ready":
        before_each_write(_patient(Path(value), run_id))
    run = StageRun(folder=place.run(pipeline, run_id), options=json.loads(options))
    try:
        print(promote(config(pipeline), place, run).summary)  # noqa: T201 - the test reads it
    except DarkroomError as error:
        print(error)  # noqa: T201 - the test reads it
        sys.exit(error.exit_code)


def before_each_write(hook: Callable[[], None]) -> None:
    """Calls something before everything that a promotion writes."""
    for owner, name in WRITES:
        setattr(owner, name, _after(hook, getattr(owner, name)))


def _after(hook: Callable[[], None], write: Any) -> Any:
    def hooked(*arguments: Any, **named: Any) -> Any:
        hook()
        return write(*arguments, **named)

    return hooked


def _deadly(number: int) -> Callable[[], None]:
    writes = iter(range(number + 1))

    def hook() -> None:
        if next(writes) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    return hook


def _patient(ready: Path, run_id: str) -> Callable[[], None]:
    def hook() -> None:
        ready.with_name(f"{ready.name}.{run_id}").touch()
        deadline = time.monotonic() + 120
        while not ready.exists() and time.monotonic() < deadline:
            time.sleep(0.02)

    return hook


if __name__ == "__main__":
    main(*sys.argv[1:])
