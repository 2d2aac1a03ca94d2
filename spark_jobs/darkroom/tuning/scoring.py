"""Scores of a fold's validation part, from counts of (true, predicted) pairs."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping

Confusion = Mapping[tuple[int, int], int]
"""Number of images per (true class, predicted class)."""


def score_of(metric: str, confusion: Confusion) -> float:
    """Computes a metric as scikit-learn does, with ``zero_division=0``.

    Args:
        metric: One of `darkroom.contract.names.METRICS`.
        confusion: Counts; a macro average goes over the classes that occur in it.

    Returns:
        The score, 0-1.
    """
    truths: Counter[int] = Counter()
    predicted: Counter[int] = Counter()
    for (truth, prediction), number in confusion.items():
        truths[truth] += number
        predicted[prediction] += number
    if metric == "accuracy":
        right = sum(number for (t, p), number in confusion.items() if t == p)
        return right / truths.total()
    classes = sorted(truths.keys() | predicted.keys())
    hits = {k: confusion.get((k, k), 0) for k in classes}
    if metric == "macro_recall":
        scores = [_ratio(hits[k], truths[k]) for k in classes]
    elif metric == "macro_precision":
        scores = [_ratio(hits[k], predicted[k]) for k in classes]
    elif metric == "macro_f1":
        scores = [_ratio(2 * hits[k], truths[k] + predicted[k]) for k in classes]
    else:
        raise ValueError(f"no such metric: {metric!r}")
    return statistics.fmean(scores)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
