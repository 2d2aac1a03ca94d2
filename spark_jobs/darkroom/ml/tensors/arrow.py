"""Tensors in Arrow columns: nested lists, vectors and scalars, to NumPy and back.

Rows are found as slices of one flat array, so that no Python object is made per number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from darkroom.ml.engines import TensorSpec

Shape = tuple[int | None, ...]

COLUMN_TYPES: Final = {
    "bfloat16": "float32",
    "float16": "float32",
    "object": "string",
    "uint8": "int16",
    "uint16": "int32",
    "uint32": "int64",
}
"""Types that Spark does not have, and those that hold their values."""

RAGGED: Final = "it holds a null, or lists of different lengths, inside"


@dataclass(frozen=True)
class TensorColumn:
    """The rows of a column of tensors.

    Attributes:
        values: All numbers (or texts), flat.
        starts: Shape (rows,): where a row begins in ``values``.
        shapes: Shape (rows, rank).
        regular: Shape (rows,): False for a null, and for a row that is no tensor.
        present: Shape (rows,): False for a null.
    """

    values: NDArray[Any]
    starts: NDArray[np.int64]
    shapes: NDArray[np.int64]
    regular: NDArray[np.bool_]
    present: NDArray[np.bool_]

    def fit(self, spec: TensorSpec) -> list[str | None]:
        """What keeps each row from being an input, or None; nulls are not looked at.

        A row of rank 0 or 1 also fits an input of another rank and fixed shape when it has as many
        elements: Spark's vectors know no rank.
        """
        usable = self.regular & self._has_shape(spec.shape)
        whole = self._representable(np.dtype(object if spec.dtype == "string" else spec.dtype))
        return [
            None if usable[row] and whole[row] else self._problem(row, spec, bool(usable[row]))
            for row in range(len(self.starts))
        ]

    def shape(self, row: int, spec: TensorSpec) -> tuple[int, ...]:
        """Shape of a row that fits, as the model takes it."""
        own = tuple(int(size) for size in self.shapes[row])
        if len(own) == len(spec.shape):
            return own
        return tuple(size for size in spec.shape if size is not None)

    def stack(self, rows: Sequence[int], shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
        """One array (rows, *shape) of rows that fit."""
        size = math.prod(shape)
        kind = np.dtype(object if dtype == "string" else dtype)
        batch = np.empty((len(rows), size), kind)
        for target, row in zip(batch, rows, strict=True):
            target[:] = self.values[self.starts[row] : self.starts[row] + size]
        return batch.reshape(len(rows), *shape)

    def _has_shape(self, wanted: Shape) -> NDArray[np.bool_]:
        rank = self.shapes.shape[1]
        if rank != len(wanted):
            sizes = [size for size in wanted if size is not None]
            return np.asarray(self.shapes.prod(axis=1) == math.prod(sizes))
        if rank == 0:
            return np.ones(len(self.shapes), bool)
        free = np.array([size is None for size in wanted])
        exact = np.array([size or 0 for size in wanted])
        return np.asarray(((self.shapes == exact) | free).all(axis=1))

    def _representable(self, kind: np.dtype[Any]) -> NDArray[np.bool_]:
        """Rows whose whole numbers the model's type can hold."""
        rows = np.ones(len(self.starts), bool)
        if kind.kind not in "iu" or self.values.dtype.kind not in "iu":
            return rows
        limits = np.iinfo(kind)
        outside = np.flatnonzero((self.values < limits.min) | (self.values > limits.max))
        sizes = self.shapes.prod(axis=1)
        for place in outside:
            rows &= ~((self.starts <= place) & (place < self.starts + sizes))
        return rows

    def _problem(self, row: int, spec: TensorSpec, has_shape: bool) -> str:
        if not self.regular[row]:
            return RAGGED
        if has_shape:
            return f"it holds a number that {spec.dtype} cannot hold"
        own = tuple(int(size) for size in self.shapes[row])
        return f"its shape is {own}, the model takes {spec.shape}"


def read_tensors(array: pa.Array) -> TensorColumn:
    """Reads an Arrow column.

    Args:
        array: Numbers, booleans or texts; lists of them, nested to any depth; or Spark ML vectors.

    Returns:
        Its rows.
    """
    if pa.types.is_struct(array.type):
        return _vectors(array)
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        return _lists(array)
    return _scalars(array)


def lists_of(batch: NDArray[Any]) -> pa.Array:
    """An Arrow column of tensors of one shape.

    Args:
        batch: Shape (rows, ...).

    Returns:
        Numbers when a row is a scalar, else lists nested as deep as a row's rank.
    """
    kind = COLUMN_TYPES.get(batch.dtype.name, batch.dtype.name)
    flat = batch.ravel()
    column = pa.array(flat if kind == "string" else flat.astype(kind))
    for axis in range(batch.ndim - 1, 0, -1):
        lists = math.prod(batch.shape[:axis])
        offsets = np.arange(lists + 1, dtype=np.int32) * np.int32(batch.shape[axis])
        column = pa.ListArray.from_arrays(pa.array(offsets), column)
    return column


def _scalars(array: pa.Array) -> TensorColumn:
    rows = len(array)
    present = _valid(array)
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        values = np.array([value or "" for value in array.to_pylist()], dtype=object)
    else:
        filled = pc.fill_null(array, False if pa.types.is_boolean(array.type) else 0)
        values = filled.to_numpy(zero_copy_only=False)
    return TensorColumn(
        values=values,
        starts=np.arange(rows, dtype=np.int64),
        shapes=np.empty((rows, 0), np.int64),
        regular=present,
        present=present,
    )


def _lists(array: pa.Array) -> TensorColumn:
    offsets = array.offsets.to_numpy().astype(np.int64)
    first, last = offsets[0], offsets[-1]
    inner = read_tensors(array.values.slice(first, last - first))
    offsets = offsets - first
    lengths = np.diff(offsets)
    filled = lengths > 0
    rows, rank = len(array), inner.shapes.shape[1] + 1
    shapes = np.zeros((rows, rank), np.int64)
    shapes[:, 0] = lengths
    starts = np.zeros(rows, np.int64)
    present = _valid(array)
    regular = present.copy()
    if filled.any():
        # Empty rows take no items, so the others' items follow one another.
        begins = offsets[:-1][filled]
        least = np.minimum.reduceat(inner.shapes, begins)
        most = np.maximum.reduceat(inner.shapes, begins)
        alike = (least == most).all(axis=1) & np.logical_and.reduceat(inner.regular, begins)
        shapes[filled, 1:] = least
        starts[filled] = inner.starts[begins]
        regular[filled] &= alike
    return TensorColumn(inner.values, starts, shapes, regular, present)


def _vectors(array: pa.Array) -> TensorColumn:
    present = _valid(array)
    dense = array.field("type").to_numpy(zero_copy_only=False) == 1
    if (dense | ~present).all():
        column = _lists(array.field("values"))
        return replace(column, regular=column.regular & present, present=present)
    rows = [_dense(value) for value in array.to_pylist()]
    return _lists(pa.array(rows, pa.list_(pa.float64())))


def _dense(vector: dict[str, Any] | None) -> list[float] | None:
    if vector is None:
        return None
    if vector["size"] is None:
        return list(vector["values"])
    values = np.zeros(vector["size"])
    values[vector["indices"]] = vector["values"]
    return values.tolist()  # type: ignore[no-any-return]


def _valid(array: pa.Array) -> NDArray[np.bool_]:
    return np.asarray(array.is_valid().to_numpy(zero_copy_only=False), dtype=bool)
