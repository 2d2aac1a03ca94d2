"""What models answer, as Arrow columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from darkroom.images import arrayToImageStruct

VALUE: Final = "value"
ERROR: Final = "error"

Values = Sequence[NDArray[Any] | None]
AnswersOf = Callable[[Values], pa.Array]
ArrowFunction = Callable[[Iterator[pa.Array]], Iterator[pa.Array]]
PairFunction = Callable[[Iterator[tuple[pa.Array, pa.Array]]], Iterator[pa.Array]]

VECTOR_STORAGE: Final = pa.struct(
    [
        pa.field("type", pa.int8(), nullable=False),
        pa.field("size", pa.int32()),
        pa.field("indices", pa.list_(pa.field("element", pa.int32(), nullable=False))),
        pa.field("values", pa.list_(pa.field("element", pa.float64(), nullable=False))),
    ]
)
"""How Spark stores its ML vectors; written here directly, the JVM need not convert them."""

IMAGE_STORAGE: Final = pa.struct(
    [
        pa.field("origin", pa.string()),
        *(pa.field(name, pa.int32(), False) for name in ("height", "width", "nChannels", "mode")),
        pa.field("data", pa.binary(), False),
    ]
)
"""Spark's image struct."""

_DENSE: Final = 1


def vectors(values: Values) -> pa.Array:
    """Makes Spark ML vectors, dense, of arrays in row-major order.

    Args:
        values: One array of any shape per row, or None for a null.

    Returns:
        Arrow structs of type `VECTOR_STORAGE`.
    """
    flat, starts, absent = _flattened(values, np.float64)
    fields = {field.name: field for field in VECTOR_STORAGE}
    return pa.StructArray.from_arrays(
        [
            pa.array(np.full(len(values), _DENSE, np.int8)),
            pa.nulls(len(values), fields["size"].type),
            pa.nulls(len(values), fields["indices"].type),
            pa.ListArray.from_arrays(starts, flat, type=fields["values"].type),
        ],
        fields=list(fields.values()),
        mask=absent,
    )


def float_lists(values: Values) -> pa.Array:
    """Makes lists of float32 of arrays in row-major order.

    Args:
        values: One array of any shape per row, or None for a null.
    """
    flat, starts, absent = _flattened(values, np.float32)
    return pa.ListArray.from_arrays(starts, flat, mask=absent)


def offsets(lengths: NDArray[np.integer[Any]]) -> pa.Array:
    """Where lists begin and end in an array that holds one after the other, as Arrow has it."""
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))


def is_absent(values: Values) -> NDArray[np.bool_]:
    """Shape (rows,): True for None."""
    return np.array([value is None for value in values], dtype=bool)


def images(values: Values) -> pa.Array:
    """Makes values of Spark's image struct.

    Args:
        values: Arrays of shape (height, width, channels), channels RGB, RGBA or grey, numbers of
            any type, kept as float32; or None for a null.

    Returns:
        Arrow structs of type `IMAGE_STORAGE`.
    """
    structs = [
        None
        if value is None
        else arrayToImageStruct(value.astype(np.float32), channelOrder="RGB")._asdict()
        for value in values
    ]
    return pa.array(structs, IMAGE_STORAGE)


def _flattened(
    values: Values, dtype: type[np.floating[Any]]
) -> tuple[pa.Array, pa.Array, pa.Array]:
    """All numbers, the offsets of their rows, and which rows are null."""
    known = [value.ravel() for value in values if value is not None]
    flat = np.concatenate(known).astype(dtype, copy=False) if known else np.empty(0, dtype)
    lengths = np.array([0 if value is None else value.size for value in values], np.int64)
    return pa.array(flat), offsets(lengths), pa.array(is_absent(values))
