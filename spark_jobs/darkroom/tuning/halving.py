"""Successive halving: all begin, and only the better ones go on.

Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization"
(2016). Everybody waits for the others at a rung. Optuna's pruner, which waits for nobody, decides
by who comes first, and with another number of cores another one would win.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence

from darkroom.contract.tuning import HalvingConfig, worth
from darkroom.tuning.points import Point
from darkroom.tuning.results import FitResult


def rungs(config: HalvingConfig, epochs: int) -> Iterator[int]:
    """Numbers of epochs after which trials are compared, below the full number.

    Args:
        config: The first of them, and by what it grows.
        epochs: What the longest trial has in all.
    """
    rung = config.min_epochs
    while rung < epochs:
        yield rung
        rung *= config.factor


def survivors(
    points: Sequence[Point], folds: Mapping[Point, Sequence[FitResult]], metric: str, factor: int
) -> list[Point]:
    """Those that go on: one of ``factor``, rounded up, of those that have not failed.

    Args:
        points: Those that have come to a rung.
        folds: What came of each until now, fold by fold.
        metric: What they are compared by.
        factor: See above.

    Returns:
        The best in their given order; of equals the first.
    """
    means = {
        point: statistics.fmean(worth(metric, fit.scores[metric]) for fit in folds[point])
        for point in points
        if all(metric in fit.scores for fit in folds[point])
    }
    best = sorted(means, key=lambda point: means[point], reverse=True)
    chosen = set(best[: -(-len(best) // factor)])
    return [point for point in points if point in chosen]
