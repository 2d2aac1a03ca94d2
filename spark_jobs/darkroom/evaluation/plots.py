"""The report's drawings, for light and for dark pages, and as files for MLflow."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from darkroom import pages
from darkroom.evaluation.metrics import Measured
from darkroom.evaluation.predictions import Predictions
from darkroom.evaluation.sums import CALIBRATION_BINS, bins

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMED_CELLS: Final = 16
"""Up to so many classes the matrix shows its numbers and every name; beyond, colours and some."""

SHOWN_TRIALS: Final = 20
DOTS_PER_INCH: Final = 110

Draw = Callable[["Theme"], "Figure"]


@dataclass(frozen=True)
class Theme:
    """Colours of a drawing.

    Attributes:
        name: light or dark.
        ink: Of texts and axes.
        soft: Of what is less important.
        map: Matplotlib's map for shares.
        first: Of the candidate.
        second: Of the champion.
    """

    name: str
    ink: str
    soft: str
    map: str
    first: str
    second: str


LIGHT: Final = Theme("light", "#1c2127", "#9aa5b1", "Blues", "#2a62ad", "#b3541e")
DARK: Final = Theme("dark", "#e4e7eb", "#5b6570", "viridis", "#6ea3e8", "#f0a35e")


@dataclass(frozen=True)
class Reliability:
    """How right a model is where it claims to be so sure.

    Attributes:
        confidence: Mean of each bin that has images, 0-1.
        accuracy: Share of right ones in it.
        images: How many.
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    images: NDArray[np.int64]

    @classmethod
    def of(cls, said: Predictions) -> Reliability:
        """The bins of the expected calibration error."""
        places = bins(said.confidence)
        count = np.bincount(places, minlength=CALIBRATION_BINS)
        used = count > 0
        sums = [
            np.bincount(places, weights=values, minlength=CALIBRATION_BINS)[used]
            for values in (said.confidence, said.right.astype(float))
        ]
        return cls(sums[0] / count[used], sums[1] / count[used], count[used])


def both_themes(draw: Draw) -> dict[str, str]:
    """A drawing as data URIs of SVG files, one per theme."""
    return {
        theme.name: pages.data_uri(_saved(draw(theme), "svg"), "image/svg+xml")
        for theme in (LIGHT, DARK)
    }


def as_file(draw: Draw) -> bytes:
    """A drawing as a PNG file on white."""
    figure = draw(LIGHT)
    figure.set_facecolor("white")
    return _saved(figure, "png")


def confusion_plot(measured: Measured) -> Draw:
    """The confusion matrix, rows normalised to shares of the true class."""

    def draw(theme: Theme) -> Figure:
        counts = measured.confusion.astype(float)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        side = min(9.0, 2.2 + 0.45 * len(measured.labels))
        figure, axes = _blank(side, side, theme)
        axes.imshow(shares, cmap=theme.map, vmin=0, vmax=1)
        _name_classes(axes, measured.labels, theme)
        if len(measured.labels) <= NAMED_CELLS:
            _write_counts(axes, counts, shares, theme)
        return figure

    return draw


def reliability_plot(curves: Mapping[str, Reliability]) -> Draw:
    """Accuracy by confidence; a calibrated model lies on the diagonal.

    Args:
        curves: By the model's name; the candidate's first.
    """

    def draw(theme: Theme) -> Figure:
        figure, axes = _blank(5.2, 4.2, theme)
        axes.plot([0, 1], [0, 1], color=theme.soft, linestyle="--", linewidth=1)
        marks = ((theme.first, "o", "-"), (theme.second, "s", ":"))
        for (name, curve), (colour, mark, line) in zip(curves.items(), marks, strict=False):
            size = 20 + 180 * curve.images / curve.images.sum()
            axes.plot(curve.confidence, curve.accuracy, color=colour, linestyle=line, label=name)
            axes.scatter(curve.confidence, curve.accuracy, s=size, color=colour, marker=mark)
        axes.set(xlim=(0, 1.02), ylim=(-0.02, 1.04))
        axes.set_xlabel("probability of the likeliest class", color=theme.ink)
        axes.set_ylabel("share that is right", color=theme.ink)
        legend = axes.legend(loc="upper left", frameon=False)
        for text in legend.get_texts():
            text.set_color(theme.ink)
        return figure

    return draw


def tuning_plot(trials: Sequence[Mapping[str, Any]], metric: str) -> Draw:
    """Mean and spread of the folds' scores per trial, the best on top.

    Args:
        trials: With name, mean, std and chosen; the best first.
        metric: What the folds were scored by.
    """

    def draw(theme: Theme) -> Figure:
        shown = trials[:SHOWN_TRIALS]
        figure, axes = _blank(7.2, 1.1 + 0.3 * len(shown), theme)
        places = np.arange(len(shown))
        colours = [theme.first if trial["chosen"] else theme.soft for trial in shown]
        means = [trial["mean"] for trial in shown]
        spread = [trial["std"] for trial in shown]
        axes.errorbar(means, places, xerr=spread, fmt="none", ecolor=theme.soft, capsize=3)
        axes.scatter(means, places, color=colours, s=36, zorder=3)
        axes.set_yticks(places, [plain(trial["name"], 48) for trial in shown], color=theme.ink)
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.set_xlabel(f"{metric}: mean and standard deviation of the folds", color=theme.ink)
        axes.grid(axis="x", color=theme.soft, alpha=0.4, linewidth=0.6)
        return figure

    return draw


def plain(text: str, most: int = 20) -> str:
    """A text that matplotlib writes as it is, shortened."""
    printable = "".join(ch if ch.isprintable() else "?" for ch in text)
    short = printable if len(printable) <= most else f"{printable[: most - 1]}…"
    # A dollar sign would start a formula.
    return short.replace("$", r"\$")


def _blank(width: float, height: float, theme: Theme) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_facecolor("none")
    axes.tick_params(color=theme.ink, labelcolor=theme.ink)
    for spine in axes.spines.values():
        spine.set_color(theme.soft)
    return figure, axes


def _name_classes(axes: Axes, labels: Sequence[str], theme: Theme) -> None:
    step = max(1, len(labels) // NAMED_CELLS)
    places = range(0, len(labels), step)
    names = [plain(labels[i]) for i in places]
    axes.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor", color=theme.ink)
    axes.set_yticks(places, names, color=theme.ink)
    axes.set_xlabel("predicted", color=theme.ink)
    axes.set_ylabel("true", color=theme.ink)


def _write_counts(axes: Axes, counts: Any, shares: Any, theme: Theme) -> None:
    for row, column in zip(*counts.nonzero(), strict=True):
        # Light maps darken with the share, dark maps brighten: the ink is the other way round.
        strong = shares[row, column] > 0.5
        colour = "white" if strong == (theme is LIGHT) else "black"
        number = f"{counts[row, column]:.0f}"
        axes.text(column, row, number, ha="center", va="center", color=colour, fontsize=9)


def _saved(figure: Figure, kind: str) -> bytes:
    import matplotlib as mpl

    stream = io.BytesIO()
    transparent = kind == "svg"
    # The same numbers make the same file.
    with mpl.rc_context({"svg.hashsalt": "darkroom"}):
        metadata = {"Date": None} if transparent else None
        figure.savefig(
            stream, format=kind, dpi=DOTS_PER_INCH, transparent=transparent, metadata=metadata
        )
    return stream.getvalue()
