"""Labels on which trials cannot be compared are refused before anything is fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.ml import Pipeline
from pyspark.ml.evaluation import BinaryClassificationEvaluator, MulticlassClassificationEvaluator
from pyspark.ml.feature import StringIndexer

from darkroom.contract import ConfigError
from darkroom.ml.base.attaching import column

if TYPE_CHECKING:
    from pyspark.ml import Estimator
    from pyspark.ml.evaluation import Evaluator
    from pyspark.sql import DataFrame


def check_labels(
    frame: DataFrame, estimator: Estimator[Any], evaluator: Evaluator, folds: int | None = None
) -> None:
    """Counts the classes, where a classification evaluator reads a column that is there already.

    A column that a `StringIndexer` of the pipeline makes is counted where it is read from.

    Args:
        frame: The rows; one pass over one column.
        estimator: What every trial fits.
        evaluator: Names the column of labels.
        folds: Number of folds; None for a single split.

    Raises:
        ConfigError: The evaluator is for two classes and there are others, or a class has fewer
            rows than there are folds.
    """
    if not isinstance(evaluator, BinaryClassificationEvaluator | MulticlassClassificationEvaluator):
        return
    name = _source(frame, estimator, evaluator.getLabelCol())
    if name is None:
        return
    label = column(name)
    rows: list[Any] = frame.where(label.isNotNull()).groupBy(label).count().collect()
    counts = sorted((row[0], row[1]) for row in rows)
    if isinstance(evaluator, BinaryClassificationEvaluator) and len(counts) != 2:
        raise ConfigError(
            "evaluator",
            type(evaluator).__name__,
            f"its {evaluator.getMetricName()} is for two classes, and column {name!r} has "
            f"{len(counts)}: take a MulticlassClassificationEvaluator",
        )
    for value, count in counts:
        if folds is not None and count < folds:
            raise ConfigError(
                name,
                value,
                f"{count} of the rows have this label, fewer than numFolds = {folds}: give more "
                "of them, leave them out, or lower numFolds",
            )


def _source(frame: DataFrame, estimator: Estimator[Any], name: str) -> str | None:
    """The dataset's own column that says a row's class; None if another stage makes it."""
    if name in frame.columns:
        return name
    stages = estimator.getStages() if isinstance(estimator, Pipeline) else []
    indexed = (
        stage.getInputCol()
        for stage in stages
        if isinstance(stage, StringIndexer)
        and stage.isSet(stage.inputCol)
        and stage.getOutputCol() == name
    )
    return next((one for one in indexed if one in frame.columns), None)
