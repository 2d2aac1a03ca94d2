"""From a fitted head to one Keras model: preprocessing, backbone and softmax."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Thread
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from darkroom.backbones.libraries import import_keras
from darkroom.contract import DarkroomError

if TYPE_CHECKING:
    import keras

    from darkroom.tuning.head import Head, TunedNetwork

PARITY_TOLERANCE = 1e-4
"""Largest difference of a probability between the exported model and the Spark pipeline."""


class Network(Protocol):
    """What an export needs of a `darkroom.backbones.catalog.Backbone`."""

    @property
    def height(self) -> int:
        """Input height in pixels."""

    @property
    def width(self) -> int:
        """Input width in pixels."""

    def build(self) -> keras.Model:
        """(batch, height, width, 3) float32 RGB in 0-255 to (batch, n) float32 features."""


def import_keras_meanwhile() -> None:
    """Starts to import TensorFlow, which takes seconds, while this process waits for Spark."""
    # No daemon: a process that ends in the midst of loading native libraries may crash.
    Thread(target=import_keras, name="import-keras").start()


def portable_model(backbone: Network, head: Head) -> keras.Model:
    """Joins a backbone and a head.

    Args:
        backbone: The network whose features the head was trained on.
        head: The trained layer, or two.

    Returns:
        Model from ``pixels`` (batch, height, width, 3) float32 RGB in 0-255 to probabilities
        (batch, classes) float32.
    """
    # The only place in this stage that needs TensorFlow, and it does: Keras builds and saves a
    # model only with a backend that can run it, and its NumPy backend needs JAX installed.
    keras = import_keras()
    # Automatic layer names count up within a process, and they are part of the saved file.
    keras.utils.clear_session()
    network = backbone.build()
    pixels = keras.Input((backbone.height, backbone.width, 3), dtype="float32", name="pixels")
    inputs = network(pixels)
    if head.hidden_kernel is not None and head.hidden_bias is not None:
        inputs = _dense(inputs, head.hidden_kernel, head.hidden_bias, "relu", "hidden")
    answers = _dense(inputs, head.kernel, head.bias, "softmax", "probabilities")
    return keras.Model(pixels, answers, name="darkroom")


def tuned_model(network: TunedNetwork) -> keras.Model:
    """Reads a network that was trained whole; the same model as `portable_model` makes."""
    keras = import_keras()
    keras.utils.clear_session()
    return keras.saving.load_model(network.file, compile=False)


def _dense(
    inputs: Any,
    kernel: NDArray[np.float64],
    bias: NDArray[np.float64],
    activation: str,
    name: str,
) -> Any:
    keras = import_keras()
    layer = keras.layers.Dense(len(bias), activation=activation, dtype="float32", name=name)
    outputs = layer(inputs)
    layer.set_weights([kernel.astype(np.float32), bias.astype(np.float32)])
    return outputs


def check_parity(
    exported: Sequence[NDArray[np.float32] | None],
    expected: Sequence[NDArray[np.float64]],
    image_ids: Sequence[str],
) -> float:
    """Compares probabilities of the exported model with those of the Spark pipeline.

    Args:
        exported: Per image, shape (classes,); None where the model could not read the image.
        expected: Per image, shape (classes,).
        image_ids: The images, for the message.

    Returns:
        The largest difference found.

    Raises:
        DarkroomError: It is above `PARITY_TOLERANCE`, or there is nothing to compare.
    """
    if not image_ids:
        raise DarkroomError("the exported model could not be compared with Spark: no train image")
    largest = 0.0
    for ours, theirs, image_id in zip(exported, expected, image_ids, strict=True):
        gap = np.inf if ours is None else float(np.abs(ours - theirs).max())
        # Written so that a NaN fails too.
        if not gap <= PARITY_TOLERANCE:
            raise DarkroomError(
                f"the exported model disagrees with Spark by {gap:.2g} on image {image_id[:12]} "
                f"(at most {PARITY_TOLERANCE:g} is tolerated): compute the features anew with "
                "featurize --force, for these are from another network or machine"
            )
        largest = max(largest, gap)
    return largest
