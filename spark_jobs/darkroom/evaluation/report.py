"""The evaluation report: one HTML file that needs nothing else."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from darkroom import pages
from darkroom.contract import GateDecision
from darkroom.contract.names import METRICS
from darkroom.contract.tuning import worth
from darkroom.contract.workspace import write_atomically
from darkroom.evaluation.metrics import Measured, Prediction

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEMPLATE: Final = Path(__file__).with_name("report.html.j2")
MOST_CONFIDENT: Final = 8
THUMBNAIL_PIXELS: Final = 160
NAMED_CELLS: Final = 16
"""Up to so many classes the matrix shows its numbers and every name; beyond, colours and some."""

_THEMES: Final = {"light": ("#1c2127", "Blues"), "dark": ("#e4e7eb", "viridis")}


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """Everything that the report shows.

    Attributes:
        pipeline: Name.
        run_id: The run.
        decision: What the gate said.
        candidate: The candidate's metrics.
        champion: The champion's metrics on the same images, if there is one.
        test_images: Number of test images.
        tuning: Outputs of the stage tune.
        ingest: Outputs of the stage ingest.
        mistakes: The most confident mistakes, with the encoded image each.
    """

    pipeline: str
    run_id: str
    decision: GateDecision
    candidate: Measured
    champion: Measured | None
    test_images: int
    tuning: Mapping[str, Any]
    ingest: Mapping[str, Any]
    mistakes: Sequence[tuple[Prediction, bytes]]


def most_confident_mistakes(
    predictions: Sequence[Prediction], limit: int = MOST_CONFIDENT
) -> list[Prediction]:
    """The wrong predictions with the highest probability; ties by image id."""
    wrong = [p for p in predictions if not p.is_right]
    return sorted(wrong, key=lambda p: (-p.probability, p.image_id))[:limit]


def write_report(data: ReportData, folder: Path) -> Path:
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


def render(data: ReportData) -> str:
    """The report as HTML: no script, no link to anything outside of it."""
    return pages.render(
        TEMPLATE,
        {
            "data": data,
            "metrics": _side_by_side(data),
            "classes": sorted(data.candidate.classes, key=lambda one: (one.f1, one.label)),
            "plots": _confusion_plots(data.candidate) if data.candidate.labels else None,
            "mistakes": [(prediction, _thumbnail(image)) for prediction, image in data.mistakes],
            "trials": _best_first(data.tuning),
        },
    )


def _best_first(tuning: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], bool]]:
    """The trials that did not fail, and of each whether the candidate is its refit."""
    metric, trials = tuning["metric"], tuning["trials"]
    ordered = sorted(trials, key=lambda trial: worth(metric, trial["mean"]), reverse=True)
    return [(one, all(tuning[name] == value for name, value in one.items())) for one in ordered]


def _side_by_side(data: ReportData) -> list[tuple[str, float | None, float | None]]:
    theirs = data.champion.overall if data.champion else {}
    return [(name, data.candidate.overall.get(name), theirs.get(name)) for name in METRICS]


def _thumbnail(image: bytes) -> str:
    return pages.data_uri(pages.thumbnail(image, THUMBNAIL_PIXELS), "image/jpeg")


def _confusion_plots(measured: Measured) -> dict[str, str]:
    return {theme: _confusion_plot(measured, theme) for theme in _THEMES}


def _confusion_plot(measured: Measured, theme: str) -> str:
    """Data URI of the confusion matrix, rows normalised to shares of the true class."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    ink, colours = _THEMES[theme]
    counts = np.array(measured.confusion, dtype=float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(9.0, 2.2 + 0.45 * len(measured.labels))
    figure = Figure(figsize=(side, side), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap=colours, vmin=0, vmax=1)
    _label_axes(figure, measured.labels, ink)
    if len(measured.labels) <= NAMED_CELLS:
        _write_counts(figure, counts, shares, theme)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110, transparent=True)
    return pages.data_uri(stream.getvalue(), "image/png")


def _label_axes(figure: Figure, labels: Sequence[str], ink: str) -> None:
    axes = figure.axes[0]
    step = max(1, len(labels) // NAMED_CELLS)
    places = range(0, len(labels), step)
    # A dollar sign would start a formula.
    names = [_shortened(labels[i]).replace("$", r"\$") for i in places]
    axes.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor", color=ink)
    axes.set_yticks(places, names, color=ink)
    axes.set_xlabel("predicted", color=ink)
    axes.set_ylabel("true", color=ink)
    axes.tick_params(color=ink)
    for spine in axes.spines.values():
        spine.set_color(ink)


def _write_counts(figure: Figure, counts: Any, shares: Any, theme: str) -> None:
    axes = figure.axes[0]
    for row, column in zip(*counts.nonzero(), strict=True):
        # Light maps darken with the share, dark maps brighten: the ink is the other way round.
        strong = shares[row, column] > 0.5
        colour = "white" if strong == (theme == "light") else "black"
        number = f"{counts[row, column]:.0f}"
        axes.text(column, row, number, ha="center", va="center", color=colour, fontsize=9)


def _shortened(label: str, most: int = 20) -> str:
    printable = "".join(ch if ch.isprintable() else "?" for ch in label)
    return printable if len(printable) <= most else f"{printable[: most - 1]}…"
