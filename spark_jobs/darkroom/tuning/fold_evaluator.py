"""Scores of Spark ML's predictions, fold by fold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.ml.evaluation import Evaluator

from darkroom.tuning.folds import FOLD, PREDICTION, TRIAL_PREFIX, TRUTH
from darkroom.tuning.scoring import score_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


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
