"""Options that several stages have, read from the command line's texts."""

from __future__ import annotations

import datetime as dt
from typing import Final

from darkroom.contract import ConfigError
from darkroom.stages.run import StageRun

NOW: Final = "now"


def moment_of(run: StageRun, option: str) -> dt.datetime | None:
    """A moment in ISO 8601 with a time zone; None for `NOW`.

    Raises:
        ConfigError: It is neither.
    """
    text = run.options.get(option, NOW)
    if text == NOW:
        return None
    remedy = "give now, or a moment with a time zone such as 2026-01-31T00:00:00+00:00"
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--{option}", text, remedy) from None
    if moment.tzinfo is None:
        raise ConfigError(f"--{option}", text, remedy)
    return moment


def flag_of(run: StageRun, option: str) -> bool:
    """``true`` or ``false``, which is also what a missing option means.

    Raises:
        ConfigError: It is neither.
    """
    given = run.options.get(option, "false").lower()
    if given not in {"true", "false"}:
        raise ConfigError(f"--{option}", given, "give true or false")
    return given == "true"
