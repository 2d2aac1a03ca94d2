"""A backbone with a head as one network to be trained; runs in workers, on Keras."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from darkroom.contract import ConfigError
from darkroom.ml.training.rows import Batch
from darkroom.tuning.head_fits import HeadFit, fit_head
from darkroom.tuning.points import Point

FIRST_HEAD: Final = Point(reg_param=1.0)
"""The head that training begins with, fitted on the features that the backbone has by then.

Kumar et al., "Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution"
(2022): from a random head, the first steps spoil what the backbone knows. The regularisation is
strong: a head that fits its images perfectly leaves the backbone nothing to learn from them."""

FIRST_HEAD_IMAGES: Final = 20_000
"""No more of them are held as vectors for it."""

HEAD_LAYER: Final = "probabilities"

SMALLEST_LOGIT: Final = -100.0
"""In place of the minus infinity of a class without images, from which nothing can be learnt."""


def fine_tune_network(backbone_file: Path, classes: int, last_layers: int) -> Any:
    """A backbone and a softmax layer, of which the last layers are to be trained.

    Batch normalisations keep their statistics: a few images would spoil them.

    Args:
        backbone_file: Keras file, from pixels to vectors.
        classes: Number of classes.
        last_layers: How many layers with weights to train, from the backbone's end.

    Returns:
        An uncompiled model like that of `darkroom.tuning.export.portable_model`.

    Raises:
        ConfigError: The backbone has not so many.
    """
    import keras

    backbone = keras.saving.load_model(backbone_file, compile=False)
    backbone.trainable = True
    leaves = list(_leaves(backbone))
    for layer in leaves:
        layer.trainable = True  # Keras does not pass this on to a frozen model within the model.
    normalisation = keras.layers.BatchNormalization
    weighted = [
        n
        for n, layer in enumerate(leaves)
        if layer.trainable_weights and not isinstance(layer, normalisation)
    ]
    if last_layers > len(weighted):
        remedy = f"this backbone has {len(weighted)} layers with weights: give at most that many"
        raise ConfigError("tuning.fine_tune.last_layers", last_layers, remedy)
    for n, layer in enumerate(leaves):
        layer.trainable = n >= weighted[-last_layers] and not isinstance(layer, normalisation)
    pixels = keras.Input(backbone.input_shape[1:], dtype="float32", name="pixels")
    head = keras.layers.Dense(classes, activation="softmax", dtype="float32", name=HEAD_LAYER)
    return keras.Model(pixels, head(backbone(pixels)), name="darkroom")


def set_first_head(head_fit: HeadFit, model: Any, batches: Iterator[Batch]) -> None:
    """Fits a head on the features of an untrained `fine_tune_network` and gives it to it.

    Args:
        head_fit: How.
        model: The network.
        batches: What it is to be trained on; as many as are needed are taken.
    """
    import keras

    backbone = keras.Model(model.input, model.get_layer(HEAD_LAYER).input)
    vectors: list[NDArray[np.float32]] = []
    truths: list[NDArray[np.int64]] = []
    for images, labels in batches:
        vectors.append(np.asarray(backbone.predict_on_batch(images.astype(np.float32))))
        truths.append(labels)
        if sum(map(len, truths)) >= FIRST_HEAD_IMAGES:
            break
    head = fit_head(np.concatenate(vectors), np.concatenate(truths).astype(np.intp), head_fit)
    bias = np.maximum(head.bias, SMALLEST_LOGIT)
    model.get_layer(HEAD_LAYER).set_weights([head.kernel, bias])


def _leaves(model: Any) -> Iterator[Any]:
    """The layers of a model in their order, those of models within it too."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _leaves(layer)
        else:
            yield layer
