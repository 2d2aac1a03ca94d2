"""The evaluation report: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from darkroom import pages
from darkroom.contract import Comparison, GateDecision, StageResult
from darkroom.contract.names import GATE_METRICS
from darkroom.contract.tuning import worth
from darkroom.contract.workspace import write_atomically
from darkroom.evaluation.comparing import CLASS, METRIC
from darkroom.evaluation.metrics import Measured
from darkroom.evaluation.pictures import Shown
from darkroom.evaluation.plots import (
    SHOWN_TRIALS,
    Draw,
    Reliability,
    as_file,
    both_themes,
    confusion_plot,
    reliability_plot,
    tuning_plot,
)
from darkroom.evaluation.resampling import Estimate
from darkroom.evaluation.serving import Serving

TEMPLATE: Final = Path(__file__).with_name("report.html.j2")
THUMBNAIL_PIXELS: Final = 160
SHOWN_ROWS: Final = 60
"""Rows of the tables of classes and of slices: those that are worst."""

INDEX: Final = "index.html"


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """Everything that the report shows.

    Attributes:
        pipeline: Name.
        run_id: The run.
        decision: What the gate said.
        confidence: Of all intervals, 0-1.
        candidate: The candidate's metrics.
        champion: The champion's metrics on the same images, if there is one.
        reliability: The candidate's calibration, and the champion's, by name.
        serving: How the candidate answers where it will be used.
        tuning: Outputs of the stage tune.
        made: What the candidate's ``model.json`` says of how it was made.
        ingest: Outputs of the stage ingest.
        stages: Results of the run's stages before this one.
        validation_page: Address of the validation's page as seen from this one, if there is one.
        mistakes: The candidate's most confident mistakes.
        lost: Images that only the champion gets right.
        gained: Images that only the candidate gets right.
    """

    pipeline: str
    run_id: str
    decision: GateDecision
    confidence: float
    candidate: Measured
    champion: Measured | None
    reliability: Mapping[str, Reliability]
    serving: Serving | None
    tuning: Mapping[str, Any]
    made: Mapping[str, Any]
    ingest: Mapping[str, Any]
    stages: Sequence[StageResult] = ()
    validation_page: str | None = None
    mistakes: Sequence[Shown] = ()
    lost: Sequence[Shown] = ()
    gained: Sequence[Shown] = ()

    @property
    def trials(self) -> list[dict[str, Any]]:
        """The trials that did not fail, the best first; chosen is the one that was refitted."""
        metric, trials = self.tuning["metric"], self.tuning["trials"]
        return [
            {
                **trial,
                "name": f"{trial['backbone']} {trial['tried']}",
                "chosen": all(self.tuning[name] == value for name, value in trial.items()),
            }
            for trial in sorted(trials, key=lambda one: worth(metric, one["mean"]), reverse=True)
        ]

    @property
    def plots(self) -> dict[str, Draw]:
        """The drawings by name; none of what there are no images for."""
        drawn: dict[str, Draw] = {}
        if self.candidate.images:
            drawn["confusion"] = confusion_plot(self.candidate)
            drawn["reliability"] = reliability_plot(self.reliability)
        if self.tuning["trials"]:
            drawn["tuning"] = tuning_plot(self.trials, self.tuning["metric"])
        return drawn


@dataclass(frozen=True, kw_only=True)
class _Row:
    """One class or slice, or one metric, with what the champion has."""

    name: str
    images: int
    ours: Estimate | None
    theirs: Estimate | None
    comparison: Comparison | None
    more: Any = None


def write_report(data: ReportData, folder: Path) -> Path:
    """Writes ``index.html`` into a folder.

    Args:
        data: What to show; names in it may be hostile, they are escaped.
        folder: Made when missing.

    Returns:
        The file.
    """
    file = folder / INDEX
    write_atomically(file, render(data))
    return file


def plot_files(data: ReportData) -> dict[str, bytes]:
    """The drawings as PNG files, by file name."""
    return {f"{name}.png": as_file(draw) for name, draw in data.plots.items()}


def render(data: ReportData) -> str:
    """The report as HTML: no script, and nothing is loaded from outside of it."""
    trials, slices = data.trials, _slices(data)
    return pages.render(
        TEMPLATE,
        {
            "data": data,
            "metrics": _metrics(data),
            "classes": _classes(data)[:SHOWN_ROWS],
            "slices": slices[:SHOWN_ROWS],
            "all_slices": len(slices),
            "plots": {name: both_themes(draw) for name, draw in data.plots.items()},
            "trials": trials[:SHOWN_TRIALS],
            "all_trials": len(trials),
            "thumbnail": _thumbnail,
            "interval": _interval,
        },
    )


def _metrics(data: ReportData) -> list[_Row]:
    theirs = data.champion.overall if data.champion else {}
    compared = _by_name(data, METRIC)
    return [
        _Row(
            name=name,
            images=data.candidate.images,
            ours=data.candidate.overall.get(name),
            theirs=theirs.get(name),
            comparison=compared.get(name),
        )
        for name in GATE_METRICS
    ]


def _classes(data: ReportData) -> list[_Row]:
    """The classes, worst first."""
    theirs = {one.label: one for one in data.champion.classes} if data.champion else {}
    compared = _by_name(data, CLASS)
    rows = [
        _Row(
            name=one.label,
            images=one.support,
            ours=one.recall,
            theirs=theirs[one.label].recall if one.label in theirs else None,
            comparison=compared.get(one.label),
            more=one,
        )
        for one in data.candidate.classes
    ]
    return sorted(rows, key=lambda row: (_severity(row), row.more.f1.value, row.name))


def _slices(data: ReportData) -> list[_Row]:
    """The slices of all dimensions, worst first; one that is all images tells nothing."""
    theirs = (
        {(one.dimension, one.name): one.accuracy for one in data.champion.slices}
        if data.champion
        else {}
    )
    compared = {(one.dimension, one.name): one for one in data.decision.comparisons}
    rows = [
        _Row(
            name=one.name,
            images=one.images,
            ours=one.accuracy,
            theirs=theirs.get((one.dimension, one.name)),
            comparison=compared.get((one.dimension, one.name)),
            more=one.dimension,
        )
        for one in data.candidate.slices
        if one.images < data.candidate.images
    ]
    return sorted(rows, key=lambda row: (_severity(row), _value(row), row.more, row.name))


def _by_name(data: ReportData, dimension: str) -> dict[str, Comparison]:
    return {one.name: one for one in data.decision.comparisons if one.dimension == dimension}


def _severity(row: _Row) -> int:
    """Failed ones come first, whatever their value."""
    return 0 if row.comparison and row.comparison.verdict == "FAIL" else 1


def _value(row: _Row) -> float:
    return row.ours.value if row.ours else 0.0


def _interval(one: Estimate | Comparison | None, digits: int = 3, *, signed: bool = False) -> str:
    """Both ends of an interval, or nothing where there is none."""
    if one is None or one.low is None or one.high is None:
        return ""
    sign = "+" if signed else ""
    return f"{one.low:{sign}.{digits}f} to {one.high:{sign}.{digits}f}"


def _thumbnail(image: bytes) -> str:
    return pages.data_uri(pages.thumbnail(image, THUMBNAIL_PIXELS), "image/jpeg")
