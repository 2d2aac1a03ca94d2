"""Runs a model over columns of tensors, in Python workers."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from darkroom.ml.answers import ERROR, ArrowFunction, vectors
from darkroom.ml.engines import PreparedModel, TensorSpec, load
from darkroom.ml.tensors.arrow import TensorColumn, lists_of, read_tensors

BATCH_BYTES: Final = 16 * 2**20
"""Of the inputs of one forward pass; bounds a worker's memory whatever it is given."""

MAX_BATCH: Final = 256
"""Rows of one forward pass, however small they are."""

SLICE: Final = 2048
"""Rows that are read at a time."""


@dataclass(frozen=True)
class TensorInput:
    """One input of a model.

    Attributes:
        column: Where it comes from, for reasons.
        spec: What the model takes.
    """

    column: str
    spec: TensorSpec


def tensor_function(
    prepared: PreparedModel,
    inputs: Sequence[TensorInput],
    outputs: Mapping[str, TensorSpec],
    *,
    as_vectors: bool,
) -> ArrowFunction:
    """Makes the function that runs a model over structs of tensors.

    Args:
        prepared: The model.
        inputs: What the structs' fields are, in order.
        outputs: Field of the answer to the output that it gets.
        as_vectors: Whether outputs become Spark ML vectors instead of nested lists.

    Returns:
        From batches of structs to structs of the outputs and `ERROR`, as many rows in the same
        order. Outputs are null where any input is null, which is no error, and where one does not
        fit the model.
    """

    def run(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        for batch in batches:
            for start in range(0, len(batch), SLICE):
                yield _answer(batch.slice(start, SLICE), prepared, inputs, outputs, as_vectors)

    return run


def _answer(
    batch: pa.StructArray,
    prepared: PreparedModel,
    inputs: Sequence[TensorInput],
    outputs: Mapping[str, TensorSpec],
    as_vectors: bool,
) -> pa.Array:
    columns = [read_tensors(batch.field(n)) for n in range(len(inputs))]
    errors = _errors(columns, inputs)
    present = np.logical_and.reduce([column.present for column in columns])
    rows = [row for row in range(len(batch)) if present[row] and errors[row] is None]
    found: dict[str, list[NDArray[Any]]] = {name: [] for name in outputs}
    order: list[int] = []
    for some in _passes(rows, columns, inputs):
        arrays = {
            item.spec.name: column.stack(some, column.shape(some[0], item.spec), item.spec.dtype)
            for column, item in zip(columns, inputs, strict=True)
        }
        answers = load(prepared)(arrays)
        for name, spec in outputs.items():
            found[name].append(answers[spec.name])
        order += some
    place = _places(order, len(batch))
    made = [_column(found[name], spec, as_vectors).take(place) for name, spec in outputs.items()]
    return pa.StructArray.from_arrays([*made, pa.array(errors, pa.string())], [*outputs, ERROR])


def _errors(columns: Sequence[TensorColumn], inputs: Sequence[TensorInput]) -> list[str | None]:
    """Per row the first column that does not fit; None for a row with a null."""
    fits = [column.fit(item.spec) for column, item in zip(columns, inputs, strict=True)]
    present = np.logical_and.reduce([column.present for column in columns])
    errors: list[str | None] = []
    for row, problems in enumerate(zip(*fits, strict=True)):
        reasons = [
            f"{item.column}: {problem}"
            for item, problem in zip(inputs, problems, strict=True)
            if problem is not None
        ]
        errors.append(reasons[0] if reasons and present[row] else None)
    return errors


def _passes(
    rows: Sequence[int], columns: Sequence[TensorColumn], inputs: Sequence[TensorInput]
) -> Iterator[list[int]]:
    """Rows of equal shapes, as many as one forward pass takes."""
    groups: dict[tuple[tuple[int, ...], ...], list[int]] = defaultdict(list)
    for row in rows:
        key = tuple(
            column.shape(row, item.spec) for column, item in zip(columns, inputs, strict=True)
        )
        groups[key].append(row)
    for shapes, members in groups.items():
        numbers = sum(math.prod(shape) for shape in shapes)
        size = max(1, min(MAX_BATCH, BATCH_BYTES // (8 * max(1, numbers))))
        for start in range(0, len(members), size):
            yield members[start : start + size]


def _places(order: Sequence[int], rows: int) -> pa.Array:
    """For each row where its answer lies, null for none."""
    place = np.full(rows, -1, np.int64)
    place[list(order)] = np.arange(len(order))
    return pa.array(place, mask=place < 0)


def _column(found: Sequence[NDArray[Any]], spec: TensorSpec, as_vectors: bool) -> pa.Array:
    if as_vectors:
        return vectors([row for batch in found for row in batch])
    if found:
        return pa.concat_arrays([lists_of(batch) for batch in found])
    kind = object if spec.dtype == "string" else spec.dtype
    return lists_of(np.empty((0, *(size or 0 for size in spec.shape)), kind))
