"""Classifiers as functions from batches of pictures to answers, in Python workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from darkroom.images import decode_rgb
from darkroom.ml.answers import ArrowFunction
from darkroom.ml.engines import PreparedModel
from darkroom.ml.inference import ImageSource, Read, image_predictor
from darkroom.ml.pictures.column import converter_of, fitting
from darkroom.ml.ranking import rank

Preprocessor = Callable[[NDArray[np.uint8]], Any]
"""From RGB pixels (height, width, 3) of any size to an array of the model's input shape."""


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
        A function from batches of pictures to batches of answers of the same lengths.
    """

    def images(batch: pa.Array) -> Iterator[ImageSource]:
        if pa.types.is_null(batch.type):
            yield from [None] * len(batch)
            return
        read = converter_of(batch.type, f"{name}(image): image")
        for value in batch:
            if not value.is_valid:
                yield None
            elif preprocessor is None:
                yield partial(read, value)
            else:
                yield partial(_preprocess, preprocessor, read, prepared.inputs[0].shape, value)

    return answering(prepared, labels, images)


def answering(prepared: PreparedModel, labels: Sequence[str], images_of: Read) -> ArrowFunction:
    """Makes the function that runs a classifier over a column, in Spark's Python workers.

    Args:
        prepared: The model; loaded once per worker process, at the first usable picture.
        labels: Class names in the order of the model's outputs.
        images_of: One picture per row of a batch.

    Returns:
        A function from batches to batches of answers (see `rank`) of the same lengths.
    """

    def recognize(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        predict = image_predictor(prepared)
        for batch in batches:
            yield rank([prediction.value for prediction in predict(images_of(batch))], labels)

    return recognize


def _preprocess(
    preprocessor: Preprocessor,
    read: Callable[[Any], bytes | NDArray[Any]],
    shape: tuple[int | None, ...],
    value: Any,
) -> NDArray[Any]:
    picture = read(value)
    pixels = decode_rgb(picture) if isinstance(picture, bytes) else picture
    return fitting(preprocessor(pixels), shape, "preprocessor")
