"""Pictures of one colour, and small networks that learn to tell them apart."""

from __future__ import annotations

import io
import os
import uuid
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.integration.spark_env.colour_pipeline import CENTRES

SIDE = 8
NAMES = sorted(CENTRES)
DIARY = "DARKROOM_TEST_DIARY"


def picture(label: str, n: int) -> bytes:
    """A picture near a label's colour; each n gives another."""
    red, green, blue = CENTRES[label]
    stream = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), (red, green + n, blue)).save(stream, "PNG")
    return stream.getvalue()


def rows(count: int) -> list[dict[str, Any]]:
    """As many pictures of each colour, with every kind of label."""
    made = []
    for n in range(count):
        for index, name in enumerate(NAMES):
            hot = [1.0 if index == k else 0.0 for k in range(len(NAMES))]
            made.append({"image": picture(name, n), "name": name, "number": index, "hot": hot})
    return made


def network() -> Any:
    """Softmax of the mean colour."""
    return _network(2, "softmax")


def one_unit() -> Any:
    """Sigmoid of the mean colour."""
    return _network(1, "sigmoid")


def three_classes() -> Any:
    """One unit too many."""
    return _network(3, "softmax")


def logits() -> Any:
    """Answers no probabilities."""
    return _network(2, "linear")


def no_network() -> Any:
    """Not what is asked for."""
    return "network"


def diary_network() -> Any:
    """`network`, and a note of the process that asked for it."""
    (Path(os.environ[DIARY]) / f"{os.getpid()}-{uuid.uuid4().hex}").touch()
    return network()


def load(uri: str) -> NDArray[np.float32]:
    """Pixels in 0-1 with a batch axis of 1, as loaders for sparkdl returned them."""
    with Image.open(uri.removeprefix("file:")) as image:
        pixels: NDArray[np.float32] = np.asarray(image, np.float32)[None] / np.float32(255)
        return pixels


def _network(units: int, activation: str) -> Any:
    import keras

    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(units, activation=activation),
        ]
    )


def loaded_network() -> Any:
    """`network` for pixels in 0-1."""
    import keras

    return keras.Sequential([keras.Input((SIDE, SIDE, 3)), *network().layers[1:]])


def save_undecided(file: Path) -> Path:
    """Saves `network` with weights under which each class is equally likely."""
    model = network()
    model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
    model.save(file)
    return file


def weights_of(model_file: str) -> list[NDArray[np.float32]]:
    """All weights of a Keras file, without TensorFlow."""
    found: dict[str, NDArray[np.float32]] = {}
    with zipfile.ZipFile(model_file) as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return [found[name] for name in sorted(found)]
