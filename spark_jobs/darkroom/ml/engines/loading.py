"""Opens a prepared model: once per process, one thread per forward pass."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from darkroom.backbones.model_formats import load_saved_model
from darkroom.contract.names import Engine
from darkroom.ml.engines.libraries import (
    import_onnxruntime,
    import_openvino,
    single_thread_tensorflow,
)
from darkroom.ml.engines.model import PreparedModel, input_alias, output_alias
from darkroom.ml.engines.shipping import local_file

Arrays = Mapping[str, NDArray[Any]]
Forward = Callable[[Arrays], dict[str, NDArray[Any]]]
"""From arrays (batch, ...) by input name to arrays (batch, ...) by output name."""


@functools.lru_cache(maxsize=8)
def load(prepared: PreparedModel) -> Forward:
    """Opens a model; the same model a second time is the one that is open already.

    Args:
        prepared: What `prepare` or `ship` returned.

    Returns:
        Its forward pass, for any batch size. Threads may share it.

    Raises:
        MissingInputError: Its file is not on this machine.
        DataError: TensorFlow runs it and cannot load it here.
    """
    file = local_file(prepared)
    if prepared.signature:
        return _open_saved_model(file, prepared)
    return _OPENERS[prepared.engine](file, prepared)


def _open_keras(file: Path, prepared: PreparedModel) -> Forward:
    tf = single_thread_tensorflow()
    # Only here: it is the one engine that needs Keras.
    from darkroom.ml.engines.network import read_network

    network = read_network(file)
    # Keyed by place: a name may hold what TensorFlow does not accept.
    signature = [tf.TensorSpec((None, *spec.shape), spec.dtype) for spec in prepared.inputs]

    @tf.function(input_signature=[signature])  # type: ignore[untyped-decorator]
    def graph(tensors: list[Any]) -> list[Any]:
        named = zip([spec.name for spec in network.inputs], tensors, strict=True)
        answers = network.call(dict(named))
        return [answers[spec.name] for spec in network.outputs]

    def forward(arrays: Arrays) -> dict[str, NDArray[Any]]:
        tensors = [tf.constant(arrays[spec.name], spec.dtype) for spec in prepared.inputs]
        answers = zip(prepared.outputs, graph(tensors), strict=True)
        return {spec.name: tensor.numpy() for spec, tensor in answers}

    return forward


def _open_saved_model(folder: Path, prepared: PreparedModel) -> Forward:
    tf = single_thread_tensorflow()
    module = load_saved_model(folder)

    def forward(arrays: Arrays) -> dict[str, NDArray[Any]]:
        # Looked up each time: a signature holds its module's variables only weakly.
        function = module.signatures[prepared.signature]
        tensors = {
            spec.name: tf.constant(arrays[spec.name], spec.dtype) for spec in prepared.inputs
        }
        return {name: tensor.numpy() for name, tensor in function(**tensors).items()}

    return forward


def _open_openvino(file: Path, prepared: PreparedModel) -> Forward:
    settings = {
        # Without, a CPU that can would compute in bfloat16.
        "INFERENCE_PRECISION_HINT": "f32",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": "1",
        # Two workers would pin themselves to the same core.
        "ENABLE_CPU_PINNING": "NO",
    }
    compiled = import_openvino().Core().compile_model(str(file), "CPU", settings)
    request = compiled.create_infer_request()
    inputs = {spec.name: compiled.input(input_alias(i)) for i, spec in enumerate(prepared.inputs)}
    outputs = {
        spec.name: compiled.output(output_alias(i)) for i, spec in enumerate(prepared.outputs)
    }
    turn = threading.Lock()

    def forward(arrays: Arrays) -> dict[str, NDArray[Any]]:
        with turn:
            answers = request.infer(
                {port: arrays[name] for name, port in inputs.items()}, share_inputs=True
            )
            return {name: answers[port] for name, port in outputs.items()}

    return forward


def _open_onnxruntime(file: Path, prepared: PreparedModel) -> Forward:
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    inputs = {spec.name: input_alias(i) for i, spec in enumerate(prepared.inputs)}
    outputs = [output_alias(i) for i, _ in enumerate(prepared.outputs)]

    def forward(arrays: Arrays) -> dict[str, NDArray[Any]]:
        answers = session.run(outputs, {alias: arrays[name] for name, alias in inputs.items()})
        return {spec.name: answer for spec, answer in zip(prepared.outputs, answers, strict=True)}

    return forward


_OPENERS: Final[Mapping[Engine, Callable[[Path, PreparedModel], Forward]]] = {
    Engine.TENSORFLOW: _open_keras,
    Engine.OPENVINO: _open_openvino,
    Engine.ONNXRUNTIME: _open_onnxruntime,
}
