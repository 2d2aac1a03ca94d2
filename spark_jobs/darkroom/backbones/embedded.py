"""The embedded backbone: small enough for the repository, so a first run needs no download.

A plain residual network after He et al., "Deep Residual Learning for Image Recognition" (2016),
with the width and the few layers that a CPU pre-trains in an hour.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

INPUT_SIZE = 64
"""Height and width of the input in pixels."""

FEATURE_WIDTH = 640
"""Length of the feature vector."""

LAST_POOL = "last_average"
"""Layer whose output the head of the pre-training sees."""

MODEL_FILE = Path(__file__).parent / "weights" / "embedded.keras"
"""The trained network; its report lies beside it."""


def build_embedded() -> keras.Model:
    """Builds the network with random weights.

    Input shape: (batch, 64, 64, 3), float32, RGB, range 0-255: scaling is the first layer.
    Output shape: (batch, 640), float32: the middle feature map (8, 8, 192) max-pooled and
    average-pooled, then the last one (4, 4, 256) average-pooled. The middle one keeps the strokes
    and corners that tell signs apart and that the last one, made for animals and vehicles, drops.

    Returns:
        An untrained model named ``embedded``.
    """
    import keras
    from keras import layers

    pixels = keras.Input((INPUT_SIZE, INPUT_SIZE, 3), name="pixels")
    x = layers.Rescaling(1 / 64, offset=-2, name="scale")(pixels)
    x = layers.MaxPooling2D(name="pool1")(_convolve(x, 48, "stem", kernel=5, strides=2))
    x = _residual(_convolve(x, 96, "block1"), 96, "block1_residual")
    x = layers.MaxPooling2D(name="pool2")(x)
    middle = _residual(_convolve(x, 192, "block2"), 192, "block2_residual")
    last = _convolve(layers.MaxPooling2D(name="pool3")(middle), 256, "block3")
    features = layers.Concatenate(name="features")(
        [
            layers.GlobalMaxPooling2D(name="middle_max")(middle),
            layers.GlobalAveragePooling2D(name="middle_average")(middle),
            layers.GlobalAveragePooling2D(name=LAST_POOL)(last),
        ]
    )
    return keras.Model(pixels, features, name="embedded")


def _convolve(
    x: keras.KerasTensor, filters: int, name: str, kernel: int = 3, strides: int = 1
) -> keras.KerasTensor:
    from keras import layers

    x = layers.Conv2D(
        filters, kernel, strides=strides, padding="same", use_bias=False, name=f"{name}_conv"
    )(x)
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    return layers.Activation("relu", name=f"{name}_relu")(x)


def _residual(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
    from keras import layers

    return layers.Add(name=f"{name}_add")([x, _convolve(x, filters, name)])
