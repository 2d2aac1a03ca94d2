"""Scores of a fold's validation part."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from darkroom.contract.names import AUC, LOG_LOSS, METRICS

SMALLEST_PROBABILITY: Final = 1e-15
"""The log loss takes what is smaller for this: no probability is surely 0."""

Confusion = Mapping[tuple[int, int], int]
"""Number of images per (true class, predicted class)."""


def scores_of(truths: NDArray[np.intp], probabilities: NDArray[np.float64]) -> dict[str, float]:
    """Computes every metric that is defined.

    Args:
        truths: Number of each image's class, shape (images,).
        probabilities: Shape (images, classes).

    Returns:
        Score per name of `darkroom.contract.tuning.TUNING_METRICS`; ``auc`` of two classes that
        both occur alone. All NaN where a probability is.
    """
    from sklearn.metrics import roc_auc_score

    if not np.isfinite(probabilities).all():
        return dict.fromkeys((*METRICS, LOG_LOSS), math.nan)
    pairs = zip(truths.tolist(), probabilities.argmax(axis=1).tolist(), strict=True)
    scores = scores_of_counts(Counter(pairs))
    right = probabilities[np.arange(len(truths)), truths]
    scores[LOG_LOSS] = float(-np.log(np.maximum(right, SMALLEST_PROBABILITY)).mean())
    if probabilities.shape[1] == 2 and len(np.unique(truths)) == 2:
        scores[AUC] = float(roc_auc_score(truths, probabilities[:, 1]))
    return scores


def scores_of_counts(confusion: Confusion) -> dict[str, float]:
    """Every metric that counts alone define, per name."""
    return {metric: score_of(metric, confusion) for metric in METRICS}


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
