"""Label columns of any usual type as class indices: strings, whole numbers, one-hot."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from darkroom.contract import ConfigError, DataError
from darkroom.ml.base.attaching import column as column_named
from darkroom.ml.base.attaching import column_type

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

MAX_CLASSES: Final = 100_000
"""More different labels than this are a sign of the wrong column."""

Label = str | int


class LabelKind(StrEnum):
    """What a label column holds."""

    STRING = "string"
    """Class names; indexed in sorted order."""
    NUMBER = "number"
    """Class indices 0 .. n-1, as integers or as whole floating-point numbers."""
    ONE_HOT = "one-hot"
    """Arrays or vectors with a single one."""


class LabelError(ValueError):
    """A label that does not name a class."""


@dataclass(frozen=True)
class Classes:
    """The classes of a label column.

    Attributes:
        kind: What the column holds.
        labels: The labels in the order of the network's outputs: names, or 0 .. n-1.
        rows: Number of rows, those without a label included.
    """

    kind: LabelKind
    labels: tuple[Label, ...]
    rows: int

    def indexer(self) -> Callable[[Any], int]:
        """A function from a label to its class index; raises `LabelError`."""
        if self.kind is LabelKind.ONE_HOT:
            return _hot_index(len(self.labels))
        known = {label: n for n, label in enumerate(self.labels)}

        def index(label: Any) -> int:
            try:
                return known[label]
            except KeyError:
                raise LabelError(f"label {label!r} is none of the classes") from None

        return index


def label_kind(frame: DataFrame, column: str) -> LabelKind:
    """Tells what a label column holds from its type.

    Raises:
        ConfigError: There is no such column, or its type cannot be a label.
    """
    from pyspark.ml.linalg import VectorUDT
    from pyspark.sql.types import ArrayType, DecimalType, NumericType, StringType

    kind = column_type(frame, "labelCol", column)
    if isinstance(kind, StringType):
        return LabelKind.STRING
    if isinstance(kind, NumericType) and not isinstance(kind, DecimalType):
        return LabelKind.NUMBER
    if isinstance(kind, VectorUDT):
        return LabelKind.ONE_HOT
    if isinstance(kind, ArrayType) and isinstance(kind.elementType, NumericType):
        return LabelKind.ONE_HOT
    raise ConfigError(
        "labelCol",
        column,
        f"its type is {kind.simpleString()}: a label is a string, a whole number, or a one-hot "
        "array or vector",
    )


def label_values(frame: DataFrame, column: str, kind: LabelKind) -> Column:
    """The labels as plain values, so that a worker meets no vector type."""
    from pyspark.ml.linalg import VectorUDT

    value = column_named(column)
    vectors = kind is LabelKind.ONE_HOT and isinstance(frame.schema[column].dataType, VectorUDT)
    return array_of_vector(value) if vectors else value


def array_of_vector(vector: Column) -> Column:
    """A vector column as arrays of doubles; Spark's own function fails at a null."""
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql import functions as F

    return F.when(vector.isNotNull(), vector_to_array(vector))


def find_classes(frame: DataFrame, column: str, given: Sequence[Label] | None = None) -> Classes:
    """Reads the classes of a label column: one small job, of the label column alone.

    Args:
        frame: Has ``column``: string, number, or one-hot array or vector.
        column: The label column.
        given: The classes, where the data may lack some of them; None: those of the data.

    Returns:
        The classes: names in sorted order; of numbers 0 .. largest; of one-hot 0 .. length-1.

    Raises:
        ConfigError: The column cannot be used, or ``given`` does not suit it.
        DataError: There are no rows, no labels, or fewer than two classes.
    """
    from pyspark.sql import functions as F

    kind = label_kind(frame, column)
    value = label_values(frame, column, kind)
    # Of one-hot labels the length says it all.
    key = F.size(value) if kind is LabelKind.ONE_HOT else value
    counts = (
        frame.select(F.when(value.isNotNull(), key).alias("key"))
        .groupBy("key")
        .agg(F.count(F.lit(1)).alias("rows"))
        .limit(MAX_CLASSES + 1)
        .collect()
    )
    found = [row["key"] for row in counts if row["key"] is not None]
    labels = classes_of(column, kind, found, given)
    return Classes(kind=kind, labels=labels, rows=sum(row["rows"] for row in counts))


def classes_of(
    column: str, kind: LabelKind, found: Sequence[Any], given: Sequence[Label] | None
) -> tuple[Label, ...]:
    """The classes in the order of their indices.

    Args:
        column: The label column, for messages.
        kind: What it holds.
        found: Its different labels in any order; of one-hot labels their different lengths.
        given: The classes, where the data may lack some of them.

    Raises:
        ConfigError: ``given`` does not suit the labels.
        DataError: They are not the labels of at least two classes.
    """
    if not found:
        raise DataError(f"labelCol {column!r} holds no label: there is nothing to train on")
    if len(found) > MAX_CLASSES:
        raise DataError(f"labelCol {column!r} holds more than {MAX_CLASSES:,} different labels")
    known = (
        _check_given(kind, given) if given is not None else _of_data(column, kind, sorted(found))
    )
    if len(known) < 2:
        raise DataError(f"labelCol {column!r} holds one class, {known[0]!r}: two are needed")
    return known


def _of_data(column: str, kind: LabelKind, found: list[Any]) -> tuple[Label, ...]:
    if kind is LabelKind.STRING:
        return tuple(found)
    if kind is LabelKind.ONE_HOT and len(found) > 1:
        raise DataError(f"labelCol {column!r} holds one-hot labels of different lengths: {found}")
    odd = [item for item in found if not (0 <= item < math.inf) or item != int(item)]
    if odd:
        raise DataError(
            f"labelCol {column!r} holds {odd[0]!r}: numbers must be class indices 0, 1, 2, ...; "
            "use strings for other labels"
        )
    largest = int(found[-1])
    return tuple(range(largest if kind is LabelKind.ONE_HOT else largest + 1))


def _check_given(kind: LabelKind, given: Sequence[Label]) -> tuple[Label, ...]:
    labels = tuple(given)
    if kind is LabelKind.STRING:
        if all(isinstance(item, str) for item in labels) and len(set(labels)) == len(labels) > 0:
            return labels
        raise ConfigError(
            "classLabels", list(given), "give different texts, as in the label column"
        )
    if labels and labels == tuple(range(len(labels))):
        return labels
    raise ConfigError(
        "classLabels",
        list(given),
        "the labels are class indices: give list(range(n)) or leave it out",
    )


def _hot_index(width: int) -> Callable[[Any], int]:
    def index(label: Sequence[float]) -> int:
        values = list(label)
        if len(values) != width:
            raise LabelError(f"one-hot label of length {len(values)}, not {width}")
        if sorted(values) != [0.0] * (width - 1) + [1.0]:
            raise LabelError(f"label {values} is not one-hot")
        return values.index(1.0)

    return index
