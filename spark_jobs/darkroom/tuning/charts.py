"""Charts of a search, for MLflow's page of the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from darkroom.contract.tuning import worth

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from darkroom.tuning.search import Trial


def plot_trials(trials: Sequence[Trial]) -> Figure:
    """The metric by the strength of the regularisation, one line per backbone and kind of head.

    Args:
        trials: At least one; failed ones are left out.

    Returns:
        Means over the folds, with their standard deviation as bars.
    """
    # Its own canvas: no window system, and nothing of pyplot's state to clear.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    lines: dict[tuple[object, ...], list[Trial]] = {}
    for trial in trials:
        if not trial.error:
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
    metric = trials[0].metric
    direction = "higher" if worth(metric, 1.0) > 0 else "lower"
    axes.set(xlabel="regParam", ylabel=f"mean {metric} of the folds ({direction} is better)")
    axes.grid(alpha=0.3)
    if lines:
        axes.legend(fontsize="small")
    return figure
