"""Runs a prepared model over images: the one engine room behind features, evaluation and SQL."""

from __future__ import annotations

import functools
import gc
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from darkroom.contract import DataError, class_and_text
from darkroom.images import ImageRejectedError, read_rgb, resize_rgb
from darkroom.ml.answers import ERROR, VALUE, AnswersOf, ArrowFunction, float_lists
from darkroom.ml.engines import Engine, PreparedModel, load

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

PASS_PIXELS: Final = {
    Engine.OPENVINO: 224 * 224,
    Engine.ONNXRUNTIME: 224 * 224,
    Engine.TENSORFLOW: 32 * 224 * 224,
}
"""Pixels of one forward pass, after resizing. What is exported is quickest while all of a layer
fits the processor's cache; TensorFlow has more to do per call. See docs/performance.md."""

PASS_IMAGES: Final = 64
"""Most images of one forward pass, however small they are."""

AHEAD_PIXELS: Final = 16 * 224 * 224
"""Pixels, after resizing, that are decoded while a forward pass runs."""

ANSWER_ROWS: Final = 256
ANSWER_BYTES: Final = 8 << 20
"""A larger Arrow batch is answered in parts of so many rows or bytes."""

DECODERS: Final = 1
"""Threads that decode beside the one that runs the network."""

Pixels = NDArray[Any]
"""uint8 RGB (height, width, 3) of any size, or an array of exactly the model's input shape."""

ImageSource = bytes | Pixels | Callable[[], "bytes | Pixels | None"] | None
"""Encoded bytes, pixels, a function that reads either, or nothing."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What came of one image.

    Attributes:
        value: The model's output without the batch axis; None for no image or an unusable one.
        error: Why an image could not be used, one line; None for no image.
    """

    value: NDArray[Any] | None
    error: str | None = None


Predictor = Callable[[Iterable[ImageSource]], list[Prediction]]
ImagesOf = Callable[[pa.RecordBatch], Iterable[ImageSource]]
Finish = Callable[[pa.RecordBatch, Sequence[Prediction]], pa.RecordBatch]
Read = Callable[[pa.Array], Iterator[ImageSource]]
"""One image per row of an Arrow column."""


def predict_images(
    frame: DataFrame,
    prepared: PreparedModel,
    *,
    image_col: str = "image",
    output_col: str = "vector",
) -> DataFrame:
    """Runs a model over a column of encoded images.

    Args:
        frame: Has ``image_col`` (binary); its other columns are kept, in order.
        prepared: What `darkroom.ml.engines.prepare` and `ship` returned; one input (batch, height,
            width, 3) of RGB in 0-255, one output.
        image_col: Column to read; it is not part of the result, so that bytes do not travel back.
        output_col: Column to add.

    Returns:
        The frame without ``image_col``, with ``output_col`` (array<float>, the output's values in
        row-major order): null where the image is null or cannot be decoded. Rows keep their order.
    """
    from pyspark.sql.types import ArrayType, FloatType, StructField, StructType

    kept = [f for f in frame.schema.fields if f.name != image_col]
    schema = StructType([*kept, StructField(output_col, ArrayType(FloatType()))])

    def images_of(batch: pa.RecordBatch) -> Iterable[ImageSource]:
        return encoded(batch.column(image_col))

    def finish(batch: pa.RecordBatch, found: Sequence[Prediction]) -> pa.RecordBatch:
        column = float_lists([prediction.value for prediction in found])
        return batch.drop_columns([image_col]).append_column(output_col, column)

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return map_batches(batches, prepared, images_of, finish)

    return frame.mapInArrow(run, schema)


def image_function(prepared: PreparedModel, read: Read, answers_of: AnswersOf) -> ArrowFunction:
    """Makes the function that runs a model over a column of images, in Python workers.

    Args:
        prepared: The model.
        read: One image per row of the column.
        answers_of: Makes the answers' column from the model's outputs.

    Returns:
        From batches of images to structs (value, error), as many rows in the same order; the
        model loads at the first usable image.
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


def map_batches(
    batches: Iterable[pa.RecordBatch], prepared: PreparedModel, images_of: ImagesOf, finish: Finish
) -> Iterator[pa.RecordBatch]:
    """Runs a model over Arrow batches, in a Python worker.

    Forward passes are cut by pixels, across the borders of the batches; an answer is a slice of
    one batch, and all rows come back in their order.

    Args:
        batches: Of any length.
        prepared: The model.
        images_of: One image per row of a batch.
        finish: Makes the answer from a slice of a batch and its predictions.

    Yields:
        What ``finish`` returned.
    """
    waiting: deque[pa.RecordBatch] = deque()

    def images() -> Iterator[ImageSource]:
        for batch in batches:
            if batch.num_rows:
                waiting.append(batch)
                yield from images_of(batch)

    done: list[Prediction] = []
    start = size = 0
    for prediction in predictions(images(), prepared):
        done.append(prediction)
        size += 0 if prediction.value is None else prediction.value.nbytes
        whole = start + len(done) == waiting[0].num_rows
        if whole or len(done) >= ANSWER_ROWS or size >= ANSWER_BYTES:
            yield finish(waiting[0].slice(start, len(done)), done)
            start = 0 if whole else start + len(done)
            if whole:
                waiting.popleft()
            done, size = [], 0
    _exempt_from_collections(prepared)


@functools.lru_cache(maxsize=8)
def _exempt_from_collections(prepared: PreparedModel) -> None:
    """Has garbage collection pass over all that is there once a model is loaded.

    Spark collects after each task of a Python worker, and would look at every object of every
    imported library: 40 ms with a small engine, 200 ms with TensorFlow.
    """
    del prepared
    # What an earlier model has left is looked at once more.
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def predictions(images: Iterable[ImageSource], prepared: PreparedModel) -> Iterator[Prediction]:
    """Runs a model over a stream of images, few of which are in memory at a time.

    Args:
        images: In any number.
        prepared: The model; see `image_predictor`.

    Yields:
        One prediction per image, in order.
    """
    shape = input_shape(prepared)
    size = pass_images(prepared)
    ahead = min(2 * PASS_IMAGES, max(size, 3 * AHEAD_PIXELS // math.prod(shape)))
    decoded = _decoded(images, shape, ahead)
    while some := list(islice(decoded, size)):
        yield from _forward(some, prepared)


@functools.lru_cache(maxsize=8)
def image_predictor(prepared: PreparedModel) -> Predictor:
    """Makes the function that runs a model over images; the model loads at the first usable one.

    Args:
        prepared: One input (batch, height, width, 3) of RGB in 0-255 of any real type, or of
            another fixed shape for arrays only; one output.

    Returns:
        A function from images to one prediction each, in order. Encoded bytes and uint8 pixels are
        brought to the model's size; an array of exactly the input's shape is taken as it is.

    Raises:
        DataError: The model has other inputs or outputs.
    """
    input_shape(prepared)
    return lambda images: list(predictions(images, prepared))


def input_size(prepared: PreparedModel) -> tuple[int, int]:
    """Height and width of the images that a model takes.

    Raises:
        DataError: It is no model of one image and one answer.
    """
    shape = input_shape(prepared)
    if not _is_picture(shape):
        raise _no_images(prepared)
    return shape[0], shape[1]


def input_shape(prepared: PreparedModel) -> tuple[int, ...]:
    """Shape of the one array that a model takes, without the batch axis.

    Raises:
        DataError: Its size is not fixed, or the model has several inputs or outputs.
    """
    if len(prepared.inputs) == len(prepared.outputs) == 1:
        shape = tuple(size for size in prepared.inputs[0].shape if size)
        if shape == prepared.inputs[0].shape:
            return shape
    raise _no_images(prepared)


def pass_images(prepared: PreparedModel) -> int:
    """How many images go through a model at a time."""
    pixels = math.prod(input_shape(prepared)) / 3
    return min(PASS_IMAGES, max(1, int(PASS_PIXELS[prepared.engine] / pixels)))


def _is_picture(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[2] == 3


def _no_images(prepared: PreparedModel) -> DataError:
    return DataError(
        f"{prepared.file} is no model of images: it needs one input (batch, height, width, 3) of "
        f"fixed size and one output, and has inputs {_shown(prepared.inputs)} and outputs "
        f"{_shown(prepared.outputs)}"
    )


def encoded(column: pa.Array) -> Iterator[bytes | None]:
    """The bytes of a binary column, one copy of one image at a time."""
    for value in column:
        yield value.as_py()


def _decoded(
    images: Iterable[ImageSource], shape: tuple[int, ...], ahead: int
) -> Iterator[Pixels | str | None]:
    """Pixels of the model's size, or what is wrong; decoded in threads, in order."""
    pending: deque[Future[Pixels | str | None]] = deque()
    pool = ThreadPoolExecutor(DECODERS, thread_name_prefix="decode")
    try:
        for image in images:
            pending.append(pool.submit(pixels_of, image, shape))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        # Whoever reads no further, as a query with a LIMIT, does not wait for the rest.
        pool.shutdown(cancel_futures=True)


def pixels_of(image: ImageSource, shape: tuple[int, ...]) -> Pixels | str | None:
    """An image in a model's input shape; a text says why there is none, None that it is null.

    Training reads its images through here too.
    """
    try:
        if callable(image):
            image = image()
        if image is None:
            return None
        pixels = read_rgb(image, shape[0], shape[1]) if isinstance(image, bytes) else image
    except ImageRejectedError as error:
        return str(error)
    except Exception as error:
        # A loader is the user's code: whatever it says belongs to this row.
        return class_and_text(error)
    if pixels.dtype == np.uint8 and _is_picture(pixels.shape) and _is_picture(shape):
        return resize_rgb(pixels, shape[0], shape[1])
    if pixels.shape == shape:
        return pixels
    return (
        f"pixels must be (height, width, 3) of uint8, or {shape} of any type, not "
        f"{pixels.shape} of {pixels.dtype}"
    )


def _forward(some: Sequence[Pixels | str | None], prepared: PreparedModel) -> list[Prediction]:
    usable = [pixels for pixels in some if pixels is not None and not isinstance(pixels, str)]
    outputs: Iterator[NDArray[Any]] = iter(())
    if usable:
        source = prepared.inputs[0]
        batch = np.empty((len(usable), *usable[0].shape), source.dtype)
        for row, pixels in zip(batch, usable, strict=True):
            row[...] = pixels
        outputs = iter(load(prepared)({source.name: batch})[prepared.outputs[0].name])
    return [
        Prediction(None, pixels)
        if pixels is None or isinstance(pixels, str)
        else Prediction(next(outputs))
        for pixels in some
    ]


def _shown(specs: Sequence[Any]) -> str:
    return ", ".join(f"{spec.name} (batch, {', '.join(map(str, spec.shape))})" for spec in specs)
