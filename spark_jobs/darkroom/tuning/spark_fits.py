"""Fits by Spark ML, distributed over the rows: for any number of rows, and for L1."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from darkroom.contract import TuningConfig
from darkroom.contract import columns as c
from darkroom.tuning.folds import FOLD, PREDICTION, TRIAL_PREFIX, TRUTH
from darkroom.tuning.heads import Head
from darkroom.tuning.rows import Point, TrainRows

if TYPE_CHECKING:
    from pyspark.ml.classification import LogisticRegression
    from pyspark.sql import DataFrame

FEATURES: Final = "features"
PARALLEL_TRIALS: Final = 2
PARTITION_BYTES: Final = 64 * 1024 * 1024
"""Feature bytes per partition. A fit makes hundreds of passes, so fewer tasks are faster; and what
fits into one partition is summed in one order, so its coefficients are the same bits every time."""


class SparkFits:
    """`Fits` on a cached DataFrame."""

    def __init__(self, rows: TrainRows, config: TuningConfig) -> None:
        """Args: rows: what to train on; config: folds, metric, bound of iterations."""
        self._rows = rows
        self._config = config
        self._fitted: dict[Point, Head] = {}

    @cached_property
    def images(self) -> int:
        """Number of rows."""
        return self._frame.count()

    def scores(self, points: Sequence[Point]) -> list[tuple[float, ...]]:
        """Scores of every fold, fold 0 first, for each point."""
        from pyspark.ml.tuning import CrossValidator

        from darkroom.tuning.fold_evaluator import FoldEvaluator

        estimator = self._estimator()
        evaluator = FoldEvaluator(self._config.metric)
        validator = CrossValidator(
            estimator=estimator,
            estimatorParamMaps=[
                _param_map(estimator, point, number) for number, point in enumerate(points)
            ],
            evaluator=evaluator,
            numFolds=self._config.folds,
            foldCol=FOLD,
            parallelism=PARALLEL_TRIALS,
        )
        fitted: Any = validator.fit(self._frame)
        # Spark has refitted its best already.
        self._fitted[points[int(np.argmax(fitted.avgMetrics))]] = Head.of(fitted.bestModel)
        folds = range(self._config.folds)
        return [
            tuple(evaluator.scores[number, fold] for fold in folds) for number in range(len(points))
        ]

    def refit(self, point: Point) -> Head:
        """Fits a head on all rows."""
        if point not in self._fitted:
            estimator = self._estimator()
            model = estimator.fit(self._frame, _param_map(estimator, point, 0))
            self._fitted[point] = Head.of(model)
        return self._fitted[point]

    def vectors(self, image_ids: Sequence[str]) -> Mapping[str, NDArray[np.float32]]:
        """Vectors of those of the images that are trained on."""
        from pyspark.sql import functions as f

        wanted = self._frame.where(f.col(c.IMAGE_ID).isin(*image_ids))
        found: list[Any] = wanted.select(c.IMAGE_ID, FEATURES).collect()
        return {row[c.IMAGE_ID]: row[FEATURES].toArray().astype(np.float32) for row in found}

    def close(self) -> None:
        """Lets go of the cached rows; `vectors` reads them anew."""
        self._frame.unpersist()

    @cached_property
    def _frame(self) -> DataFrame:
        partitions = partitions_for(self._rows.images, self._rows.width)
        return training_frame(self._rows, partitions).persist()

    def _estimator(self) -> LogisticRegression:
        from pyspark.ml.classification import LogisticRegression

        return LogisticRegression(
            family="multinomial",
            featuresCol=FEATURES,
            labelCol=TRUTH,
            predictionCol=PREDICTION,
            maxIter=self._config.max_iterations,
        )


def training_frame(rows: TrainRows, partitions: int) -> DataFrame:
    """Brings rows into the form that Spark ML reads.

    Args:
        rows: What to train on.
        partitions: Number of partitions of the result.

    Returns:
        image_id, label_index (double, nominal), fold (int), features (vector); ordered by image_id
        within each partition, whatever the order and the partitions of the rows were.
    """
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import functions as f

    # With the names as metadata Spark knows all classes, even where a fold lacks one.
    nominal = {"ml_attr": {"type": "nominal", "name": TRUTH, "vals": list(rows.labels)}}
    ordered = rows.frame.repartition(partitions, c.IMAGE_ID).sortWithinPartitions(c.IMAGE_ID)
    return ordered.select(
        c.IMAGE_ID,
        f.col(TRUTH).alias(TRUTH, metadata=nominal),
        FOLD,
        array_to_vector(f.col(c.VECTOR)).alias(FEATURES),
    )


def partitions_for(images: int, width: int) -> int:
    """Number of partitions for so many vectors of that width (float64)."""
    return max(1, math.ceil(images * width * 8 / PARTITION_BYTES))


def _param_map(estimator: LogisticRegression, point: Point, number: int) -> dict[Any, Any]:
    """A point of the grid, with the name for the column of its probabilities."""
    return {
        estimator.regParam: point.reg_param,
        estimator.elasticNetParam: point.elastic_net_param,
        estimator.probabilityCol: f"{TRIAL_PREFIX}{number}",
    }
