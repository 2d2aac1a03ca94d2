"""Turns a Keras network into what another engine opens; needs TensorFlow, on the driver."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from darkroom.contract import class_and_text
from darkroom.contract.names import Engine
from darkroom.ml.engines.libraries import import_openvino, single_thread_tensorflow
from darkroom.ml.engines.loading import load
from darkroom.ml.engines.model import PreparedModel, TensorSpec, input_alias, output_alias
from darkroom.ml.engines.network import Network

TOLERANCE: Final = 1e-4
"""Largest difference from Keras, relative to the largest value of the output."""

ROWS: Final = 3
"""Batch of the comparison; not 1, so that a batch axis that was fixed by mistake shows."""

FREE_AXIS: Final = 64
"""Length that the comparison gives to an axis of any length."""


class ExportError(Exception):
    """An engine cannot run a network; the message is one line."""


def export(network: Network, engine: Engine, folder: Path, digest: str) -> PreparedModel:
    """Writes a network for an engine and checks that it answers as Keras does.

    Args:
        network: The truth.
        engine: OPENVINO or ONNXRUNTIME.
        folder: The files go here, under names that no other model has.
        digest: SHA-256 of the network's own file.

    Returns:
        The exported model.

    Raises:
        ExportError: The engine cannot run it, or answers differently.
    """
    stem = str(folder / f"darkroom-{digest[:16]}")
    try:
        with _quiet():
            graph = _graph(network)
            file = _WRITERS[engine](graph, stem)
            made = PreparedModel(engine, file, network.inputs, network.outputs, digest)
            answer = load.__wrapped__(made)(_samples(network.inputs))
            expected = _expected(graph, network)
    except Exception as error:
        # Converters raise whatever they like; each time it means that this engine is out.
        raise ExportError(class_and_text(error, limit=400)) from None
    _check(answer, expected)
    return made


def _graph(network: Network) -> Any:
    """The network as a tf.function with aliases for names, which may hold any character.

    They are numbered, for TensorFlow sorts the inputs and outputs of a function by name.
    """
    tf = single_thread_tensorflow()

    def serve(tensors: Mapping[str, Any]) -> dict[str, Any]:
        named = {spec.name: tensors[input_alias(i)] for i, spec in enumerate(network.inputs)}
        answers = network.call(named)
        return {
            # The identity keeps apart what the network may answer twice.
            output_alias(i): tf.identity(answers[spec.name])
            for i, spec in enumerate(network.outputs)
        }

    signature = {
        input_alias(i): tf.TensorSpec((None, *spec.shape), spec.dtype, name=input_alias(i))
        for i, spec in enumerate(network.inputs)
    }
    return tf.function(serve, input_signature=[signature])


def _write_openvino(graph: Any, stem: str) -> str:
    openvino = import_openvino()
    model = openvino.convert_model(graph.get_concrete_function())
    for i in range(len(model.inputs)):
        model.input(f"{input_alias(i)}:0").tensor.set_names({input_alias(i)})
    openvino.save_model(model, f"{stem}.xml", compress_to_fp16=False)
    return f"{stem}.xml"


def _write_onnx(graph: Any, stem: str) -> str:
    import onnx
    import tf2onnx

    model, _ = tf2onnx.convert.from_function(graph, input_signature=graph.input_signature)
    # Constants that the function captures come out as inputs that nobody would feed, even those
    # that have been folded into others.
    captured = {inner.name: outer for outer, inner in graph.get_concrete_function().graph.captures}
    used = {name for node in model.graph.node for name in node.input}
    for tensor in [tensor for tensor in model.graph.input if tensor.name in captured]:
        model.graph.input.remove(tensor)
        if tensor.name in used:
            value = captured[tensor.name].numpy()
            model.graph.initializer.append(onnx.numpy_helper.from_array(value, tensor.name))
    onnx.save_model(model, f"{stem}.onnx")
    return f"{stem}.onnx"


_WRITERS: Final[Mapping[Engine, Callable[[Any, str], str]]] = {
    Engine.OPENVINO: _write_openvino,
    Engine.ONNXRUNTIME: _write_onnx,
}


def _samples(specs: tuple[TensorSpec, ...]) -> dict[str, NDArray[Any]]:
    """Seeded inputs: pixels where the shape is a picture's, else small numbers."""
    random = np.random.default_rng(0)
    return {spec.name: _sample(spec, random) for spec in specs}


def _sample(spec: TensorSpec, random: np.random.Generator) -> NDArray[Any]:
    shape = (ROWS, *(FREE_AXIS if size is None else size for size in spec.shape))
    dtype = np.dtype(spec.dtype)
    if dtype.kind != "f":
        # Whatever they index, 0 and 1 are most likely to exist.
        return random.integers(0, 2, shape).astype(dtype)
    if len(spec.shape) == 3 and spec.shape[2] in (1, 3, 4):
        return random.uniform(0, 255, shape).astype(dtype)
    return random.standard_normal(shape).astype(dtype)


def _expected(graph: Any, network: Network) -> dict[str, NDArray[Any]]:
    samples = _samples(network.inputs)
    answer = graph({input_alias(i): samples[spec.name] for i, spec in enumerate(network.inputs)})
    return {spec.name: answer[output_alias(i)].numpy() for i, spec in enumerate(network.outputs)}


def _check(answer: Mapping[str, NDArray[Any]], expected: Mapping[str, NDArray[Any]]) -> None:
    for name, right in expected.items():
        found = answer[name]
        if found.shape != right.shape or found.dtype != right.dtype:
            raise ExportError(
                f"output {name} is {found.shape} of {found.dtype}, and Keras' is {right.shape} "
                f"of {right.dtype}"
            )
        scale = float(np.abs(right).max(initial=0)) or 1.0
        gap = float(np.abs(found.astype(np.float64) - right).max(initial=0)) / scale
        # Written so that a NaN fails too.
        if not gap <= TOLERANCE:
            raise ExportError(
                f"output {name} differs from Keras by {gap:.2g} of its largest value, at most "
                f"{TOLERANCE:g} is tolerated"
            )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences what converters say of what works."""
    noisy = [logging.getLogger(name) for name in ("tf2onnx", "absl")]
    levels = [logger.level for logger in noisy]
    for logger in noisy:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(noisy, levels, strict=True):
            logger.setLevel(level)
