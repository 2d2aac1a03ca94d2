"""Charts of a search, for MLflow's page of the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from darkroom.contract.tuning import worth

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from darkroom.tuning.search import Trial


def plot_trials(trials: Sequence[Trial]) -> Figure:
    """Heads by the strength of the regularisation, and the learning curves of networks.

    Args:
        trials: At least one; failed ones are left out.

    Returns:
        One or two charts beside each other: means over the folds, with their standard deviation as
        bars, one line per backbone and kind of head; the folds' mean loss by epoch, one line per
        network.
    """
    # Its own canvas: no window system, and nothing of pyplot's state to clear.
    from matplotlib.figure import Figure

    good = [trial for trial in trials if not trial.error]
    networks = [trial for trial in good if trial.curve]
    heads = [trial for trial in good if not trial.curve]
    charts = [(_plot_heads, heads), (_plot_curves, networks)]
    drawn = [pair for pair in charts if pair[1]] or charts[:1]
    figure = Figure(figsize=(8 * len(drawn), 5), layout="constrained")
    for axes, (plot, some) in zip(
        figure.subplots(1, len(drawn), squeeze=False)[0], drawn, strict=True
    ):
        plot(axes, some, trials[0].metric)
        axes.grid(alpha=0.3)
        if some:
            axes.legend(fontsize="small")
    return figure


def _plot_heads(axes: Axes, trials: Sequence[Trial], metric: str) -> None:
    lines: dict[tuple[object, ...], list[Trial]] = {}
    for trial in trials:
        lines.setdefault((trial.backbone, *trial.point[1:]), []).append(trial)
    for members in lines.values():
        members.sort(key=lambda trial: trial.point.reg_param)
        first = members[0]
        axes.errorbar(
            [trial.point.reg_param for trial in members],
            [trial.mean for trial in members],
            [trial.std for trial in members],
            label=f"{first.backbone} {str(first.point).partition(' ')[2]}",
            marker="o",
            capsize=3,
        )
    # Linear next to 0, which a logarithm does not have.
    axes.set_xscale("symlog", linthresh=1e-6)
    direction = "higher" if worth(metric, 1.0) > 0 else "lower"
    axes.set(xlabel="regParam", ylabel=f"mean {metric} of the folds ({direction} is better)")


def _plot_curves(axes: Axes, trials: Sequence[Trial], metric: str) -> None:
    for trial in trials:
        epochs = range(1, len(trial.curve) + 1)
        label = f"{trial.backbone} {trial.point}: {metric} {trial.mean:.4f}"
        axes.plot(epochs, trial.curve, label=label, marker="o")
    axes.set(xlabel="epoch", ylabel="mean loss of the folds that are held out")
