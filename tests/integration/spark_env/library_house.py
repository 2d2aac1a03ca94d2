"""Networks whose answers are known by arithmetic, and pictures for the image library's stages."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pyspark.sql import DataFrame

RGB = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "teal": (0, 128, 64)}
SIDE = 8


def picture(colour: str, size: tuple[int, int] = (12, 10)) -> bytes:
    """A PNG of one colour that has a name."""
    return plain_picture(RGB[colour], size)


def plain_picture(rgb: tuple[int, int, int], size: tuple[int, int]) -> bytes:
    """A PNG of one colour."""
    stream = io.BytesIO()
    Image.new("RGB", size, rgb).save(stream, "PNG")
    return stream.getvalue()


def save_mean(file: Path, scale: float = 1.0) -> Path:
    """Saves a network that answers (mean red, mean green, mean blue) times a scale."""
    import keras

    pixels = keras.Input((SIDE, SIDE, 3), name="pixels")
    mean = keras.layers.GlobalAveragePooling2D()(pixels)
    return _save(keras.Model(pixels, keras.layers.Rescaling(scale)(mean)), file)


def colour_classifier() -> Any:
    """A network that answers the softmax of (mean red, mean green, mean blue) / 100."""
    import keras

    pixels = keras.Input((SIDE, SIDE, 3), name="pixels")
    mean = keras.layers.GlobalAveragePooling2D()(pixels)
    scores = keras.layers.Softmax()(keras.layers.Rescaling(0.01)(mean))
    return keras.Model(pixels, scores)


def save_negative(file: Path) -> Path:
    """Saves a network from a picture to its negative."""
    import keras

    pixels = keras.Input((SIDE, SIDE, 3), name="pixels")
    return _save(keras.Model(pixels, keras.layers.Rescaling(-1.0, offset=255.0)(pixels)), file)


def save_doubler(file: Path) -> Path:
    """Saves a network that doubles three numbers."""
    import keras

    numbers = keras.Input((3,), name="numbers")
    return _save(keras.Model(numbers, keras.layers.Rescaling(2.0)(numbers)), file)


def save_grey_sum(file: Path) -> Path:
    """Saves a network that sums the 4 x 2 pixels of a grey picture."""
    import keras

    pixels = keras.Input((4, 2, 1), name="pixels")
    total = keras.layers.GlobalAveragePooling2D()(pixels)
    return _save(keras.Model(pixels, keras.layers.Rescaling(8.0)(total)), file)


def save_two_by_two(file: Path) -> Path:
    """Saves a network of two inputs and two outputs: twice the table, and table plus offset."""
    import keras

    table = keras.Input((2, 3), name="table")
    offset = keras.Input((1,), name="offset")
    twice = keras.layers.Rescaling(2.0, name="twice")(table)
    row = keras.layers.GlobalAveragePooling1D()(table)
    shifted = keras.layers.Add(name="shifted")([row, offset])
    return _save(keras.Model([table, offset], [twice, shifted]), file)


def save_scorer(folder: Path) -> Path:
    """Saves a SavedModel with the signatures serving_default (x to double) and half."""
    import tensorflow as tf

    class Scorer(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec((None, 3), tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def double(self, x: Any) -> dict[str, Any]:
            return {"double": 2 * x, "total": tf.reduce_sum(x, axis=1)}

        @tf.function(input_signature=[tf.TensorSpec((None, None), tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def half(self, x: Any) -> dict[str, Any]:
            return {"half": x / 2}

    scorer = Scorer()
    signatures = {"serving_default": scorer.double, "half": scorer.half}
    tf.saved_model.save(scorer, str(folder), signatures)
    return folder


def write_stream(made: DataFrame, folder: Path) -> None:
    """Writes what a stream has by now into the folder ``out``, and goes on from there next time."""
    assert made.isStreaming
    query = (
        made.writeStream.format("parquet")
        .option("path", str(folder / "out"))
        .option("checkpointLocation", str(folder / "checkpoint"))
        .trigger(availableNow=True)
        .start()
    )
    assert query.awaitTermination(120)


def load_number(uri: str) -> NDArray[np.float64]:
    """A grey picture whose eight pixels are the number that the URI is."""
    return np.full((1, 4, 2, 1), float(uri))


def load_and_count(uri: str) -> NDArray[np.uint8]:
    """A picture of one colour; each call leaves a line in the file named after the URI."""
    with open(uri, "a") as diary:
        diary.write(f"{os.getpid()}\n")
    return np.full((SIDE, SIDE, 3), 7, np.uint8)


def _save(model: Any, file: Path) -> Path:
    model.save(file)
    return file
