"""One split of the rows, featurized once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyspark import keyword_only
from pyspark.ml.tuning import TrainValidationSplit, TrainValidationSplitModel

from darkroom.contract import ConfigError
from darkroom.ml.base.attaching import column
from darkroom.tuning.validators.labels import check_labels
from darkroom.tuning.validators.shared import GroupedValidator

if TYPE_CHECKING:
    from pyspark.ml import Estimator
    from pyspark.ml.evaluation import Evaluator
    from pyspark.sql import Column, DataFrame


class ImageTrainValidationSplit(GroupedValidator, TrainValidationSplit):
    """`pyspark.ml.tuning.TrainValidationSplit` that runs what its trials share only once.

    See `darkroom.ImageCrossValidator` for what is shared; the result is a
    `pyspark.ml.tuning.TrainValidationSplitModel`.

    Args:
        estimator: What to fit, most often a `Pipeline`.
        estimatorParamMaps: The grid.
        evaluator: Scores the predictions of the validation part.
        trainRatio: Share of the rows, or of the groups, to train on; 0.75 by default.
        parallelism: Fits at a time, 1 by default.
        collectSubModels: Whether the result keeps the model of every trial.
        seed: Of the split; by default the one that TrainValidationSplit has by default.
        groupCol: Column whose equal values stay on one side.
        featuresDir: Folder where feature vectors are kept for later searches, by picture.

    Raises:
        ConfigError: The grid is empty or sets what no stage has, or the evaluator does not fit the
            labels; raised by ``fit`` before anything is fitted.
    """

    @keyword_only
    def __init__(
        self,
        *,
        estimator: Estimator[Any] | None = None,
        estimatorParamMaps: Sequence[Any] | None = None,
        evaluator: Evaluator | None = None,
        trainRatio: float = 0.75,
        parallelism: int = 1,
        collectSubModels: bool = False,
        seed: int | None = None,
        groupCol: str | None = None,
        featuresDir: str | None = None,
    ) -> None:
        given = self._input_kwargs
        super().__init__()
        # As a TrainValidationSplit's own, so that one without a seed has the same split.
        self._setDefault(seed=hash(TrainValidationSplit.__name__), parallelism=1)
        self._set(**given)

    @keyword_only
    def setParams(
        self,
        *,
        estimator: Estimator[Any] | None = None,
        estimatorParamMaps: Sequence[Any] | None = None,
        evaluator: Evaluator | None = None,
        trainRatio: float = 0.75,
        parallelism: int = 1,
        collectSubModels: bool = False,
        seed: int | None = None,
        groupCol: str | None = None,
        featuresDir: str | None = None,
    ) -> ImageTrainValidationSplit:
        """Sets what is given."""
        return self._set(**self._input_kwargs)

    def _fit(self, dataset: DataFrame) -> TrainValidationSplitModel:
        search = self._search()
        frame, share = self._shares(dataset)
        check_labels(dataset, search.estimator, search.evaluator)
        held_out = share >= self.getTrainRatio()
        found = search.run(frame, [(~held_out, held_out)])
        model = TrainValidationSplitModel(
            found.best,
            found.scores[0].tolist(),
            found.models[0] if found.models else None,  # type: ignore[arg-type]
        )
        return self._copyValues(model)

    def _shares(self, dataset: DataFrame) -> tuple[DataFrame, Column]:
        """The rows with a number in 0..1 each, or each group."""
        if not self.isSet(self.groupCol):
            return self._at_random(dataset)
        name = f"{self.uid}_share"
        frame = dataset.select("*", self._share_of_group(dataset).alias(name))
        self._check_sides(frame, column(name))
        return frame, column(name)

    def _check_sides(self, frame: DataFrame, share: Column) -> None:
        """Refuses groups that leave nothing to train or to validate on."""
        held_out = {
            row[0] for row in frame.select(share >= self.getTrainRatio()).distinct().collect()
        }
        if held_out != {True, False}:
            remedy = "all of its groups are on one side: give more groups, or another seed"
            raise ConfigError("groupCol", self.getGroupCol(), remedy)
