"""The model that KerasImageFileEstimator fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyspark import keyword_only
from pyspark.ml import Model
from pyspark.ml.param import Param, Params

from darkroom.ml.answers import Values, vectors
from darkroom.ml.base.attaching import check_new, column
from darkroom.ml.engines import Engine, PreparedModel, prepare
from darkroom.ml.pictures.stage import LoaderTransformer, Output
from darkroom.ml.training.fit_params import plain
from darkroom.ml.training.folder import engines_beside
from darkroom.ml.training.labels import array_of_vector
from darkroom.ml.training.params import ImageModelParams

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class KerasImageFileModel(LoaderTransformer, ImageModelParams, Model):
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
        self._set_given(self._input_kwargs)

    @property
    def history(self) -> dict[str, list[float]]:
        """By metric one value per epoch: loss, accuracy, and with validation val_ of both."""
        return self.getOrDefault(self.trainingHistory)

    @property
    def classes(self) -> list[str | int]:
        """The labels in the order of the probabilities."""
        return self.getClassLabels()

    def _prepare(self) -> tuple[PreparedModel, Output]:
        file = self._model_file()
        beside = engines_beside(file)
        cache = beside if beside.is_dir() else None
        prepared = prepare(file, cache, Engine(self.getEngine()))
        return prepared, self._output(prepared)

    def _output(self, prepared: PreparedModel) -> Output:
        from pyspark.ml.linalg import VectorUDT

        width = len(self.classes)
        answers_of = _pairs if prepared.outputs[0].shape == (1,) else vectors
        return Output(VectorUDT(), answers_of, {"ml_attr": {"num_attrs": width}})

    def _transform(self, dataset: DataFrame) -> DataFrame:
        answered = super()._transform(dataset)
        if not self.isSet(self.predictionCol):
            return answered
        from pyspark.sql import functions as F

        name = self.getPredictionCol()
        check_new(answered, [("predictionCol", name)])
        scores = array_of_vector(column(self.getOutputCol()))
        best = F.array_position(scores, F.array_max(scores)) - 1
        return answered.withColumn(name, best.cast("double"))


def _pairs(values: Values) -> pa.Array:
    """Vectors (1 - p, p) of the answers (p,) of a network with one unit."""
    return vectors([None if value is None else np.append(1 - value, value) for value in values])
