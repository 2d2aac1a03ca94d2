"""Classifiers as functions from batches of pictures to answers, in Python workers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from darkroom.contract import columns as c
from darkroom.images import decode_rgb
from darkroom.ml.answers import ERROR, VALUE, ArrowFunction, PairFunction
from darkroom.ml.engines import PreparedModel
from darkroom.ml.inference import ImageSource, Read, image_function
from darkroom.ml.pictures.column import converter_of, fitting
from darkroom.ml.ranking import RETURN_TYPE, first_objects, rank

DETAIL_TYPE: Final = (
    f"struct<{c.OBJECTS}: {RETURN_TYPE}, {c.MODEL_VERSION}: string, {c.ERROR}: string>"
)
"""What a detailed answer holds: the objects, whose answer it is, why there is none."""

Preprocessor = Callable[[NDArray[np.uint8]], Any]
"""From RGB pixels (height, width, 3) of any size to an array of the model's input shape."""

Prepare = Callable[[Callable[[Any], bytes | NDArray[Any]], Any], NDArray[Any]]
"""From how a value is read, and the value, to an array of the model's input shape."""


def recognizer(
    name: str,
    prepared: PreparedModel,
    labels: Sequence[str],
    preprocessor: Preprocessor | None = None,
) -> ArrowFunction:
    """Makes the function that runs in Spark's Python workers.

    Args:
        name: The SQL function's name, for messages.
        prepared: The model; loaded once per worker process, at the first picture.
        labels: Class names in the order of the model's outputs.
        preprocessor: What makes the model's input of RGB pixels; None: they are resized.

    Returns:
        A function from batches of pictures to answers (see `rank`), as many rows in the same order.
    """
    shape = prepared.inputs[0].shape
    prepare = partial(_preprocess, preprocessor, shape) if preprocessor else None
    detailed = _detailed(prepared, labels, pictures_of(name, prepare))

    def recognize(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        for answers in detailed(batches):
            yield answers.field(VALUE)

    return recognize


def detailing(
    name: str,
    prepared: PreparedModel,
    labels: Sequence[str],
    version: str,
    top: int | None = None,
) -> ArrowFunction:
    """Like `recognizer`, for answers that say which model gave them, or why there is none.

    Args:
        name: The SQL function's name, for messages.
        prepared: The model.
        labels: Class names in the order of the model's outputs.
        version: Whose answers they are.
        top: How many objects to keep; None for all.

    Returns:
        A function to structs of type `DETAIL_TYPE`; null for null.
    """
    detailed = _detailed(prepared, labels, pictures_of(name), top)

    def recognize(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        for answers in detailed(batches):
            objects, errors = answers.field(VALUE), answers.field(ERROR)
            yield pa.StructArray.from_arrays(
                [objects, pa.array([version] * len(answers), pa.string()), errors],
                names=[c.OBJECTS, c.MODEL_VERSION, c.ERROR],
                mask=pc.and_(objects.is_null(), errors.is_null()),
            )

    return recognize


def topping(name: str, prepared: PreparedModel, labels: Sequence[str]) -> PairFunction:
    """Like `recognizer`, for a column of pictures and one that says how many objects to answer.

    Returns:
        A function to answers of at most so many objects; null where either is null.

    Raises:
        TypeError: While it runs: the second column holds no whole numbers.
        ValueError: While it runs: one of them is below 1.
    """
    detailed = _detailed(prepared, labels, pictures_of(name))

    def recognize(batches: Iterator[tuple[pa.Array, pa.Array]]) -> Iterator[pa.Array]:
        waiting: deque[int | None] = deque()

        def pictures() -> Iterator[pa.Array]:
            for images, counts in batches:
                waiting.extend(_checked_counts(name, counts))
                yield images

        for answers in detailed(pictures()):
            counts = [waiting.popleft() for _ in range(len(answers))]
            yield first_objects(answers.field(VALUE), counts)

    return recognize


def pictures_of(name: str, prepare: Prepare | None = None) -> Read:
    """How a function reads its argument: bytes, image structs, or paths and URIs.

    Args:
        name: The SQL function's name, for messages.
        prepare: Makes the model's input of a picture; None leaves that to the model's size.

    Returns:
        From a batch to one picture per row; a `TypeError` for a column that can hold none.
    """

    def pictures(batch: pa.Array) -> Iterator[ImageSource]:
        if pa.types.is_null(batch.type):
            yield from [None] * len(batch)
            return
        read = converter_of(batch.type, f"{name}(image): image")
        for value in batch:
            if not value.is_valid:
                yield None
            else:
                yield partial(prepare, read, value) if prepare else partial(read, value)

    return pictures


def _detailed(
    prepared: PreparedModel, labels: Sequence[str], read: Read, top: int | None = None
) -> ArrowFunction:
    """From pictures to structs (value, error); the values are ranked answers."""
    return image_function(prepared, read, lambda scores: rank(scores, labels, top))


def _checked_counts(name: str, counts: pa.Array) -> list[int | None]:
    usable = pa.types.is_integer(counts.type) or pa.types.is_null(counts.type)
    if not usable:
        raise TypeError(f"{name}(image, k): k must be a whole number, not {counts.type}")
    numbers: list[int | None] = counts.to_pylist()
    for number in numbers:
        if number is not None and number < 1:
            raise ValueError(f"{name}(image, k): k must be 1 or more, not {number}")
    return numbers


def _preprocess(
    preprocessor: Preprocessor,
    shape: tuple[int | None, ...],
    read: Callable[[Any], bytes | NDArray[Any]],
    value: Any,
) -> NDArray[Any]:
    picture = read(value)
    pixels = decode_rgb(picture) if isinstance(picture, bytes) else picture
    return fitting(preprocessor(pixels), shape, "preprocessor")
