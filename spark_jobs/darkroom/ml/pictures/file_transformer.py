"""A Keras model over picture files, read by a function of the user's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pyspark import keyword_only
from pyspark.ml.param import Param, Params

from darkroom.contract import ConfigError
from darkroom.ml.answers import images
from darkroom.ml.base.params import HasModelFile, one_of
from darkroom.ml.engines import Engine, prepare
from darkroom.ml.pictures.column import image_type
from darkroom.ml.pictures.stage import LoaderTransformer, Output, vector_output

if TYPE_CHECKING:
    from darkroom.ml.engines import PreparedModel

OUTPUT_MODES = ("vector", "image")


class KerasImageFileTransformer(LoaderTransformer, HasModelFile):
    """Runs a Keras model over the picture files that a column of paths or URIs names.

    Input: a column of paths and URIs. Without ``imageLoader`` it may hold encoded bytes or Spark's
    image struct as well, and pictures are decoded to RGB, resized to the model's input and given to
    it as float32 in 0-255. With it, workers call the function with each path or URI and give the
    model what it returns, an array of the shape of the model's input, unchanged.

    Output: a vector of the model's output in row-major order; or, with ``outputMode`` image,
    Spark's image struct (float32, without an origin) of an output of shape (height, width,
    channels) whose channels are RGB, RGBA or grey. Null for a null, for a picture that cannot be
    used and where the function raises; the reason is in ``errorCol`` where that is set.

    Args:
        inputCol: Column to read.
        outputCol: Column to add.
        modelFile: A Keras model (.keras, .h5) or a SavedModel folder.
        imageLoader: A function from a path or URI to an array, or ``module:function``. A stage is
            saved with the name under which its function is imported: a lambda cannot be saved.
        outputMode: vector (default) or image.
        engine: auto (default), tensorflow, openvino or onnxruntime.
        errorCol: Column for reasons; none by default.

    Example:
        >>> from darkroom import KerasImageFileTransformer
        >>> transformer = KerasImageFileTransformer(
        ...     inputCol="uri", outputCol="scores", modelFile="signs.keras", errorCol="reason"
        ... )
        >>> scored = transformer.transform(uris)
    """

    outputMode: Param[str] = Param(
        Params._dummy(),
        "outputMode",
        "what the model's output becomes: a vector, or Spark's image struct",
        typeConverter=one_of("outputMode", OUTPUT_MODES),
    )

    @keyword_only
    def __init__(
        self,
        *,
        inputCol: str | None = None,
        outputCol: str | None = None,
        modelFile: str | Path | None = None,
        imageLoader: Callable[[str], Any] | str | None = None,
        outputMode: str | None = None,
        engine: str | None = None,
        errorCol: str | None = None,
    ) -> None:
        super().__init__()
        self._setDefault(outputMode="vector")
        self._set_given(self._input_kwargs)

    def getOutputMode(self) -> str:
        """Gets the value of outputMode or its default value."""
        return self.getOrDefault(self.outputMode)

    def setOutputMode(self, value: str) -> Self:
        """Sets the value of outputMode."""
        return self._set(outputMode=value)

    def _prepare(self) -> tuple[PreparedModel, Output]:
        prepared = prepare(self._model_file(), engine=Engine(self.getEngine()))
        return prepared, self._output(prepared)

    def _output(self, prepared: PreparedModel) -> Output:
        if self.getOutputMode() == "vector":
            return vector_output(prepared)
        shape = prepared.outputs[0].shape
        if len(shape) != 3 or shape[2] not in {1, 3, 4}:
            raise ConfigError(
                "outputMode", "image", f"the model's output has shape {shape}, use vector"
            )
        return Output(image_type(), images)
