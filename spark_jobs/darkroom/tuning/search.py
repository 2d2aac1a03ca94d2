"""Cross-validated multinomial logistic regression on feature vectors."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from darkroom.contract import TuningConfig
from darkroom.contract import columns as c
from darkroom.tuning.folds import FOLD, PREDICTION, TRIAL_PREFIX, TRUTH, fold_column

if TYPE_CHECKING:
    from pyspark.ml.classification import LogisticRegression, LogisticRegressionModel
    from pyspark.sql import Column, DataFrame

FEATURES: Final = "features"
PARALLEL_TRIALS: Final = 2
PARTITION_BYTES: Final = 64 * 1024 * 1024
"""Feature bytes per partition. A fit makes hundreds of passes, so fewer tasks are faster; and what
fits into one partition is summed in one order, so its coefficients are the same bits every time."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One point of the grid, scored on every fold.

    Attributes:
        backbone: Name of the network that made the features.
        backbone_key: Its key in the features table.
        reg_param: Strength of the regularisation.
        elastic_net_param: Share of L1 in it, 0-1.
        scores: Score of each fold's validation part, 0-1, fold 0 first.
    """

    backbone: str
    backbone_key: str
    reg_param: float
    elastic_net_param: float
    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the folds."""
        return statistics.fmean(self.scores)

    @property
    def std(self) -> float:
        """Population standard deviation over the folds, as Spark computes it."""
        return statistics.pstdev(self.scores)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search over one backbone's features found.

    Attributes:
        trials: All trials, in the order of the grid.
        best: The trial with the highest mean.
        model: Its parameters, fitted on all rows.
    """

    trials: tuple[Trial, ...]
    best: Trial
    model: LogisticRegressionModel


def training_frame(
    rows: DataFrame, labels: Sequence[str], config: TuningConfig, partitions: int
) -> DataFrame:
    """Brings feature rows into the form that `search` reads.

    Args:
        rows: image_id, group_id, label, vector (array<float>).
        labels: Every class name; a class's number is its place here.
        config: Folds and seed.
        partitions: Number of partitions of the result.

    Returns:
        image_id, label_index (double, nominal), fold (int), features (vector); ordered by image_id
        within each partition, whatever the order and the partitions of ``rows`` were.
    """
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import functions as f

    # With the names as metadata Spark knows all classes, even where a fold lacks one.
    nominal = {"ml_attr": {"type": "nominal", "name": TRUTH, "vals": list(labels)}}
    ordered = rows.repartition(partitions, c.IMAGE_ID).sortWithinPartitions(c.IMAGE_ID)
    return ordered.select(
        c.IMAGE_ID,
        _position_in(labels, c.LABEL).alias(TRUTH, metadata=nominal),
        fold_column(config.folds, config.seed).alias(FOLD),
        array_to_vector(f.col(c.VECTOR)).alias(FEATURES),
    )


def partitions_for(rows: int, width: int) -> int:
    """Number of partitions for so many vectors of that width (float64)."""
    return max(1, math.ceil(rows * width * 8 / PARTITION_BYTES))


def search(frame: DataFrame, config: TuningConfig, backbone: str, backbone_key: str) -> Found:
    """Tries every combination of the grid and refits the best on all rows.

    Features are standardised by Spark inside the fit; the coefficients are for the raw features.
    Of equal means the smaller ``regParam`` wins, then the smaller ``elasticNetParam``.

    Args:
        frame: What `training_frame` returned, cached.
        config: Grid, folds, metric.
        backbone: Name of the network that made the features.
        backbone_key: Its key.

    Returns:
        All trials and the fitted winner.
    """
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.tuning import CrossValidator

    from darkroom.tuning.scoring import FoldEvaluator

    estimator = LogisticRegression(
        family="multinomial",
        featuresCol=FEATURES,
        labelCol=TRUTH,
        predictionCol=PREDICTION,
        maxIter=config.max_iterations,
    )
    grid = _grid(estimator, config)
    evaluator = FoldEvaluator(config.metric)
    validator = CrossValidator(
        estimator=estimator,
        estimatorParamMaps=grid,
        evaluator=evaluator,
        numFolds=config.folds,
        foldCol=FOLD,
        parallelism=PARALLEL_TRIALS,
    )
    fitted = validator.fit(frame)
    trials = tuple(
        Trial(
            backbone=backbone,
            backbone_key=backbone_key,
            reg_param=point[estimator.regParam],
            elastic_net_param=point[estimator.elasticNetParam],
            scores=tuple(evaluator.scores[number, fold] for fold in range(config.folds)),
        )
        for number, point in enumerate(grid)
    )
    best = max(range(len(trials)), key=lambda number: fitted.avgMetrics[number])
    model: Any = fitted.bestModel
    return Found(trials=trials, best=trials[best], model=model)


def best_of(found: Sequence[Found]) -> Found:
    """The search with the highest mean; of equals the first, hence the configuration's order."""
    return max(found, key=lambda one: one.best.mean)


def _grid(estimator: LogisticRegression, config: TuningConfig) -> list[dict[Any, Any]]:
    """The grid, smallest values first, each with its own name for the column of probabilities."""
    from pyspark.ml.tuning import ParamGridBuilder

    builder = ParamGridBuilder()
    builder.addGrid(estimator.regParam, sorted(config.reg_params))
    builder.addGrid(estimator.elasticNetParam, sorted(config.elastic_net_params))
    return [
        {**point, estimator.probabilityCol: f"{TRIAL_PREFIX}{number}"}
        for number, point in enumerate(builder.build())
    ]


def _position_in(labels: Sequence[str], column: str) -> Column:
    from pyspark.sql import functions as f

    names = f.array(*[f.lit(label) for label in labels])
    return (f.array_position(names, f.col(column)) - 1).cast("double")
