"""Charts of a search, for MLflow's page of the run."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from darkroom.contract.tuning import worth
from darkroom.tuning.points import Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from darkroom.tuning.search import Trial

MOST_LINES: Final = 4
"""A backbone's head has up to so many lines, one for each combination of its other parameters. With
more of them, or one for each trial, as where they are drawn from ranges, its trials are a cloud."""

LINE_OF_LEGEND: Final = 0.22
"""Height in inches."""

NAMED_CURVES: Final = 8
"""So many networks, the best, are named beside their learning curves."""

_SHORT: Final[Mapping[str, str]] = {
    "reg_param": "regParam",
    "elastic_net_param": "l1",
    "hidden_units": "units",
    "learning_rate": "rate",
    "last_layers": "layers",
    "batch_size": "batch",
    "epochs": "epochs",
}
"""Fields of a point as they are called in few words."""


class _Series(NamedTuple):
    """Trials that are drawn alike.

    Attributes:
        label: What they have in common.
        trials: Those, in the order of the line.
        is_line: Whether they differ in nothing but what is on the abscissa.
    """

    label: str
    trials: Sequence[Trial]
    is_line: bool


def plot_trials(trials: Sequence[Trial]) -> Figure:
    """Metric by parameter, and the learning curves of networks.

    Args:
        trials: At least one; failed ones are left out.

    Returns:
        One to three charts beside each other: means over the folds, with their standard deviation
        as bars, by the strength of the regularisation (heads) and by the learning rate (networks);
        the folds' mean loss by epoch, one line per network.
    """
    # Its own canvas: no window system, and nothing of pyplot's state to clear.
    from matplotlib.figure import Figure

    good = [trial for trial in trials if not trial.error]
    networks = [trial for trial in good if trial.curve]
    heads = [trial for trial in good if not trial.curve]
    charts: list[tuple[Callable[[Axes, Sequence[Trial], str], None], Sequence[Trial]]] = [
        (_plot_heads, heads),
        (_plot_rates, networks),
        (_plot_curves, networks),
    ]
    drawn = [pair for pair in charts if pair[1]] or charts[:1]
    figure = Figure(layout="constrained")
    entries = 0
    for axes, (plot, some) in zip(
        figure.subplots(1, len(drawn), squeeze=False)[0], drawn, strict=True
    ):
        plot(axes, some, trials[0].metric)
        axes.grid(alpha=0.3)
        names = axes.get_legend_handles_labels()[1]
        if names:
            # Below: curves fill a chart from corner to corner.
            below = {"loc": "upper left", "bbox_to_anchor": (0, -0.12)}
            axes.legend(fontsize="small", borderaxespad=0, **below)
        entries = max(entries, len(names))
    figure.set_size_inches(8 * len(drawn), 5 + LINE_OF_LEGEND * entries)
    return figure


def _plot_heads(axes: Axes, trials: Sequence[Trial], metric: str) -> None:
    _plot_metric(axes, trials, metric, "reg_param")
    # Linear next to 0, which a logarithm does not have.
    axes.set_xscale("symlog", linthresh=1e-6)


def _plot_rates(axes: Axes, trials: Sequence[Trial], metric: str) -> None:
    _plot_metric(axes, trials, metric, "learning_rate")
    axes.set_xscale("log")


def _plot_metric(axes: Axes, trials: Sequence[Trial], metric: str, field: str) -> None:
    for series in _series(trials, field):
        axes.errorbar(
            [getattr(trial.point, field) for trial in series.trials],
            [trial.mean for trial in series.trials],
            [trial.std for trial in series.trials],
            label=series.label,
            marker="o",
            linestyle="-" if series.is_line else "none",
            capsize=3,
        )
    direction = "higher" if worth(metric, 1.0) > 0 else "lower"
    ylabel = f"mean {metric} of the folds ({direction} is better)"
    axes.set(xlabel=_SHORT[field], ylabel=ylabel)


def _series(trials: Sequence[Trial], field: str) -> Iterator[_Series]:
    """Trials of one backbone and head: a line each for what differs in one field alone."""
    kinds: dict[str, dict[Point, list[Trial]]] = {}
    for trial in trials:
        rest = Point(**{**trial.point._asdict(), field: 0})
        lines = kinds.setdefault(f"{trial.backbone} {trial.point.head}", {})
        lines.setdefault(rest, []).append(trial)
    for kind, lines in kinds.items():
        values = {name: sorted({getattr(rest, name) for rest in lines}) for name in _SHORT}
        varying = {name: some for name, some in values.items() if len(some) > 1}
        every = list(itertools.chain.from_iterable(lines.values()))
        places = {getattr(trial.point, field) for trial in every}
        if len(lines) > MOST_LINES or 1 < len(lines) == len(places) == len(every):
            spans = [f"{_SHORT[name]}={v[0]:.3g}..{v[-1]:.3g}" for name, v in varying.items()]
            yield _Series(" ".join([kind, *spans]), every, is_line=False)
            continue
        for rest, members in lines.items():
            words = [f"{_SHORT[name]}={getattr(rest, name):g}" for name in varying]
            ordered = sorted(members, key=lambda trial: float(getattr(trial.point, field)))
            yield _Series(" ".join([kind, *words]), ordered, is_line=True)


def _plot_curves(axes: Axes, trials: Sequence[Trial], metric: str) -> None:
    best = sorted(trials, key=lambda trial: trial.worth, reverse=True)
    for place, trial in enumerate(best):
        epochs = range(1, len(trial.curve) + 1)
        if place < NAMED_CURVES:
            label = f"{trial.backbone} {trial.point}: {metric} {trial.mean:.4f}"
            axes.plot(epochs, trial.curve, label=label, marker="o")
        else:
            others = f"{len(best) - NAMED_CURVES} others" if place == NAMED_CURVES else None
            axes.plot(epochs, trial.curve, label=others, color="0.8", zorder=1)
    axes.set(xlabel="epoch", ylabel="mean loss of the folds that are held out")
