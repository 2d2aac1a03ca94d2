"""Backbones by name: the embedded one, keras.applications' classifiers, and model files.

Every backbone becomes one model file that takes RGB pixels in 0-255 and returns feature vectors
or class probabilities, its own preprocessing inside; workers load that file, or what an engine
made of it, and need to know nothing else.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.backbones import embedded, networks, user_models
from darkroom.backbones.class_names import ClassNames, imagenet_names, named
from darkroom.backbones.keras_table import KERAS_TABLE
from darkroom.backbones.model_formats import is_saved_model
from darkroom.backbones.published import cached, keras_cache, published_weights
from darkroom.contract import ConfigError, WeightsFile
from darkroom.contract.names import (
    BACKBONES,
    EMBEDDED,
    MODEL_FILE_SUFFIXES,
    POOLINGS,
    near_matches,
)
from darkroom.files.digests import digest_of
from darkroom.files.local import local_file
from darkroom.files.uris import local_path
from darkroom.images import PIXEL_PATH_VERSION

if TYPE_CHECKING:
    import keras

Weights = Mapping[str, str | WeightsFile | Mapping[str, str | None]]
"""By architecture: the weights' path or URI, alone or with their SHA-256."""


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A pre-trained network, not yet loaded.

    Attributes:
        name: As the configuration spells it.
        height: Input height in pixels.
        width: Input width in pixels.
        length: Of the output vector.
        weights_digest: Identifies the weights: SHA-256 of their file, or the published set.
        weights: Where the weights of an architecture are; None for Keras' own cache, and for
            a name that is a model file itself.
        pooling: What becomes of the last feature map: ``avg``, ``max`` or ``none``.
        top: Whether it is the whole classifier.
    """

    name: str
    height: int
    width: int
    length: int
    weights_digest: str
    weights: WeightsFile | None = None
    pooling: str = "avg"
    top: bool = False

    @property
    def key(self) -> str:
        """SHA-256 over name, weights, input size, output and the pixel path's version."""
        output = "top" if self.top else self.pooling
        parts = [self.name, self.weights_digest, self.height, self.width, output]
        return hashlib.sha256(json.dumps([*parts, PIXEL_PATH_VERSION]).encode()).hexdigest()

    def build(self) -> keras.Model:
        """Loads the network; on the driver, for it may download weights.

        Returns:
            A model from (batch, height, width, 3) float32 RGB in 0-255 to (batch, length) float32.

        Raises:
            ConfigError: The weights cannot be had, or the model file is not usable, or it is a
                SavedModel, which cannot become part of a Keras model.
        """
        if self.name in KERAS_TABLE:
            return networks.build_network(
                self.name,
                self.height,
                self.width,
                pooling=self.pooling,
                top=self.top,
                file=self._weights_file(),
            )
        if self.name == EMBEDDED:
            return user_models.load_user_model(str(embedded.MODEL_FILE), "avg", top=False)
        if is_saved_model(Path(self.name)):
            remedy = "a SavedModel cannot be part of a Keras model: save it as a .keras file"
            raise ConfigError("features.backbones", self.name, remedy)
        return user_models.load_user_model(self.name, self.pooling, top=self.top)

    def model_file(self, cache: Path) -> Path:
        """The file of `build`'s model, made on first use.

        Args:
            cache: Folder for files that do not exist yet.

        Returns:
            Path of a ``.keras`` file, or for a SavedModel of a SavedModel's folder with the
            signature ``serving_default`` from ``pixels`` to ``vector``.
        """
        if self.name == EMBEDDED:
            return embedded.MODEL_FILE
        saved_model = is_saved_model(Path(self.name))
        target = cache / (self.key if saved_model else f"{self.key}.keras")
        if target.exists():
            return target
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".") as scratch:
            made = Path(scratch) / target.name
            if saved_model:
                user_models.wrap_saved_model(self.name, made, self.pooling, top=self.top)
            else:
                self.build().save(made)
            _move(made, target)
        return target

    def class_names(
        self, cache: Path | None = None, labels: Sequence[str] | None = None
    ) -> ClassNames:
        """What the outputs of a whole classifier stand for, in their order.

        Args:
            cache: Folder that is looked into for ``imagenet_class_index.json`` before Keras' own.
            labels: Names of the outputs of a user's own model; without them the outputs are
                called ``0``, ``1`` and so on.

        Returns:
            (class id, description) per output: ImageNet's for keras.applications, else
            (number, label).

        Raises:
            ConfigError: This is no classifier, its names cannot be had, or there are more or
                fewer labels than outputs.
        """
        if not self.top:
            remedy = f"{self.name} gives features, which have no class names"
            raise ConfigError("top", False, remedy)
        if self.name in KERAS_TABLE and labels is None:
            return imagenet_names(cache)
        return named(labels, self.length)

    def _weights_file(self) -> Path:
        field = f"features.weights.{self.name}"
        if self.weights:
            return local_file(field, self.weights.uri, self.weights.sha256)
        wanted = published_weights(self.name, top=self.top)
        whole = published_weights(self.name, top=True)
        if not (keras_cache() / wanted.file).exists() and (keras_cache() / whole.file).exists():
            wanted = whole
        return cached(wanted, field, "imagenet")


def resolve(
    name: str, weights: Weights | None = None, *, pooling: str = "avg", top: bool = False
) -> Backbone:
    """Finds a backbone and its weights; loads no network, but for a user's own model file.

    Args:
        name: ``embedded``, a classifier of keras.applications as Keras spells it, or the path of
            a user's own ``.keras`` or ``.h5`` file or SavedModel folder whose output is a feature
            vector, a feature map or, with ``top``, class probabilities.
        weights: Path or URI of the weights per classifier of keras.applications, alone or with a
            SHA-256 (``{"uri": ..., "sha256": ...}``), where Keras' own cache is not wanted.
        pooling: What becomes of the last feature map: ``avg``, ``max``, or ``none`` for all of it,
            flattened in the order row, column, channel. Without effect on a classifier.
        top: Whether to take the whole classifier, softmax included, instead of its features.

    Returns:
        The backbone.

    Raises:
        ConfigError: A name or a choice is unknown, a file does not exist or is not the expected
            one, or the network has no classifier.
    """
    if pooling not in POOLINGS:
        raise ConfigError("pooling", pooling, f"no such pooling, {near_matches(pooling, POOLINGS)}")
    if name == EMBEDDED:
        return _embedded(pooling, top)
    if name in KERAS_TABLE:
        given = (weights or {}).get(name)
        return _keras(name, WeightsFile.of(name, given) if given else None, pooling, top)
    if name.endswith(MODEL_FILE_SUFFIXES) or "/" in name or is_saved_model(Path(name)):
        facts = user_models.inspect(name, pooling, top=top)
        return Backbone(
            name=name,
            height=facts.height,
            width=facts.width,
            length=facts.length,
            weights_digest=facts.digest,
            pooling=pooling,
            top=top,
        )
    remedy = f"unknown backbone, {near_matches(name, BACKBONES)}"
    raise ConfigError("features.backbones", name, remedy)


def _embedded(pooling: str, top: bool) -> Backbone:
    if top:
        remedy = (
            "it has no classifier, only features: name a classifier of keras.applications, or "
            "train one on the features"
        )
        raise ConfigError("features.backbones", EMBEDDED, remedy)
    if pooling != "avg":
        remedy = "the embedded backbone pools its maps in its own way: leave it at avg"
        raise ConfigError("pooling", pooling, remedy)
    return Backbone(
        name=EMBEDDED,
        height=embedded.INPUT_SIZE,
        width=embedded.INPUT_SIZE,
        length=embedded.FEATURE_WIDTH,
        weights_digest=digest_of(embedded.MODEL_FILE),
    )


def _keras(name: str, weights: WeightsFile | None, pooling: str, top: bool) -> Backbone:
    entry = KERAS_TABLE[name]
    return Backbone(
        name=name,
        height=entry.size,
        width=entry.size,
        length=networks.CLASSES if top else entry.length(pooling),
        weights_digest=_weights_digest(name, weights),
        weights=weights,
        pooling=pooling,
        top=top,
    )


def _weights_digest(name: str, weights: WeightsFile | None) -> str:
    if weights is None:
        # Keras' cache need not hold them yet; what it may hold is known by this digest.
        return " ".join(["imagenet", published_weights(name, top=False).digest]).strip()
    if weights.sha256 and local_path(weights.uri) is None:
        return weights.sha256.lower()
    return digest_of(local_file(f"features.weights.{name}", weights.uri, weights.sha256))


def _move(made: Path, target: Path) -> None:
    try:
        made.replace(target)
    except OSError:
        # A folder that another process moved there first; it is of the same content.
        if not target.is_dir():
            raise
