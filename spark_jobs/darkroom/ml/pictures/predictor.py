"""Pictures to class probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self

import pyarrow as pa
from pyspark import keyword_only
from pyspark.ml.param import Param, Params, TypeConverters

from darkroom.contract.columns import PROBABILITY
from darkroom.files.cache import default_cache
from darkroom.ml.base.params import whole
from darkroom.ml.pictures.params import Weights
from darkroom.ml.pictures.stage import BackboneTransformer, Output, vector_output
from darkroom.ml.ranking import best_first

if TYPE_CHECKING:
    from darkroom.backbones.catalog import Backbone
    from darkroom.ml.answers import Values
    from darkroom.ml.engines import PreparedModel


class DeepImagePredictor(BackboneTransformer):
    """Runs a classifier over a column of pictures.

    Input: a column of encoded bytes, of Spark's image struct, or of paths and URIs.

    Output: a vector of class probabilities (`pyspark.ml.linalg.VectorUDT`, 1000 for ImageNet's
    classes); or, with ``decodePredictions``, the ``topK`` best classes, best first, as
    array<struct<class: string, description: string, probability: float>>. Null for a null and for a
    picture that cannot be used, whose reason is in ``errorCol`` where that is set.

    Args:
        inputCol: Column to read.
        outputCol: Column to add.
        modelName: A classifier of keras.applications, spelled as there.
        modelFile: Instead of modelName, a Keras model (.keras, .h5) or SavedModel folder from RGB
            pixels (batch, height, width, 3) in 0-255 to probabilities (batch, classes).
        decodePredictions: Whether to name the classes; False by default.
        topK: How many classes are named; 5 by default.
        labels: Names of the classes of ``modelFile``, in the order of its outputs.
        weights: Weights file or URI by model name, where Keras' own are not wanted.
        engine: auto (default), tensorflow, openvino or onnxruntime.
        errorCol: Column for reasons; none by default.

    Example:
        >>> from darkroom import DeepImagePredictor
        >>> predictor = DeepImagePredictor(
        ...     inputCol="image",
        ...     outputCol="predicted_labels",
        ...     modelName="InceptionV3",
        ...     decodePredictions=True,
        ...     topK=10,
        ... )
        >>> predictions = predictor.transform(images)
    """

    decodePredictions: Param[bool] = Param(
        Params._dummy(),
        "decodePredictions",
        "whether the output names the best classes instead of being a vector of probabilities",
        typeConverter=TypeConverters.toBoolean,
    )
    topK: Param[int] = Param(
        Params._dummy(),
        "topK",
        "how many classes are named, best first, with decodePredictions",
        typeConverter=whole("topK", 1),
    )
    labels: Param[list[str]] = Param(
        Params._dummy(),
        "labels",
        "names of the classes of modelFile, in the order of its outputs",
        typeConverter=TypeConverters.toListString,
    )

    @keyword_only
    def __init__(
        self,
        *,
        inputCol: str | None = None,
        outputCol: str | None = None,
        modelName: str | None = None,
        modelFile: str | Path | None = None,
        decodePredictions: bool | None = None,
        topK: int | None = None,
        labels: list[str] | None = None,
        weights: Weights | None = None,
        engine: str | None = None,
        errorCol: str | None = None,
    ) -> None:
        super().__init__()
        self._setDefault(decodePredictions=False, topK=5)
        self._set_given(self._input_kwargs)

    def getDecodePredictions(self) -> bool:
        """Gets the value of decodePredictions or its default value."""
        return self.getOrDefault(self.decodePredictions)

    def setDecodePredictions(self, value: bool) -> Self:
        """Sets the value of decodePredictions."""
        return self._set(decodePredictions=value)

    def getTopK(self) -> int:
        """Gets the value of topK or its default value."""
        return self.getOrDefault(self.topK)

    def setTopK(self, value: int) -> Self:
        """Sets the value of topK."""
        return self._set(topK=value)

    def getLabels(self) -> list[str]:
        """Gets the value of labels."""
        return self.getOrDefault(self.labels)

    def setLabels(self, value: list[str]) -> Self:
        """Sets the value of labels."""
        return self._set(labels=value)

    def _prepare(self) -> tuple[PreparedModel, Output]:
        backbone = self._backbone(top=True)
        prepared = self._prepare_backbone(backbone)
        named = self.getDecodePredictions()
        return prepared, self._ranked(backbone) if named else vector_output(prepared)

    def _ranked(self, backbone: Backbone) -> Output:
        """An output column of the best classes."""
        from pyspark.sql.types import ArrayType, FloatType, StringType, StructField, StructType

        given = self.getLabels() if self.isSet(self.labels) else None
        classes = backbone.class_names(default_cache() / "models", given)
        names = {
            "class": [identifier for identifier, _ in classes],
            "description": [description for _, description in classes],
        }
        top = self.getTopK()

        def answers_of(scores: Values) -> pa.Array:
            return best_first(scores, names, top)

        kind = StructType([StructField(name, StringType()) for name in names])
        return Output(ArrayType(kind.add(PROBABILITY, FloatType())), answers_of)
