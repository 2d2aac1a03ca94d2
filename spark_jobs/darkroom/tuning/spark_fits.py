"""Fits by Spark ML, distributed over the rows: for any number of rows, and for L1."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from multiprocessing.pool import ThreadPool
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from pyspark import inheritable_thread_target

from darkroom.contract import HeadKind, TuningConfig
from darkroom.contract import columns as c
from darkroom.contract.names import AUC, LOG_LOSS
from darkroom.tuning.fits import Fit, Kept, Results, attempted
from darkroom.tuning.folds import FOLD, PREDICTION, TRUTH
from darkroom.tuning.head import Head
from darkroom.tuning.points import Point
from darkroom.tuning.results import FitResult, ResultStore
from darkroom.tuning.rows import TrainRows
from darkroom.tuning.scoring import SMALLEST_PROBABILITY, scores_of_counts

if TYPE_CHECKING:
    from pyspark.ml.classification import LogisticRegression
    from pyspark.sql import DataFrame

FEATURES: Final = "features"
PROBABILITIES: Final = "probabilities"
PARALLEL_FITS: Final = 2
PARTITION_BYTES: Final = 64 * 1024 * 1024
"""Feature bytes per partition. A fit makes hundreds of passes, so fewer tasks are faster; and what
fits into one partition is summed in one order, so its coefficients are the same bits every time."""


class SparkFits:
    """`Fits` of logistic regression on a cached DataFrame."""

    def __init__(self, rows: TrainRows, config: TuningConfig, store: ResultStore) -> None:
        """Args: rows: what to train on; config: folds, bound of iterations; store: results."""
        self.kept = Kept(store, rows, config, "spark")
        self._rows = rows
        self._config = config

    @cached_property
    def images(self) -> int:
        """Number of rows."""
        return self._frame.count()

    def run(self, fits: Sequence[Fit]) -> Results:
        """Fits and stores; a fit that fails has a result that says why."""
        run = inheritable_thread_target(self._frame.sparkSession)(self._run_one)
        with ThreadPool(PARALLEL_FITS) as pool:
            return dict(zip(fits, pool.map(run, fits, chunksize=1), strict=True))

    def refit(self, point: Point) -> Head:
        """Fits a head on all rows."""
        key = self.kept.key(point, None)
        known = self.kept.store.get_head(key)
        if known is not None:
            return known
        head = Head.of(self._estimator(point).fit(self._frame))
        self.kept.store.put_head(key, head)
        return head

    def vectors(self, image_ids: Sequence[str]) -> Mapping[str, NDArray[np.float32]]:
        """Vectors of those of the images that are trained on."""
        from pyspark.sql import functions as f

        wanted = self._frame.where(f.col(c.IMAGE_ID).isin(*image_ids))
        found: list[Any] = wanted.select(c.IMAGE_ID, FEATURES).collect()
        return {row[c.IMAGE_ID]: row[FEATURES].toArray().astype(np.float32) for row in found}

    def close(self) -> None:
        """Lets go of the cached rows; `vectors` reads them anew."""
        frame = self.__dict__.get("_frame")
        if frame is not None:
            frame.unpersist()

    @cached_property
    def _frame(self) -> DataFrame:
        partitions = partitions_for(self._rows.images, self._rows.width)
        return training_frame(self._rows, partitions).persist()

    def _run_one(self, fit: Fit) -> FitResult:
        from pyspark.sql import functions as f

        def scores() -> dict[str, float]:
            model = self._estimator(fit.point).fit(self._frame.where(f.col(FOLD) != fit.fold))
            held_out = model.transform(self._frame.where(f.col(FOLD) == fit.fold))
            return _scores(held_out, len(self._rows.labels))

        result = attempted(scores)
        self.kept.store.put(self.kept.key(*fit), result)
        return result

    def _estimator(self, point: Point) -> LogisticRegression:
        from pyspark.ml.classification import LogisticRegression

        if point.head != HeadKind.LOGISTIC_REGRESSION:
            raise ValueError(f"{point!r}: Spark ML fits logistic regression alone")
        return LogisticRegression(
            family="multinomial",
            featuresCol=FEATURES,
            labelCol=TRUTH,
            predictionCol=PREDICTION,
            probabilityCol=PROBABILITIES,
            maxIter=self._config.max_iterations,
            regParam=point.reg_param,
            elasticNetParam=point.elastic_net_param,
        )


def _scores(held_out: DataFrame, classes: int) -> dict[str, float]:
    """Every metric that is defined; what is collected does not grow with the rows."""
    from pyspark.ml.evaluation import BinaryClassificationEvaluator
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql import functions as f

    right = f.get(vector_to_array(f.col(PROBABILITIES)), f.col(TRUTH).cast("int"))
    loss = -f.log(f.greatest(right, f.lit(SMALLEST_PROBABILITY)))
    grouped = held_out.groupBy(TRUTH, PREDICTION).agg(f.count(f.lit(1)), f.sum(loss))
    rows: list[Any] = sorted(grouped.collect())
    scores = scores_of_counts({(int(row[0]), int(row[1])): row[2] for row in rows})
    scores[LOG_LOSS] = sum(row[3] for row in rows) / sum(row[2] for row in rows)
    if classes == 2 and len({row[0] for row in rows}) == 2:
        curve = BinaryClassificationEvaluator(
            rawPredictionCol=PROBABILITIES, labelCol=TRUTH, numBins=0
        )
        scores[AUC] = curve.evaluate(held_out)
    return scores


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
