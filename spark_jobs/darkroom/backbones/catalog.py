"""Backbones by name: the embedded one, keras.applications' classifiers, and model files.

Every backbone becomes one Keras file that takes RGB pixels in 0-255 and returns pooled feature
vectors, its own preprocessing inside; workers load that file and need to know nothing else.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.backbones import embedded
from darkroom.backbones.keras_table import KERAS_TABLE
from darkroom.contract import ConfigError
from darkroom.contract.config import MODEL_FILE_SUFFIXES
from darkroom.contract.names import BACKBONES, EMBEDDED, near_matches
from darkroom.images import PIXEL_PATH_VERSION

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A pre-trained network, not yet loaded.

    Attributes:
        name: As the configuration spells it.
        height: Input height in pixels.
        width: Input width in pixels.
        weights_digest: Identifies the weights: SHA-256 of their file, or the published set.
        file: A Keras model file (embedded, user's), a weights file, or None for Keras' own cache.
    """

    name: str
    height: int
    width: int
    weights_digest: str
    file: Path | None

    @property
    def key(self) -> str:
        """SHA-256 over name, weights, input size, pooling and the pixel path's version."""
        parts = [self.name, self.weights_digest, self.height, self.width, "avg", PIXEL_PATH_VERSION]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def build(self) -> keras.Model:
        """Loads the network.

        Returns:
            A model from (batch, height, width, 3) float32 RGB in 0-255 to (batch, n) float32
            feature vectors.

        Raises:
            ConfigError: The weights cannot be had, or the model file is not usable.
        """
        if self.name in KERAS_TABLE:
            return _build_keras(self)
        assert self.file is not None
        return _load_model(self.name, self.file)

    def model_file(self, cache: Path) -> Path:
        """A Keras file of `build`'s model, made on first use.

        Args:
            cache: Folder for files that do not exist yet; all workers must see it.

        Returns:
            Path of the file.
        """
        if self.name == EMBEDDED:
            return embedded.MODEL_FILE
        file = cache / f"{self.key}.keras"
        if not file.exists():
            cache.mkdir(parents=True, exist_ok=True)
            scratch = file.with_name(f".{file.name}")
            self.build().save(scratch)
            scratch.replace(file)
        return file


def resolve(name: str, weights: Mapping[str, str] | None = None) -> Backbone:
    """Finds a backbone and its weights without loading them.

    Args:
        name: ``embedded``, a classifier of keras.applications, or the path of a Keras model file
            whose output is a feature vector or a feature map.
        weights: Weights file per name, where Keras' own are not wanted.

    Returns:
        The backbone.

    Raises:
        ConfigError: The name is unknown, or a file it needs does not exist.
    """
    given = (weights or {}).get(name)
    if name == EMBEDDED:
        file = _existing("features.backbones", str(embedded.MODEL_FILE))
        size = embedded.INPUT_SIZE
        return Backbone(name=name, height=size, width=size, weights_digest=_sha256(file), file=file)
    if name in KERAS_TABLE:
        size = KERAS_TABLE[name].size
        own = _existing(f"features.weights.{name}", given) if given else None
        digest = _sha256(own) if own else "imagenet"
        return Backbone(name=name, height=size, width=size, weights_digest=digest, file=own)
    if name.endswith(MODEL_FILE_SUFFIXES):
        return _user_model(name)
    remedy = f"unknown backbone, {near_matches(name, BACKBONES)}"
    raise ConfigError("features.backbones", name, remedy)


def _build_keras(backbone: Backbone) -> keras.Model:
    import keras

    entry = KERAS_TABLE[backbone.name]
    module = getattr(keras.applications, entry.module)
    application = getattr(keras.applications, backbone.name)
    try:
        with warnings.catch_warnings():
            # Keras only warns when a file lacks a layer's weights and leaves them random.
            warnings.filterwarnings("error", message=".*freshly-initialized")
            network = application(
                include_top=False,
                pooling="avg",
                weights=str(backbone.file) if backbone.file else "imagenet",
                input_shape=(entry.size, entry.size, 3),
            )
    except Exception as error:
        raise ConfigError(
            f"features.weights.{backbone.name}",
            str(backbone.file) if backbone.file else "imagenet",
            f"the weights cannot be loaded ({' '.join(str(error).split())[:160]}): put the "
            f"no-top weights file on this machine and name it here",
        ) from None
    pixels = keras.Input((entry.size, entry.size, 3), name="pixels")
    # The layer form: a file with it loads without this module.
    return keras.Model(pixels, network(module.preprocess_input(pixels)), name=backbone.name.lower())


def _user_model(name: str) -> Backbone:
    file = _existing("features.backbones", name)
    model = _load_model(name, file)
    _, height, width, channels = model.input_shape
    if height is None or width is None or channels != 3:
        raise ConfigError(
            "features.backbones", name, f"its input is {model.input_shape}: fix height, width, 3"
        )
    return Backbone(name=name, height=height, width=width, weights_digest=_sha256(file), file=file)


def _load_model(name: str, file: Path) -> keras.Model:
    import keras

    try:
        model = keras.saving.load_model(file, compile=False)
    except Exception as error:
        reason = " ".join(str(error).split())[:160]
        raise ConfigError("features.backbones", name, f"Keras cannot load it: {reason}") from None
    if len(model.output_shape) == 4:
        pooled = keras.layers.GlobalAveragePooling2D(name="pool")(model.output)
        return keras.Model(model.input, pooled)
    return model


def _existing(field: str, path: str) -> Path:
    file = Path(path)
    if not file.is_file():
        raise ConfigError(field, path, "there is no such file: put it there or correct the path")
    return file


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
