"""Runs a Keras file over images: the one engine behind features, evaluation and SQL."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from darkroom.images import ImageRejectedError, decode_rgb, resize_rgb

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

BATCH_SIZE = 64
"""Images per forward pass; bounds a worker's memory whatever the partition size."""

Predictor = Callable[[Iterable[bytes | None]], list[NDArray[np.float32] | None]]


def predict_images(
    frame: DataFrame,
    model_file: Path,
    height: int,
    width: int,
    *,
    image_col: str = "image",
    output_col: str = "vector",
) -> DataFrame:
    """Runs a model over a column of encoded images.

    Args:
        frame: Has ``image_col`` (binary); its other columns are kept, in order.
        model_file: Keras file that every worker can read; input (batch, height, width, 3)
            float32 RGB in 0-255, output (batch, n).
        height: Input height in pixels.
        width: Input width in pixels.
        image_col: Column to read; it is not part of the result, so that bytes do not travel back.
        output_col: Column to add.

    Returns:
        The frame without ``image_col``, with ``output_col`` (array<float>, n values): null where
        the image is null or cannot be decoded. Rows keep their order.
    """
    from pyspark.sql.types import ArrayType, FloatType, StructField, StructType

    kept = [f for f in frame.schema.fields if f.name != image_col]
    schema = StructType([*kept, StructField(output_col, ArrayType(FloatType()))])
    path = str(model_file)

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        predict = predictor(path, height, width)
        for batch in batches:
            for start in range(0, batch.num_rows, BATCH_SIZE):
                yield _predict_batch(batch.slice(start, BATCH_SIZE), predict, image_col, output_col)

    return frame.mapInArrow(run, schema)


@functools.lru_cache(maxsize=8)
def predictor(model_file: str, height: int, width: int) -> Predictor:
    """Loads a model once per process.

    Args:
        model_file: Keras file; input (batch, height, width, 3) float32 RGB in 0-255.
        height: Input height in pixels.
        width: Input width in pixels.

    Returns:
        A function from encoded images to output vectors (float32, one dimension each), in order;
        None for an image that is None or cannot be decoded. Batching is the function's business.
    """
    forward = _load(model_file)

    def predict(images: Iterable[bytes | None]) -> list[NDArray[np.float32] | None]:
        todo = list(images)
        vectors: list[NDArray[np.float32] | None] = []
        for start in range(0, len(todo), BATCH_SIZE):
            vectors += _predict_some(todo[start : start + BATCH_SIZE], forward, height, width)
        return vectors

    return predict


def _load(model_file: str) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    # Spark runs one task per core: more threads here would only compete with other tasks.
    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        pass  # Already initialised by the caller's own TensorFlow code: its settings stand.
    import keras

    model = keras.saving.load_model(model_file, compile=False)
    graph = tf.function(lambda pixels: model(pixels, training=False))

    def forward(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        outputs: NDArray[np.float32] = graph(tf.constant(pixels)).numpy()
        return outputs

    return forward


def _predict_some(
    images: Sequence[bytes | None],
    forward: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    height: int,
    width: int,
) -> list[NDArray[np.float32] | None]:
    decoded = [_decode(data, height, width) for data in images]
    readable = [pixels for pixels in decoded if pixels is not None]
    if not readable:
        return [None] * len(images)
    # Padded to the full batch: one shape means one traced graph.
    pixels = np.zeros((BATCH_SIZE, height, width, 3), dtype=np.float32)
    pixels[: len(readable)] = readable
    outputs = iter(forward(pixels))
    return [None if data is None else next(outputs) for data in decoded]


def _decode(data: bytes | None, height: int, width: int) -> NDArray[np.uint8] | None:
    if data is None:
        return None
    try:
        return resize_rgb(decode_rgb(data), height, width)
    except ImageRejectedError:
        return None


def _predict_batch(
    batch: pa.RecordBatch, predict: Predictor, image_col: str, output_col: str
) -> pa.RecordBatch:
    import pyarrow as pa

    vectors = predict(batch.column(image_col).to_pylist())
    column: Any = pa.array(vectors, type=pa.list_(pa.float32()))
    return batch.drop_columns([image_col]).append_column(output_col, column)
