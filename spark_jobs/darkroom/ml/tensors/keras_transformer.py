"""Any Keras model over columns of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pyspark import keyword_only

from darkroom.ml.engines import Engine, PreparedModel, prepare
from darkroom.ml.tensors.stage import TensorTransformer


class KerasTransformer(TensorTransformer):
    """Runs a Keras model over columns of tensors of any rank.

    Input: numbers, arrays nested as deep as the rank of the model's input, or vectors. The shapes
    are the model's own. A column of rank 0 or 1 is reshaped, row by row, to an input of another
    rank whose shape is fixed: that is how a vector becomes a picture. A column whose type cannot
    hold the input's tensors is an error at ``transform``; a row of another shape, or with a null
    inside, gives null and its reason in ``errorCol``; a null gives null.

    Output: arrays of the model's own type, nested as deep as the output's rank, a number for rank
    0; or, with ``outputMode`` vector, a vector of the numbers in row-major order.

    Args:
        inputCol: Column to read, for a model with one input.
        outputCol: Column to add, for a model with one output.
        modelFile: A Keras model (.keras, .h5), or a SavedModel folder (signature serving_default).
        inputMapping: Instead of inputCol, column to name of the model's input.
        outputMapping: Instead of outputCol, name of the model's output to column; outputs that it
            leaves out are not kept.
        outputMode: array (default) or vector.
        engine: auto (default), tensorflow, openvino or onnxruntime.
        errorCol: Column for reasons; none by default.

    Example:
        >>> from darkroom import KerasTransformer
        >>> transformer = KerasTransformer(
        ...     inputCol="series", outputCol="forecast", modelFile="forecast.keras"
        ... )
        >>> forecasts = transformer.transform(frame)
    """

    @keyword_only
    def __init__(
        self,
        *,
        inputCol: str | None = None,
        outputCol: str | None = None,
        modelFile: str | Path | None = None,
        inputMapping: Mapping[str, str] | None = None,
        outputMapping: Mapping[str, str] | None = None,
        outputMode: str | None = None,
        engine: str | None = None,
        errorCol: str | None = None,
    ) -> None:
        super().__init__()
        self._set_given(self._input_kwargs)

    def _prepare(self) -> PreparedModel:
        return prepare(self._model_file(), engine=Engine(self.getEngine()))
