"""Scores of a fold's validation part, from counts of (true, predicted) pairs."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyspark.ml.evaluation import Evaluator

from darkroom.tuning.folds import FOLD, PREDICTION, TRIAL_PREFIX, TRUTH

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Confusion = Mapping[tuple[int, int], int]
"""Number of images per (true class, predicted class)."""


class FoldEvaluator(Evaluator):
    """Scores predictions by one of the metrics of `darkroom.contract.names.METRICS`.

    Spark's own evaluator has no macro averages, and `CrossValidatorModel` keeps only the mean over
    the folds; this one also keeps each fold's score.

    Attributes:
        scores: Score per (trial, fold) of everything evaluated so far.
    """

    def __init__(self, metric: str) -> None:
        """Args: metric: name of the metric; higher is better for all of them."""
        super().__init__()
        self.scores: dict[tuple[int, int], float] = {}
        self._metric = metric

    def isLargerBetter(self) -> bool:  # noqa: N802 - Spark's name
        """All metrics are."""
        return True

    def _evaluate(self, dataset: DataFrame) -> float:
        """Reads label_index, prediction, fold and the name of the column ``trial_<number>``."""
        names = [name for name in dataset.columns if name.startswith(TRIAL_PREFIX)]
        rows: list[Any] = dataset.groupBy(FOLD, TRUTH, PREDICTION).count().collect()
        (trial,) = (int(name.removeprefix(TRIAL_PREFIX)) for name in names)
        (fold,) = {row[FOLD] for row in rows}
        confusion = {(int(row[TRUTH]), int(row[PREDICTION])): row["count"] for row in rows}
        score = score_of(self._metric, confusion)
        # Called from CrossValidator's threads: each (trial, fold) is written once, by one of them.
        self.scores[trial, fold] = score
        return score


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
