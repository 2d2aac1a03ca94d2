"""A user's own model file as a backbone: Keras' two formats and TensorFlow's SavedModel."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.backbones.libraries import import_keras, import_tensorflow
from darkroom.backbones.model_formats import (
    SERVING_SIGNATURE,
    ModelFormatError,
    is_saved_model,
    load_keras,
    load_saved_model,
    signatures_of,
)
from darkroom.contract import ConfigError, one_line
from darkroom.files.digests import digest_of
from darkroom.files.local import existing

if TYPE_CHECKING:
    import keras

_FIELD = "features.backbones"
_POOL_LAYERS = {
    "avg": "GlobalAveragePooling2D",
    "max": "GlobalMaxPooling2D",
    "none": "Flatten",
}


@dataclass(frozen=True)
class ModelFacts:
    """What must be known of a model file before it is run.

    Attributes:
        height: Input height in pixels.
        width: Input width in pixels.
        length: Of the output vector.
        digest: SHA-256 of the file or folder.
    """

    height: int
    width: int
    length: int
    digest: str


def inspect(name: str, pooling: str, *, top: bool) -> ModelFacts:
    """Opens a model file once per process and content, and checks that it is usable.

    Args:
        name: Path of a ``.keras`` or ``.h5`` file or of a SavedModel's folder.
        pooling: What becomes of a feature map.
        top: Whether the output has to be a vector of class probabilities.

    Raises:
        ConfigError: There is none, it cannot be loaded, or it does not take pictures.
    """
    path = existing(_FIELD, name)
    if path.is_dir() and not is_saved_model(path):
        raise ConfigError(_FIELD, name, "this folder is no SavedModel: it holds no saved_model.pb")
    return _inspect(name, digest_of(path), pooling, top)


@functools.lru_cache(maxsize=64)
def _inspect(name: str, digest: str, pooling: str, top: bool) -> ModelFacts:
    if is_saved_model(Path(name)):
        wrapped = _PixelModule(name, pooling, top)
        return ModelFacts(wrapped.height, wrapped.width, wrapped.length, digest)
    model = load_user_model(name, pooling, top=top)
    _, height, width, _ = model.input_shape
    return ModelFacts(height, width, model.output_shape[-1], digest)


def load_user_model(name: str, pooling: str, *, top: bool) -> keras.Model:
    """Loads a Keras file as a model from pixels to vectors.

    Args:
        name: Path of a ``.keras`` or ``.h5`` file. Its custom classes and functions have to be
            registered (``keras.saving.register_keras_serializable``) by then.
        pooling: What becomes of a feature map.
        top: Whether the output has to be a vector already.

    Returns:
        A model from (batch, height, width, 3) float32 RGB in 0-255, which the model's own
        preprocessing has to take, to (batch, n) float32.

    Raises:
        ConfigError: It cannot be loaded, or does not take pictures of one size.
    """
    keras = import_keras()
    try:
        model = load_keras(Path(name))
    except ModelFormatError as error:
        raise ConfigError(_FIELD, name, error.reason) from None
    shape = _input_shape(name, model)
    pixels = keras.Input(shape, name="pixels")
    taken = _cast(pixels, getattr(model, "input_dtype", None) or "float32")
    try:
        outputs = model(taken, training=False)
    except Exception as error:
        remedy = f"it does not take pictures of {shape}: {one_line(error)}"
        raise ConfigError(_FIELD, name, remedy) from None
    if isinstance(outputs, list | tuple | Mapping):
        raise ConfigError(_FIELD, name, "it has several outputs: save a model with one of them")
    kind = _output_kind(name, tuple(outputs.shape), pooling, top)
    if kind is None and _is_plain(model):
        return model
    vectors = outputs if kind is None else getattr(keras.layers, kind)(name="pool")(outputs)
    return keras.Model(pixels, _cast(vectors, "float32"), name="backbone")


def wrap_saved_model(name: str, target: Path, pooling: str, *, top: bool) -> None:
    """Writes a SavedModel whose signature takes ``pixels`` and answers ``vector``.

    Args:
        name: Folder of the SavedModel; its `SERVING_SIGNATURE` is called.
        target: Folder to write.
        pooling: What becomes of a feature map.
        top: Whether the output has to be a vector already.

    Raises:
        ConfigError: It cannot be loaded, or does not take pictures of one size.
    """
    tf = import_tensorflow()
    wrapped = _PixelModule(name, pooling, top)
    signature = wrapped.function.get_concrete_function()
    module = tf.Module()
    module.inner, module.function = wrapped.inner, wrapped.function
    tf.saved_model.save(module, str(target), signatures={SERVING_SIGNATURE: signature})


class _PixelModule:
    """A SavedModel's signature as a function from pixels to vectors."""

    def __init__(self, name: str, pooling: str, top: bool) -> None:
        tf = import_tensorflow()
        try:
            self.inner = load_saved_model(Path(name))
        except ModelFormatError as error:
            raise ConfigError(_FIELD, name, error.reason) from None
        signatures = signatures_of(self.inner)
        if SERVING_SIGNATURE not in signatures:
            found = ", ".join(signatures) or "none"
            remedy = f"it has no signature {SERVING_SIGNATURE}, only {found}: export one"
            raise ConfigError(_FIELD, name, remedy)
        called, inputs, outputs = signatures[SERVING_SIGNATURE]
        if len(inputs) != 1 or len(outputs) != 1:
            remedy = f"its signature has {len(inputs)} inputs and {len(outputs)} outputs, not one"
            raise ConfigError(_FIELD, name, remedy)
        (taken,), (given,) = inputs, outputs
        shape = _pictures(name, taken.shape)
        self.height, self.width = shape[0], shape[1]
        kind = _output_kind(name, given.shape, pooling, top)
        self.length = _length(given.shape, kind)

        def function(pixels: Any) -> dict[str, Any]:
            found = called(**{taken.name: tf.cast(pixels, taken.dtype)})[given.name]
            pooled = _POOL_FUNCTIONS[kind](tf, found) if kind else found
            return {"vector": tf.cast(pooled, tf.float32)}

        pixels = tf.TensorSpec((None, *shape), tf.float32, name="pixels")
        self.function = tf.function(function, input_signature=[pixels])


_POOL_FUNCTIONS = {
    "GlobalAveragePooling2D": lambda tf, tensor: tf.reduce_mean(tensor, axis=(1, 2)),
    "GlobalMaxPooling2D": lambda tf, tensor: tf.reduce_max(tensor, axis=(1, 2)),
    "Flatten": lambda tf, tensor: tf.reshape(tensor, (tf.shape(tensor)[0], -1)),
}


def _length(shape: tuple[int | None, ...], kind: str | None) -> int:
    last = shape[-1]
    assert last is not None
    if kind != "Flatten":
        return last
    rows, columns = shape[1:3]
    assert rows is not None
    assert columns is not None
    return rows * columns * last


def _input_shape(name: str, model: keras.Model) -> tuple[int, int, int]:
    try:
        shape = model.input_shape
    except (AttributeError, ValueError):
        # A class of the user's own: only what it was first called with tells.
        built = model.get_build_config() or {}
        shape = built.get("input_shape") or built.get("shapes_dict", {}).get("input_shape") or ()
    if isinstance(shape, Mapping) or any(isinstance(size, list | tuple) for size in shape):
        raise ConfigError(_FIELD, name, "it has several inputs, and a picture is one")
    return _pictures(name, tuple(shape))


def _pictures(name: str, shape: tuple[int | None, ...]) -> tuple[int, int, int]:
    if len(shape) != 4 or shape[3] != 3 or shape[1] is None or shape[2] is None:
        raise ConfigError(
            _FIELD,
            name,
            f"its input is {shape or 'unknown'}: save it with a fixed (height, width, 3)",
        )
    return shape[1], shape[2], 3


def _output_kind(name: str, shape: tuple[int | None, ...], pooling: str, top: bool) -> str | None:
    """The layer that makes a vector of an output; None for one that is a vector."""
    if len(shape) == 4 and None not in shape[1:] and not top:
        return _POOL_LAYERS[pooling]
    if len(shape) == 2 and shape[1] is not None:
        if pooling == "max" and not top:
            remedy = "its output is a vector, so there is nothing to pool: leave pooling at avg"
            raise ConfigError(_FIELD, name, remedy)
        return None
    wanted = "class probabilities (batch, n)" if top else "(batch, n) or (batch, rows, columns, n)"
    raise ConfigError(_FIELD, name, f"its output is {shape}, not {wanted}: save it with such a one")


def _is_plain(model: keras.Model) -> bool:
    """Whether a model needs nothing around it; a class of the user's own always does."""
    tensors = [*(getattr(model, "inputs", None) or ()), *(getattr(model, "outputs", None) or ())]
    return len(tensors) == 2 and all(tensor.dtype == "float32" for tensor in tensors)


def _cast(tensor: keras.KerasTensor, dtype: str) -> keras.KerasTensor:
    import keras

    return tensor if tensor.dtype == dtype else keras.ops.cast(tensor, dtype)
