"""The report of a monitoring run: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from darkroom import pages
from darkroom.contract import MonitoringConfig
from darkroom.contract.workspace import write_atomically
from darkroom.monitoring.history import Alarm, Judgement, WindowResult
from darkroom.monitoring.signals import SIGNALS, Signal
from darkroom.validation.pictures import Picture

TEMPLATE: Final = Path(__file__).with_name("page.html.j2")
SHOWN_WINDOWS: Final = 12
"""Windows of the small plots: the last ones."""


@dataclass(frozen=True)
class Shown:
    """A picture, and what the model says of it.

    Attributes:
        picture: The picture.
        predicted: Its predicted label; None where the model could not be given it.
    """

    picture: Picture
    predicted: str | None


@dataclass(frozen=True, kw_only=True)
class PageData:
    """Everything that the page shows.

    Attributes:
        pipeline: Name.
        run_id: The run.
        model: The deployed model and its version.
        settings: What counts as drift.
        confidence: Of the accuracy's interval, 0-1.
        alarm: What the history says.
        results: Judged windows, oldest first, at least one.
        reference_images: Held-out images that the latest window was compared with; 0 where it was
            not.
        reference: Some of them.
        recent: Images of the latest window.
        unusual: Whether these are the least like the reference; else any.
    """

    pipeline: str
    run_id: str
    model: str
    settings: MonitoringConfig
    confidence: float
    alarm: Alarm
    results: Sequence[WindowResult]
    reference_images: int
    reference: Sequence[Shown]
    recent: Sequence[Shown]
    unusual: bool


def write_page(data: PageData, folder: Path) -> Path:
    """Writes ``index.html`` into a folder.

    Args:
        data: What to show; names in it may be hostile, they are escaped.
        folder: Made when missing.

    Returns:
        The file.
    """
    file = folder / "index.html"
    write_atomically(file, render(data))
    return file


def render(data: PageData) -> str:
    """The page as HTML: no script, and nothing in it is loaded from outside of it."""
    latest = data.results[-1]
    measured = {signal.name: signal for signal in latest.signals}
    return pages.render(
        TEMPLATE,
        {
            "data": data,
            "latest": latest,
            "verdict": _verdict(data),
            "windows": data.results[-SHOWN_WINDOWS:],
            "rows": [
                {
                    "name": name,
                    "signal": measured.get(name),
                    "missing": latest.unmeasured.get(name),
                    "bars": _bars(data.results[-SHOWN_WINDOWS:], name),
                }
                for name in SIGNALS
                if name in measured or name in latest.unmeasured
            ],
            "picture": lambda content: pages.data_uri(content, "image/jpeg"),
            "few": Judgement.TOO_FEW,
        },
    )


def _verdict(data: PageData) -> tuple[str, str]:
    """The word on top, and its colour."""
    if data.alarm.raised:
        return "Drift persists", "FAIL"
    word = {
        Judgement.DRIFT: ("Drift, not persistent yet", "INCONCLUSIVE"),
        Judgement.TOO_FEW: ("Too few images", "INCONCLUSIVE"),
        Judgement.STABLE: ("No drift", "PASS"),
    }
    return word[data.results[-1].judgement]


def _bars(results: Sequence[WindowResult], name: str) -> list[Mapping[str, Any]]:
    """One bar per window: its height in percent of the plot, and whether it drifted."""
    found = [
        next((signal for signal in result.signals if signal.name == name), None)
        for result in results
    ]
    top = max((max(one.value, one.threshold or 0.0) for one in found if one), default=0.0)
    return [
        {
            "height": _percent(signal.value, top) if signal else 0.0,
            "limit": _percent(signal.threshold, top) if signal and signal.threshold else None,
            "drifted": bool(signal and signal.drifted),
            "title": _title(result, signal),
        }
        for result, signal in zip(results, found, strict=True)
    ]


def _percent(value: float, top: float) -> float:
    return round(100 * max(value, 0.0) / top, 1) if top > 0 else 0.0


def _title(result: WindowResult, signal: Signal | None) -> str:
    said = f"{signal.value:.4g}" if signal else "not measured"
    return f"{result.window.shown}: {said}"
