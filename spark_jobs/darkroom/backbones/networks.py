"""Builds a classifier of keras.applications and fills it from a file, completely or not at all."""

from __future__ import annotations

import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.backbones.keras_table import KERAS_TABLE
from darkroom.backbones.libraries import import_keras
from darkroom.backbones.published import published_weights
from darkroom.contract import ConfigError, one_line

if TYPE_CHECKING:
    import keras

CLASSES = 1000
"""ImageNet's classes, which every published top tells apart."""

IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
"""Standard deviation of ImageNet's red, green and blue, in 0-1."""

_NEW_FORMAT = ".weights.h5"
_LEGACY_FORMAT = ".h5"


def build_network(
    name: str, height: int, width: int, *, pooling: str, top: bool, file: Path
) -> keras.Model:
    """Builds an architecture with its preprocessing and the weights of a file.

    Args:
        name: Of keras.applications.
        height: Input height in pixels.
        width: Input width in pixels.
        pooling: ``avg``, ``max`` or ``none``; without effect on a whole classifier.
        top: Whether to build the whole classifier, softmax included.
        file: Weights of the network with or, for features, also without its top; as Keras
            publishes them or as ``save_weights`` or ``save`` write them.

    Returns:
        A model from (batch, height, width, 3) float32 RGB in 0-255 to (batch, n) float32: features,
        the whole feature map flattened in the order row, column, channel, or 1000 probabilities.

    Raises:
        ConfigError: The file does not hold this network's weights.
    """
    keras = import_keras()
    shape = (height, width, 3)
    # Keras would set out on its own way for a file's name; the strict one is below.
    arguments = {"weights": None, "input_shape": shape, "pooling": None if top else pooling}
    if pooling == "none":
        arguments["pooling"] = None
    application = getattr(keras.applications, name)
    network = application(include_top=top, **arguments)
    _fill(name, network, file, lambda: application(weights=None, input_shape=shape))
    pixels = keras.Input(shape, name="pixels")
    outputs = network(_preprocess(pixels, KERAS_TABLE[name].preprocessing))
    if not top and pooling == "none":
        outputs = keras.layers.Flatten(name="flat")(outputs)
    return keras.Model(pixels, outputs, name=name.lower())


def _preprocess(pixels: keras.KerasTensor, mode: str) -> keras.KerasTensor:
    """The layer form, so that a file with it loads without this module."""
    import keras

    if mode == "inside":
        return pixels
    return keras.applications.imagenet_utils.preprocess_input(pixels, mode=mode)


def _fill(name: str, network: keras.Model, file: Path, build_whole: Any) -> None:
    """Loads a file into a network, or into the whole classifier that the network begins."""
    field = f"features.weights.{name}"
    with _readable(field, file) as (saved, arrays):
        expected = [len(network.weights)]
        if arrays != expected[0]:
            whole = build_whole()
            expected.append(len(whole.weights))
            if arrays == expected[1] > expected[0]:
                _load(field, file, whole, saved)
                _settle(name, whole, file)
                network.set_weights(whole.get_weights()[: expected[0]])
                return
            counts = " or ".join(str(count) for count in sorted(set(expected)))
            raise ConfigError(
                field,
                str(file),
                f"it holds {arrays} arrays where {name} has {counts}"
                f"{'' if len(set(expected)) == 1 else ' (without or with its top)'}: "
                "give this architecture's weights",
            )
        _load(field, file, network, saved)
        _settle(name, network, file)


def _load(field: str, file: Path, network: keras.Model, saved: Path) -> None:
    try:
        with warnings.catch_warnings():
            # Keras only warns when a file lacks a layer's weights and leaves them random.
            warnings.filterwarnings("error", message=".*freshly-initialized")
            network.load_weights(saved)
    except Exception as error:
        raise ConfigError(
            field,
            str(file),
            f"these are not the weights of {field.rpartition('.')[2]} ({one_line(error)}): "
            "give this architecture's weights",
        ) from None


def _settle(name: str, network: keras.Model, file: Path) -> None:
    """Does to EfficientNet (B0 to B7) what Keras does for ``weights="imagenet"`` alone.

    The published networks divide by the standard deviation, not by its root as Keras' layer does:
    Keras adds a layer that makes up for it, which is the same as another variance in that layer.
    """
    if not KERAS_TABLE[name].rescaled or not _is_published(name, file):
        return
    import keras

    layer = next(each for each in network.layers if isinstance(each, keras.layers.Normalization))
    mean, variance, count = layer.get_weights()
    layer.set_weights([mean, variance * IMAGENET_DEVIATION, count])
    layer.finalize_state()


def _is_published(name: str, file: Path) -> bool:
    return any(published_weights(name, top=top).is_same(file) for top in (True, False))


@contextmanager
def _readable(field: str, file: Path) -> Iterator[tuple[Path, int]]:
    """Yields the file under a name by which Keras knows its format, and its number of arrays."""
    import h5py

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        try:
            saved = file
            if zipfile.is_zipfile(file):
                with zipfile.ZipFile(file) as archive:
                    saved = Path(archive.extract("model.weights.h5", folder))
            with h5py.File(saved) as content:
                legacy = "layer_names" in content.attrs or "model_weights" in content
                arrays = _legacy_arrays(content) if legacy else _new_arrays(content)
        except Exception as error:
            raise ConfigError(
                field,
                str(file),
                f"it is no file of weights, or is damaged ({one_line(error)}): give an .h5, "
                ".weights.h5 or .keras file that Keras wrote",
            ) from None
        link = folder / f"named{_LEGACY_FORMAT if legacy else _NEW_FORMAT}"
        link.symlink_to(saved.absolute())
        yield link, arrays


def _legacy_arrays(content: Any) -> int:
    group = content.get("model_weights", content)
    return sum(len(group[_text(name)].attrs["weight_names"]) for name in group.attrs["layer_names"])


def _new_arrays(content: Any) -> int:
    found = []

    def visit(path: str, item: Any) -> None:
        # The state of a random generator is no weight, an optimizer's no network's.
        if hasattr(item, "shape") and "seed_generator" not in path:
            found.append(path)

    content["layers"].visititems(visit)
    return len(found)


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
