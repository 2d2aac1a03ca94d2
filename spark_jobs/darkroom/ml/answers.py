"""What models answer, as Arrow columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from darkroom.images import arrayToImageStruct
from darkroom.ml.engines import PreparedModel
from darkroom.ml.inference import ImageSource, Prediction, map_batches

VALUE: Final = "value"
ERROR: Final = "error"

Values = Sequence[NDArray[Any] | None]
AnswersOf = Callable[[Values], pa.Array]
ArrowFunction = Callable[[Iterator[pa.Array]], Iterator[pa.Array]]

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
    absent = np.array([value is None for value in values], dtype=bool)
    known = [value.ravel() for value in values if value is not None]
    lengths = np.zeros(len(values), np.int64)
    lengths[~absent] = [len(row) for row in known]
    flat = np.concatenate(known).astype(np.float64) if known else np.empty(0, np.float64)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    fields = {field.name: field for field in VECTOR_STORAGE}
    return pa.StructArray.from_arrays(
        [
            pa.array(np.full(len(values), _DENSE, np.int8)),
            pa.nulls(len(values), fields["size"].type),
            pa.nulls(len(values), fields["indices"].type),
            pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat), type=fields["values"].type),
        ],
        fields=list(fields.values()),
        mask=pa.array(absent),
    )


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


def image_function(
    prepared: PreparedModel,
    read: Callable[[pa.Array], Iterator[ImageSource]],
    answers_of: AnswersOf,
) -> ArrowFunction:
    """Makes the function that runs a model over a column of pictures, in Python workers.

    Args:
        prepared: The model.
        read: One picture per row of an Arrow column.
        answers_of: Makes the answers' column from the model's outputs.

    Returns:
        From batches of pictures to structs (value, error), as many rows in the same order; the
        model loads at the first usable picture.
    """

    def finish(batch: pa.RecordBatch, found: Sequence[Prediction]) -> pa.RecordBatch:
        del batch
        answers = answers_of([prediction.value for prediction in found])
        errors = pa.array([prediction.error for prediction in found], pa.string())
        return pa.RecordBatch.from_arrays([answers, errors], [VALUE, ERROR])

    def run(arrays: Iterator[pa.Array]) -> Iterator[pa.Array]:
        batches = (pa.RecordBatch.from_arrays([array], ["image"]) for array in arrays)
        for done in map_batches(batches, prepared, lambda batch: read(batch.column(0)), finish):
            yield done.to_struct_array()

    return run
