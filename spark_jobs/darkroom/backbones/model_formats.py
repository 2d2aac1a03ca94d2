"""Opens models from files: Keras' own formats and TensorFlow's SavedModel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from darkroom.backbones.libraries import import_keras, import_tensorflow
from darkroom.contract import DataError, one_line

if TYPE_CHECKING:
    import keras

SERVING_SIGNATURE: Final = "serving_default"
"""The signature of a SavedModel that is called where no other is asked for."""

_REGISTER: Final = "keras.saving.register_keras_serializable"

_OF_CUSTOM_OBJECTS: Final = ("register_keras_serializable", "Could not locate", "Unknown layer")
"""How Keras says that it does not know a class or function of a file."""


class ModelFormatError(DataError):
    """A file or folder that cannot be opened as a model.

    Attributes:
        reason: The message without the file.
    """

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.reason = reason


class Tensor(NamedTuple):
    """One input or output of a signature.

    Attributes:
        name: As the signature has it.
        shape: With the batch axis; None for an axis of any length; empty for an unknown rank.
        dtype: TensorFlow's name of the element type.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str


class Signature(NamedTuple):
    """What a SavedModel's signature takes and answers.

    Attributes:
        function: Called with tensors by input name; answers by output name.
        inputs: In the signature's order.
        outputs: In the signature's order.
    """

    function: Any
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def load_keras(file: Path) -> keras.Model:
    """Loads a ``.keras`` or ``.h5`` file in safe mode, uncompiled.

    Raises:
        ModelFormatError: Keras cannot load it.
    """
    saving = import_keras().saving
    try:
        return saving.load_model(file, compile=False)
    except Exception as error:
        raise ModelFormatError(file, _reason(error)) from None


def is_saved_model(path: Path) -> bool:
    """Whether a path is the folder of a SavedModel."""
    return (path / "saved_model.pb").is_file()


def load_saved_model(folder: Path) -> Any:
    """Loads a SavedModel; its signatures hold its variables only as long as it is kept.

    Raises:
        ModelFormatError: TensorFlow cannot load it.
    """
    tf = import_tensorflow()
    try:
        return tf.saved_model.load(str(folder))
    except Exception as error:
        raise ModelFormatError(folder, f"TensorFlow cannot load it: {one_line(error)}") from None


def signatures_of(module: Any) -> dict[str, Signature]:
    """The signatures of a loaded SavedModel by name, sorted."""
    return {
        name: Signature(
            function,
            _tensors(function.structured_input_signature[1]),
            _tensors(function.structured_outputs),
        )
        for name, function in sorted(module.signatures.items())
    }


def _tensors(specs: dict[str, Any]) -> tuple[Tensor, ...]:
    return tuple(Tensor(name, _shape(spec), spec.dtype.name) for name, spec in specs.items())


def _shape(spec: Any) -> tuple[int | None, ...]:
    return () if spec.shape.rank is None else tuple(spec.shape.as_list())


def _reason(error: Exception) -> str:
    text = str(error)
    if "Lambda" in text and "unsafe" in text:
        return (
            "it holds a Lambda layer, whose code Keras does not run from a file: save it anew with "
            f"a layer of Keras or a class registered with {_REGISTER}"
        )
    if any(words in text for words in _OF_CUSTOM_OBJECTS):
        return (
            f"it holds a custom object that is not registered here ({one_line(error, 120)}): "
            f"import the module that registers it with {_REGISTER}; Python workers have to be able "
            "to import it too"
        )
    return f"Keras cannot load it: {one_line(error)}"
