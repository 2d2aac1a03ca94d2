"""A Keras model with its inputs and outputs by name; imports TensorFlow when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.backbones.model_formats import load_keras
from darkroom.contract import DataError
from darkroom.ml.engines.model import TensorSpec


@dataclass(frozen=True)
class Network:
    """A loaded Keras model.

    Attributes:
        model: The ``keras.Model``.
        inputs: In the order of the model's own inputs.
        outputs: In the order of the model's own outputs.
    """

    model: Any
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def call(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """Runs the model on tensors by input name, as in inference; answers by output name."""
        import keras

        flat = [tensors[spec.name] for spec in self.inputs]
        structure = _input_structure(self.model)
        if structure is None:
            arguments = flat[0]
        elif isinstance(structure, dict):
            arguments = dict(zip(structure, flat, strict=True))
        else:
            arguments = keras.tree.pack_sequence_as(structure, flat)
        answer = self.model(arguments, training=False)
        names = [spec.name for spec in self.outputs]
        if isinstance(answer, dict):
            return {name: answer[name] for name in names}
        return dict(zip(names, keras.tree.flatten(answer), strict=True))


def read_network(file: Path) -> Network:
    """Loads a Keras model file in safe mode.

    Args:
        file: A ``.keras`` or ``.h5`` file.

    Returns:
        The model.

    Raises:
        DataError: Keras cannot load it, or its inputs cannot be told.
    """
    return describe(load_keras(file), file)


def describe(model: Any, file: Path) -> Network:
    """Names a model's inputs and outputs.

    Raises:
        DataError: Its inputs cannot be told.
    """
    import keras

    structure = _input_structure(model)
    if structure is None:
        inputs: tuple[TensorSpec, ...] = (_input_of_subclass(model, file),)
        symbolic: Any = keras.KerasTensor((None, *inputs[0].shape), inputs[0].dtype)
        answer = model(symbolic, training=False)
        fallback = ["output"] * len(keras.tree.flatten(answer))
    else:
        inputs = _specs(structure, [tensor.name for tensor in model.inputs])
        answer = model.output
        fallback = list(getattr(model, "output_names", ())) or [model.layers[-1].name]
    return Network(model, inputs, _specs(answer, fallback))


def _input_structure(model: Any) -> Any:
    """How the inputs are nested; None for a subclassed model, which never says."""
    try:
        return model.input
    except (AttributeError, ValueError):
        return None


def _input_of_subclass(model: Any, file: Path) -> TensorSpec:
    shape = (model.get_build_config() or {}).get("input_shape")
    if not isinstance(shape, tuple | list) or not all(
        isinstance(size, int | None) for size in shape
    ):
        raise DataError(
            f"{file}: the inputs of a model of class {type(model).__name__} cannot be told: save "
            "it as a functional model, keras.Model(inputs, outputs)"
        )
    return TensorSpec("input", tuple(shape[1:]), model.input_dtype or "float32")


def _specs(structure: Any, names: list[str]) -> tuple[TensorSpec, ...]:
    import keras

    if isinstance(structure, dict):
        flat, names = list(structure.values()), list(structure)
    else:
        flat = keras.tree.flatten(structure)
    return tuple(
        TensorSpec(name, tuple(tensor.shape[1:]), str(tensor.dtype))
        for name, tensor in zip(_distinct(names), flat, strict=True)
    )


def _distinct(names: list[str]) -> list[str]:
    """Numbers repeated names: one layer may give several outputs."""
    seen: dict[str, int] = {}
    distinct = []
    for name in names:
        count = seen[name] = seen.get(name, 0) + 1
        distinct.append(name if count == 1 else f"{name}_{count - 1}")
    return distinct
