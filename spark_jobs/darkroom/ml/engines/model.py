"""What travels to a worker so that it can run a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from darkroom.contract.names import Engine


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a model.

    Attributes:
        name: As Keras, or the SavedModel's signature, shows it.
        shape: Without the batch axis; None for an axis of any length.
        dtype: NumPy's name of the element type, for example ``float32``.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Reads what `dataclasses.asdict` wrote."""
        return cls(name=values["name"], shape=tuple(values["shape"]), dtype=values["dtype"])


@dataclass(frozen=True)
class PreparedModel:
    """A model that `load` can open, and what it takes and answers.

    Attributes:
        engine: What runs it; never `Engine.AUTO`.
        file: What that engine opens: a ``.keras`` or ``.h5`` file or a SavedModel folder
            (TensorFlow), an ``.xml`` file with its ``.bin`` (OpenVINO), an ``.onnx`` file.
        inputs: In the model's order.
        outputs: In the model's order.
        digest: SHA-256 of the model file that it was made from; tells models apart.
        signature: Of a SavedModel; empty for a Keras model.
    """

    engine: Engine
    file: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    digest: str = ""
    signature: str = ""

    def to_json(self) -> dict[str, Any]:
        """JSON values of all but the file."""
        values = asdict(self)
        del values["file"]
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any], file: str) -> Self:
        """Reads what `to_json` wrote."""
        return cls(
            engine=Engine(values["engine"]),
            file=file,
            inputs=tuple(map(TensorSpec.from_json, values["inputs"])),
            outputs=tuple(map(TensorSpec.from_json, values["outputs"])),
            digest=values["digest"],
            signature=values["signature"],
        )


def input_alias(place: int) -> str:
    """Name of an input inside an exported file; its own may hold any character."""
    return f"in_{place:03}"


def output_alias(place: int) -> str:
    """Name of an output inside an exported file."""
    return f"out_{place:03}"
