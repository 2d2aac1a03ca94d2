"""Cross-validation that featurizes once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark import keyword_only
from pyspark.ml.tuning import CrossValidator, CrossValidatorModel

from darkroom.contract import ConfigError
from darkroom.ml.base.attaching import column, column_type
from darkroom.tuning.validators.labels import check_labels
from darkroom.tuning.validators.shared import GroupedValidator
from darkroom.tuning.validators.trials import Split

if TYPE_CHECKING:
    from pyspark.ml import Estimator
    from pyspark.ml.evaluation import Evaluator
    from pyspark.sql import Column, DataFrame

_FOLD = "fold"


class ImageCrossValidator(GroupedValidator, CrossValidator):
    """`pyspark.ml.tuning.CrossValidator` that runs what its trials have in common only once.

    Same Params, same folds for the same seed, same ``avgMetrics``, ``stdMetrics`` and best model,
    and `fit` returns a `pyspark.ml.tuning.CrossValidatorModel`. The transformers of the pipeline
    before its first fitted stage (a backbone, most of all) run once for each way in which the grid
    sets them, and not for each fold and trial; their output is kept in memory and on disk while
    the stages after them are fitted, ``parallelism`` at a time. A stage over a column of pictures
    runs ahead even when an indexer of another column stands before it.

    Of equal metrics the first of the grid wins. Metrics are the same to the last bit wherever the
    fitted stages themselves give the same bits twice.

    Args:
        estimator: What to fit, most often a `Pipeline`.
        estimatorParamMaps: The grid.
        evaluator: Scores the predictions of a fold.
        numFolds: Number of folds, 3 by default.
        seed: Of the folds; by default the one that CrossValidator has by default.
        parallelism: Fits at a time, 1 by default.
        collectSubModels: Whether the result keeps the model of every fold and trial.
        foldCol: Column of fold numbers, 0 to numFolds - 1, instead of random folds.
        groupCol: Column whose equal values stay in one fold, instead of random folds.
        featuresDir: Folder where feature vectors are kept for later searches, by picture.

    Raises:
        ConfigError: The grid is empty or sets what no stage has, the folds cannot be used, the
            evaluator does not fit the labels, or a class has fewer rows than there are folds;
            raised by ``fit`` before anything is fitted.

    Example:
        >>> from darkroom import DeepImageFeaturizer, ImageCrossValidator
        >>> featurizer = DeepImageFeaturizer(inputCol="image", outputCol="features")
        >>> head = LogisticRegression()
        >>> grid = ParamGridBuilder().addGrid(featurizer.modelName, ["ResNet50", "InceptionV3"])
        >>> search = ImageCrossValidator(
        ...     estimator=Pipeline(stages=[featurizer, head]),
        ...     estimatorParamMaps=grid.addGrid(head.regParam, [0.01, 0.1, 1.0]).build(),
        ...     evaluator=MulticlassClassificationEvaluator(metricName="accuracy"),
        ...     parallelism=2,
        ... )
        >>> best = search.fit(images).bestModel
    """

    @keyword_only
    def __init__(
        self,
        *,
        estimator: Estimator[Any] | None = None,
        estimatorParamMaps: Sequence[Any] | None = None,
        evaluator: Evaluator | None = None,
        numFolds: int = 3,
        seed: int | None = None,
        parallelism: int = 1,
        collectSubModels: bool = False,
        foldCol: str = "",
        groupCol: str | None = None,
        featuresDir: str | None = None,
    ) -> None:
        given = self._input_kwargs
        super().__init__()
        # As a CrossValidator's own, so that one without a seed has the same folds.
        self._setDefault(seed=hash(CrossValidator.__name__), parallelism=1)
        self._set(**given)

    @keyword_only
    def setParams(
        self,
        *,
        estimator: Estimator[Any] | None = None,
        estimatorParamMaps: Sequence[Any] | None = None,
        evaluator: Evaluator | None = None,
        numFolds: int = 3,
        seed: int | None = None,
        parallelism: int = 1,
        collectSubModels: bool = False,
        foldCol: str = "",
        groupCol: str | None = None,
        featuresDir: str | None = None,
    ) -> ImageCrossValidator:
        """Sets what is given."""
        return self._set(**self._input_kwargs)

    def _fit(self, dataset: DataFrame) -> CrossValidatorModel:
        search = self._search()
        frame, splits = self._divided(dataset)
        check_labels(dataset, search.estimator, search.evaluator, self.getNumFolds())
        found = search.run(frame, splits)
        model = CrossValidatorModel(
            found.best,
            list(np.mean(found.scores, axis=0)),
            found.models,  # type: ignore[arg-type]
            list(np.std(found.scores, axis=0)),
        )
        return self._copyValues(model)

    def _divided(self, dataset: DataFrame) -> tuple[DataFrame, list[Split]]:
        """The rows, and which of them each fold trains and validates on."""
        folds = self.getNumFolds()
        given = [name for name in ("foldCol", "groupCol") if self._names_column(name)]
        if len(given) == 2:
            raise ConfigError("groupCol", self.getGroupCol(), "set either foldCol or groupCol")
        if not given:
            frame, number = self._at_random(dataset)
            # CrossValidator's own arithmetic, so that a number at a border falls on the same side.
            share = 1.0 / folds
            held = [(number >= n * share) & (number < (n + 1) * share) for n in range(folds)]
            return frame, [(~part, part) for part in held]
        frame, fold = self._with_fold(dataset, folds)
        _check_folds(frame, fold, folds, given[0])
        return frame, [(fold != n, fold == n) for n in range(folds)]

    def _names_column(self, name: str) -> bool:
        return self.isDefined(name) and bool(self.getOrDefault(name))

    def _with_fold(self, dataset: DataFrame, folds: int) -> tuple[DataFrame, Column]:
        name = self.getFoldCol()
        if name:
            column_type(dataset, "foldCol", name)
            return dataset, column(name)
        name = f"{self.uid}_{_FOLD}"
        fold = self._fold_of_group(dataset, folds).alias(name)
        return dataset.select("*", fold), column(name)


def _check_folds(frame: DataFrame, fold: Column, folds: int, param: str) -> None:
    """Refuses folds that cannot be used, in one pass over their column.

    Raises:
        ConfigError: A row has none of them, or one has no row, or all have.
    """
    from pyspark.sql import functions as f

    rows: list[Any] = frame.groupBy(fold.alias(_FOLD)).agg(f.count(f.lit(1))).collect()
    counts = {row[0]: row[1] for row in rows}
    for number in counts:
        if number is None or number not in range(folds):
            remedy = f"a row has this fold: give whole numbers from 0 to numFolds - 1 = {folds - 1}"
            raise ConfigError(param, number, remedy)
    for number in range(folds):
        if not counts.get(number):
            remedy = f"of {folds} folds this one has no row: give more rows or lower numFolds"
            raise ConfigError(param, number, remedy)
