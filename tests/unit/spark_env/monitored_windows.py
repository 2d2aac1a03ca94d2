"""Windows of seven days, and what was said of them."""

from __future__ import annotations

import datetime as dt

from darkroom.contract.monitoring import Span
from darkroom.monitoring.history import Judgement, WindowResult
from darkroom.monitoring.signals import Signal
from darkroom.monitoring.windows import Window, bounds

WEEKS = Span(days=7)
FIRST = 2_967
"""Number of the week from Monday 2026-11-16."""


def window(number: int, *, labelled: int = 0, images: int = 100, finished: bool = True) -> Window:
    start, end = bounds(FIRST + number, WEEKS) or (dt.datetime.min, dt.datetime.min)
    return Window(
        number=FIRST + number,
        start=start,
        end=end,
        images=images,
        labelled=labelled,
        finished=finished,
    )


def judged(number: int, *drifted: str, few: bool = False) -> WindowResult:
    """The result of a week in which some signals drifted."""
    stable = Signal(name="size", value=0.001, threshold=0.03, p=0.5)
    signals = [
        Signal(name=name, value=0.3, threshold=0.05, p=1e-9, adjusted=1e-8, drifted=True)
        for name in drifted
    ]
    judgement = Judgement.DRIFT if drifted else Judgement.STABLE
    reason = f"{', '.join(drifted)} drifted" if drifted else "nothing drifted"
    return WindowResult(
        window=window(number, images=9 if few else 100),
        judgement=Judgement.TOO_FEW if few else judgement,
        reason="9 images, it takes 50" if few else reason,
        signals=() if few else (stable, *signals),
        unmeasured={} if few else {"live accuracy": "0 now and 90 before, it takes 50"},
        accuracy={"value": 0.9, "low": 0.8, "high": 0.95, "images": 60, "reference": 0.97},
        basis="b1",
        run_id="r1",
    )
