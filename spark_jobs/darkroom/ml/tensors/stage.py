"""What the stages over columns of tensors have in common: inputs and outputs by name."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from pyspark.ml import Transformer
from pyspark.ml.param import Param, Params

from darkroom.contract import ConfigError
from darkroom.ml.answers import ERROR
from darkroom.ml.base.attaching import Answer, attach, column, column_type
from darkroom.ml.base.params import (
    HasColumns,
    HasEngine,
    HasErrorCol,
    HasModelFile,
    one_of,
    text_map,
)
from darkroom.ml.base.persistence import StageReadable, StageWritable
from darkroom.ml.engines import PreparedModel, TensorSpec, ship
from darkroom.ml.tensors.arrow import COLUMN_TYPES
from darkroom.ml.tensors.function import TensorInput, tensor_function

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import DataType

ELEMENTS: Final = {
    "bool": "boolean",
    "float32": "float",
    "float64": "double",
    "int8": "tinyint",
    "int16": "smallint",
    "int32": "int",
    "int64": "bigint",
    "string": "string",
}
"""Spark's type for each type of elements in a column (see `COLUMN_TYPES`)."""

OUTPUT_MODES: Final = ("array", "vector")


class TensorTransformer(
    Transformer, HasColumns, HasErrorCol, HasEngine, HasModelFile, StageWritable, StageReadable
):
    """A transformer that runs a model over columns of tensors."""

    inputMapping: Param[dict[str, str]] = Param(
        Params._dummy(),
        "inputMapping",
        "column to name of the model's input, for a model with several",
        typeConverter=text_map("inputMapping", "{'left': 'input_a', 'right': 'input_b'}"),
    )
    outputMapping: Param[dict[str, str]] = Param(
        Params._dummy(),
        "outputMapping",
        "name of the model's output to column, for a model with several or for one of them",
        typeConverter=text_map("outputMapping", "{'scores': 'probabilities'}"),
    )
    outputMode: Param[str] = Param(
        Params._dummy(),
        "outputMode",
        "what outputs become: arrays nested as deep as the output's rank (array), or vectors of "
        "their numbers in row-major order (vector)",
        typeConverter=one_of("outputMode", OUTPUT_MODES),
    )

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(outputMode="array")

    def getInputMapping(self) -> dict[str, str]:
        """Gets the value of inputMapping."""
        return self.getOrDefault(self.inputMapping)

    def setInputMapping(self, value: Mapping[str, str]) -> Self:
        """Sets the value of inputMapping."""
        return self._set(inputMapping=value)

    def getOutputMapping(self) -> dict[str, str]:
        """Gets the value of outputMapping."""
        return self.getOrDefault(self.outputMapping)

    def setOutputMapping(self, value: Mapping[str, str]) -> Self:
        """Sets the value of outputMapping."""
        return self._set(outputMapping=value)

    def getOutputMode(self) -> str:
        """Gets the value of outputMode or its default value."""
        return self.getOrDefault(self.outputMode)

    def setOutputMode(self, value: str) -> Self:
        """Sets the value of outputMode."""
        return self._set(outputMode=value)

    @abstractmethod
    def _prepare(self) -> PreparedModel:
        """The model, ready for its engine; on the driver."""

    def _transform(self, dataset: DataFrame) -> DataFrame:
        from pyspark.sql import functions as F

        columns = self._input_columns(dataset)
        prepared = ship(dataset.sparkSession, self._prepare())
        inputs = [
            TensorInput(name, _spec("inputMapping", target, prepared.inputs))
            for name, target in self._pair_inputs(columns, prepared).items()
        ]
        for item in inputs:
            check_tensor_column(column_type(dataset, "inputCol", item.column), item)
        outputs = {
            f"output{n}": (_spec("outputMapping", source, prepared.outputs), name)
            for n, (source, name) in enumerate(self._pair_outputs(prepared).items())
        }
        as_vectors = self.getOutputMode() == "vector"
        param = "outputMapping" if self.isSet(self.outputMapping) else "outputCol"
        answers = {
            key: Answer(param, name, output_type(spec, as_vectors=as_vectors))
            for key, (spec, name) in outputs.items()
        }
        answers[ERROR] = self._error_answer()
        function = tensor_function(
            prepared,
            inputs,
            {key: spec for key, (spec, _) in outputs.items()},
            as_vectors=as_vectors,
        )
        source = F.struct(
            *(column(item.column).alias(f"input{n}") for n, item in enumerate(inputs))
        )
        return attach(dataset, source, function, answers)

    def _input_columns(self, dataset: DataFrame) -> tuple[str, ...]:
        param = self._either("inputCol", "inputMapping")
        single = param == "inputCol"
        columns = (self.getInputCol(),) if single else tuple(self.getInputMapping())
        for name in columns:
            column_type(dataset, param, name)
        return columns

    def _pair_inputs(self, columns: Sequence[str], prepared: PreparedModel) -> dict[str, str]:
        names = [spec.name for spec in prepared.inputs]
        if not self.isSet(self.inputMapping):
            if len(names) > 1:
                raise ConfigError(
                    "inputCol", columns[0], f"the model has the inputs {names}: set inputMapping"
                )
            return {columns[0]: names[0]}
        mapping = self.getInputMapping()
        if sorted(mapping.values()) != sorted(names):
            raise ConfigError(
                "inputMapping", mapping, f"give each of the model's inputs {names} one column"
            )
        return mapping

    def _pair_outputs(self, prepared: PreparedModel) -> dict[str, str]:
        names = [spec.name for spec in prepared.outputs]
        if not self.isSet(self.outputMapping):
            if len(names) > 1:
                raise ConfigError(
                    "outputCol",
                    self.getOutputCol(),
                    f"the model has the outputs {names}: set outputMapping",
                )
            return {names[0]: self.getOutputCol()}
        return self.getOutputMapping()


def check_tensor_column(kind: DataType, item: TensorInput) -> None:
    """Refuses a column that cannot hold an input's tensors.

    Raises:
        ConfigError: Its elements have another type, or its rank is another and nothing tells how
            to reshape it.
    """
    rank, element = _rank_and_element(kind)
    spec = item.spec
    takes = f"input {spec.name!r} takes {spec.dtype} of shape {spec.shape}"
    if not _holds(element, spec.dtype):
        raise ConfigError(
            "inputCol", item.column, f"its type is {kind.simpleString()} and {takes}: cast it"
        )
    if rank != len(spec.shape) and (rank > 1 or None in spec.shape):
        raise ConfigError(
            "inputCol",
            item.column,
            f"its type is {kind.simpleString()}, a tensor of rank {rank}, and {takes}",
        )


def output_type(spec: TensorSpec, *, as_vectors: bool) -> DataType:
    """Spark type of an output.

    Raises:
        ConfigError: Spark has no type for its elements.
    """
    from pyspark.ml.linalg import VectorUDT
    from pyspark.sql.types import ArrayType, _parse_datatype_string

    element = COLUMN_TYPES.get(spec.dtype, spec.dtype)
    if element not in ELEMENTS or (as_vectors and element == "string"):
        raise ConfigError("outputMapping", spec.name, f"Spark has no column of {spec.dtype}")
    if as_vectors:
        return VectorUDT()
    kind: DataType = _parse_datatype_string(ELEMENTS[element])
    for _ in spec.shape:
        kind = ArrayType(kind)
    return kind


def _spec(param: str, name: str, specs: Sequence[TensorSpec]) -> TensorSpec:
    for spec in specs:
        if spec.name == name:
            return spec
    raise ConfigError(param, name, f"the model has {[spec.name for spec in specs]}")


def _rank_and_element(kind: DataType) -> tuple[int, str]:
    from pyspark.ml.linalg import VectorUDT
    from pyspark.sql.types import ArrayType

    if isinstance(kind, VectorUDT):
        return 1, "double"
    rank = 0
    while isinstance(kind, ArrayType):
        rank, kind = rank + 1, kind.elementType
    return rank, kind.simpleString()


def _holds(element: str, dtype: str) -> bool:
    """Whether a model's type takes a column's elements without losing their fraction."""
    if element not in _KINDS:
        return False
    if "string" in (element, dtype):
        return element == dtype
    taken = "f" if dtype == "bfloat16" else np.dtype(dtype).kind
    return _KINDS[element] in _TAKEN_BY[taken]


_KINDS: Final = {
    "boolean": "b",
    "tinyint": "i",
    "smallint": "i",
    "int": "i",
    "bigint": "i",
    "float": "f",
    "double": "f",
    "string": "s",
}
_TAKEN_BY: Final = {"b": "b", "i": "bi", "u": "bi", "f": "bif"}
