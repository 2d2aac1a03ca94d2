"""The model that KerasImageFileEstimator fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
from pyspark import keyword_only
from pyspark.ml import Model
from pyspark.ml.param import Param, Params

from darkroom.contract import ConfigError
from darkroom.ml.answers import Values, vectors
from darkroom.ml.attaching import column
from darkroom.ml.engines import Engine, PreparedModel, default_cache, prepare
from darkroom.ml.estimator_params import ImageModelParams
from darkroom.ml.fit_params import plain
from darkroom.ml.image_column import loaded_by
from darkroom.ml.labels import array_of_vector
from darkroom.ml.stage import ImageTransformer, Output, Read
from darkroom.ml.training_folder import engines_beside

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class KerasImageFileModel(ImageTransformer, ImageModelParams, Model):
    """A trained network over a column of pictures.

    Input: as `KerasImageFileEstimator`.

    Output: ``outputCol``, a dense vector of probabilities in the order of `classes`; of a network
    with one unit p it is (1 - p, p). ``predictionCol``, where it is set: the index of the largest
    as a double. Both are null for a null and for a picture that cannot be used, whose reason is in
    ``errorCol`` where that is set.

    The network's file belongs to the process that trained it and goes when that ends: ``save`` the
    model, or a pipeline with it, to keep it. A saved model holds its file, and the imageLoader by
    the name of its module and function.
    """

    trainingHistory: Param[dict[str, list[float]]] = Param(
        Params._dummy(),
        "trainingHistory",
        "by metric (loss, accuracy, val_loss, val_accuracy, ...) one value per epoch",
        typeConverter=plain,
    )

    @keyword_only
    def __init__(
        self,
        *,
        inputCol: str | None = None,
        outputCol: str | None = None,
        modelFile: str | Path | None = None,
        imageLoader: Callable[[str], Any] | str | None = None,
        classLabels: Sequence[str | int] | None = None,
        trainingHistory: Mapping[str, Sequence[float]] | None = None,
        predictionCol: str | None = None,
        engine: str | None = None,
        errorCol: str | None = None,
    ) -> None:
        super().__init__()
        self._set_given()

    @keyword_only
    def setParams(
        self,
        *,
        inputCol: str | None = None,
        outputCol: str | None = None,
        modelFile: str | Path | None = None,
        imageLoader: Callable[[str], Any] | str | None = None,
        classLabels: Sequence[str | int] | None = None,
        trainingHistory: Mapping[str, Sequence[float]] | None = None,
        predictionCol: str | None = None,
        engine: str | None = None,
        errorCol: str | None = None,
    ) -> Self:
        """Sets Params by keyword."""
        return self._set_given()

    @property
    def history(self) -> dict[str, list[float]]:
        """By metric one value per epoch: loss, accuracy, and with validation val_ of both."""
        return self.getOrDefault(self.trainingHistory)

    @property
    def classes(self) -> list[str | int]:
        """The labels in the order of the probabilities."""
        return self.getClassLabels()

    def _prepare(self) -> PreparedModel:
        file = Path(self.getModelFile())
        beside = engines_beside(file)
        cache = beside if beside.is_dir() else default_cache() / "engines"
        return prepare(file, cache, Engine(self.getEngine()))

    def _output(self, prepared: PreparedModel) -> Output:
        from pyspark.ml.linalg import VectorUDT

        width = len(self.classes)
        answers_of = _pairs if prepared.outputs[0].shape == (1,) else vectors
        return Output(VectorUDT(), answers_of, {"ml_attr": {"num_attrs": width}})

    def _read(self, dataset: DataFrame, prepared: PreparedModel) -> Read:
        images_of = super()._read(dataset, prepared)
        loader = self._loader(dataset)
        return partial(loaded_by, loader, prepared.inputs[0].shape) if loader else images_of

    def _transform(self, dataset: DataFrame) -> DataFrame:
        answered = super()._transform(dataset)
        if not self.isSet(self.predictionCol):
            return answered
        from pyspark.sql import functions as F

        name = self.getPredictionCol()
        if name in answered.columns:
            raise ConfigError(
                "predictionCol", name, "there is a column of that name: choose another"
            )
        scores = array_of_vector(column(self.getOutputCol()))
        best = F.array_position(scores, F.array_max(scores)) - 1
        return answered.withColumn(name, best.cast("double"))


def _pairs(values: Values) -> pa.Array:
    """Vectors (1 - p, p) of the answers (p,) of a network with one unit."""
    return vectors([None if value is None else np.append(1 - value, value) for value in values])
