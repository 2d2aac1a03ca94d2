"""MobileNet with seeded weights, saved in the forms in which weights are found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SIDE = 64
"""Input height and width in pixels; the last feature map is 2x2 then."""


@dataclass(frozen=True)
class Saved:
    """The network and its files.

    Attributes:
        network: The whole classifier, as keras.applications builds it.
        whole: Its weights in Keras' format.
        bare: Those of the network without its top.
        whole_legacy: All in HDF5 as Keras' own published files are.
        bare_legacy: The same without the top.
    """

    network: Any
    whole: Path
    bare: Path
    whole_legacy: Path
    bare_legacy: Path

    def maps(self, inputs: np.ndarray) -> np.ndarray:
        """The last feature map, (batch, 2, 2, 1024)."""
        import keras

        pool = self.network.get_layer("global_average_pooling2d")
        cut = keras.Model(self.network.input, pool.input)
        return np.asarray(cut(inputs))


def saved_weights(folder: Path) -> Saved:
    """Builds the network, gives it seeded weights and saves them."""
    import keras

    keras.backend.clear_session()
    shape = (SIDE, SIDE, 3)
    network = keras.applications.MobileNet(weights=None, input_shape=shape)
    random = np.random.default_rng(3)
    network.set_weights([_seeded(array, random) for array in network.get_weights()])
    bare = keras.applications.MobileNet(weights=None, include_top=False, input_shape=shape)
    bare.set_weights(network.get_weights()[: len(bare.weights)])
    for model, name in ((network, "whole"), (bare, "bare")):
        model.save_weights(folder / f"{name}.weights.h5")
        model.save(folder / f"{name}.h5")
    return Saved(
        network,
        folder / "whole.weights.h5",
        folder / "bare.weights.h5",
        folder / "whole.h5",
        folder / "bare.h5",
    )


def _seeded(array: np.ndarray, random: np.random.Generator) -> np.ndarray:
    if array.ndim == 1:
        return random.uniform(0.5, 1.5, array.shape).astype(np.float32)
    return array
