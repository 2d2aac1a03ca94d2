"""Pictures to feature vectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self

from pyspark import keyword_only
from pyspark.ml.param import Param, Params

from darkroom.contract.names import POOLINGS
from darkroom.ml.base.params import one_of
from darkroom.ml.pictures.params import Weights
from darkroom.ml.pictures.stage import BackboneTransformer, Output, vector_output

if TYPE_CHECKING:
    from darkroom.ml.engines import PreparedModel


class DeepImageFeaturizer(BackboneTransformer):
    """Runs a pre-trained network without its last layer over a column of pictures.

    Input: a column of encoded bytes, of Spark's image struct, or of paths and URIs. Every picture
    is decoded to RGB and resized to the network's input; preprocessing is inside the network.

    Output: a vector (`pyspark.ml.linalg.VectorUDT`, dense) per row. With pooling avg or max it has
    the network's feature width, for example 2048 for ResNet50 and 640 for embedded; with none the
    last feature map in row-major order (height, width, channel). Null for a null and for a picture
    that cannot be used, whose reason is in ``errorCol`` where that is set.

    Args:
        inputCol: Column to read.
        outputCol: Column to add.
        modelName: A classifier of keras.applications, spelled as there, or ``embedded``.
        modelFile: Instead of modelName, a Keras model (.keras, .h5) or SavedModel folder from RGB
            pixels (batch, height, width, 3) in 0-255 to features or a feature map.
        pooling: avg (default), max or none: what becomes of a feature map.
        weights: Weights file or URI by model name, where Keras' own are not wanted.
        engine: auto (default), tensorflow, openvino or onnxruntime.
        errorCol: Column for reasons; none by default.

    Example:
        >>> from darkroom import DeepImageFeaturizer
        >>> featurizer = DeepImageFeaturizer(
        ...     inputCol="image", outputCol="features", modelName="embedded"
        ... )
        >>> features = featurizer.transform(images)
    """

    pooling: Param[str] = Param(
        Params._dummy(),
        "pooling",
        "what becomes of a feature map: its average (avg), its maximum (max), or all of it (none)",
        typeConverter=one_of("pooling", POOLINGS),
    )

    @keyword_only
    def __init__(
        self,
        *,
        inputCol: str | None = None,
        outputCol: str | None = None,
        modelName: str | None = None,
        modelFile: str | Path | None = None,
        pooling: str | None = None,
        weights: Weights | None = None,
        engine: str | None = None,
        errorCol: str | None = None,
    ) -> None:
        super().__init__()
        self._setDefault(pooling="avg")
        self._set_given(self._input_kwargs)

    def getPooling(self) -> str:
        """Gets the value of pooling or its default value."""
        return self.getOrDefault(self.pooling)

    def setPooling(self, value: str) -> Self:
        """Sets the value of pooling."""
        return self._set(pooling=value)

    def _prepare(self) -> tuple[PreparedModel, Output]:
        prepared = self._prepare_backbone(self._backbone(pooling=self.getPooling()))
        return prepared, vector_output(prepared)
