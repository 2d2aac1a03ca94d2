"""A TensorFlow SavedModel over columns of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pyspark import keyword_only
from pyspark.ml.param import Param, Params, TypeConverters

from darkroom.ml.engines import PreparedModel, prepare_saved_model
from darkroom.ml.tensors.stage import TensorTransformer


class TFTransformer(TensorTransformer):
    """Runs one signature of a TensorFlow SavedModel over columns of tensors.

    Inputs, outputs, nulls and errors are as for `KerasTransformer`. TensorFlow runs it whatever
    ``engine`` says. Frozen graphs, checkpoints and ``TFInputGraph`` have no successor: export a
    SavedModel, which knows its own inputs and outputs.

    Args:
        inputMapping: Column to input of the signature.
        outputMapping: Output of the signature to column; outputs that it leaves out are not kept.
        modelFile: The SavedModel's folder.
        signature: Which of its signatures; serving_default by default.
        inputCol: Instead of inputMapping, for a signature with one input.
        outputCol: Instead of outputMapping, for a signature with one output.
        outputMode: array (default) or vector.
        errorCol: Column for reasons; none by default.

    Example:
        >>> from darkroom import TFTransformer
        >>> transformer = TFTransformer(
        ...     modelFile="/models/scorer",
        ...     inputMapping={"features": "x"},
        ...     outputMapping={"scores": "probabilities"},
        ... )
        >>> scored = transformer.transform(frame)
    """

    signature: Param[str] = Param(
        Params._dummy(),
        "signature",
        "which of the SavedModel's signatures",
        typeConverter=TypeConverters.toString,
    )

    @keyword_only
    def __init__(
        self,
        *,
        inputMapping: Mapping[str, str] | None = None,
        outputMapping: Mapping[str, str] | None = None,
        modelFile: str | Path | None = None,
        signature: str | None = None,
        inputCol: str | None = None,
        outputCol: str | None = None,
        outputMode: str | None = None,
        errorCol: str | None = None,
    ) -> None:
        super().__init__()
        self._setDefault(signature="serving_default")
        self._set_given(self._input_kwargs)

    def getSignature(self) -> str:
        """Gets the value of signature or its default value."""
        return self.getOrDefault(self.signature)

    def setSignature(self, value: str) -> Self:
        """Sets the value of signature."""
        return self._set(signature=value)

    def _prepare(self) -> PreparedModel:
        return prepare_saved_model(self._model_file(), self.getSignature())
