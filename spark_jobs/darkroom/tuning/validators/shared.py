"""What both validators have in common: the Param of groups, the division of rows, the search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pyspark.ml.param import Param, Params, TypeConverters

from darkroom.contract import ConfigError
from darkroom.ml.base.attaching import column, column_type
from darkroom.tuning.folds import group_number, group_share
from darkroom.tuning.validators.persistence import ValidatorReader, ValidatorWriter
from darkroom.tuning.validators.trials import Search

if TYPE_CHECKING:
    from pyspark.ml.util import MLWriter
    from pyspark.sql import Column, DataFrame


class GroupedValidator(Params):
    """A validator whose rows may stay together by group."""

    groupCol: Param[str] = Param(
        Params._dummy(),
        "groupCol",
        "column whose equal values stay on one side of every split, for example of near-duplicate "
        "pictures; not set: every row for itself",
        typeConverter=TypeConverters.toString,
    )

    featuresDir: Param[str] = Param(
        Params._dummy(),
        "featuresDir",
        "folder or URI where the vectors of DeepImageFeaturizer stages are kept by network and "
        "picture, so that later searches read them; not set: kept for this search alone",
        typeConverter=TypeConverters.toString,
    )

    def setFeaturesDir(self, value: str) -> Self:
        """Sets the value of featuresDir."""
        return self._set(featuresDir=value)

    def getFeaturesDir(self) -> str:
        """Gets the value of featuresDir."""
        return self.getOrDefault(self.featuresDir)

    def setGroupCol(self, value: str) -> Self:
        """Sets the value of groupCol."""
        return self._set(groupCol=value)

    def getGroupCol(self) -> str:
        """Gets the value of groupCol."""
        return self.getOrDefault(self.groupCol)

    def write(self) -> MLWriter:
        """Returns the writer."""
        return ValidatorWriter(self)

    @classmethod
    def read(cls) -> Any:
        """Returns the reader."""
        return ValidatorReader(cls)

    def _search(self: Any) -> Search:
        """What the Params say, if it can be searched."""
        for name in ("estimator", "estimatorParamMaps", "evaluator"):
            if not self.isSet(name):
                raise ConfigError(name, None, f"set {name} of {type(self).__name__}")
        search = Search(
            estimator=self.getEstimator(),
            maps=self.getEstimatorParamMaps(),
            evaluator=self.getEvaluator(),
            parallelism=self.getParallelism(),
            collect=self.getCollectSubModels(),
            features=self.getFeaturesDir() if self.isSet(self.featuresDir) else None,
        )
        search.check()
        return search

    def _at_random(self: Any, dataset: DataFrame) -> tuple[DataFrame, Column]:
        """The dataset with a number in 0..1 per row, the same that pyspark.ml's would draw."""
        from pyspark.sql import functions as f

        name = f"{self.uid}_rand"
        return dataset.select("*", f.rand(self.getOrDefault(self.seed)).alias(name)), column(name)

    def _group(self: Any, dataset: DataFrame) -> Column:
        """The rows' groups.

        Raises:
            ConfigError: There is no such column, or a row has no value in it.
        """
        name = self.getGroupCol()
        column_type(dataset, "groupCol", name)
        group = column(name).cast("string")
        if not dataset.where(group.isNull()).isEmpty():
            raise ConfigError("groupCol", name, "a row has no value there: give it one of its own")
        return group

    def _fold_of_group(self: Any, dataset: DataFrame, folds: int) -> Column:
        return group_number(self._group(dataset), self.getOrDefault(self.seed)) % folds

    def _share_of_group(self: Any, dataset: DataFrame) -> Column:
        return group_share(self._group(dataset), self.getOrDefault(self.seed))
