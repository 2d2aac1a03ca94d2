"""Engines: every one answers as Keras does, and a worker never needs TensorFlow for it."""

from __future__ import annotations

import json
import logging
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from darkroom.contract import ConfigError, DataError, MissingInputError
from darkroom.ml.engines import (
    Engine,
    PreparedModel,
    TensorSpec,
    choice,
    exporting,
    load,
    prefer,
    prepare,
    prepare_saved_model,
    preparing,
)

PROJECT = Path(__file__).parents[3]
ENGINES = (Engine.TENSORFLOW, Engine.OPENVINO, Engine.ONNXRUNTIME)
Arrays = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def two_headed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs "the side" (4) and "a" (2, int32); outputs the sum of all, and twice the first."""
    import keras

    side = keras.Input((4,), name="the side")
    few = keras.Input((2,), name="few", dtype="int32")
    both = keras.layers.Concatenate()([side, keras.ops.cast(few, "float32")])
    total = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", name="total")(both)
    double = keras.layers.Rescaling(2.0, name="double")(side)
    file = tmp_path_factory.mktemp("models") / "two_headed.keras"
    keras.Model([side, few], [total, double]).save(file)
    return file


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("rows", [1, 5])
def test_inputs_and_outputs_go_by_the_names_that_keras_shows(
    two_headed: Path, cache: Path, engine: Engine, rows: int
) -> None:
    prepared = prepare(two_headed, cache, engine)

    assert prepared.engine is engine
    assert prepared.inputs == (
        TensorSpec("the side", (4,), "float32"),
        TensorSpec("few", (2,), "int32"),
    )
    assert prepared.outputs == (
        TensorSpec("total", (1,), "float32"),
        TensorSpec("double", (4,), "float32"),
    )
    side = np.arange(rows * 4, dtype=np.float32).reshape(rows, 4)
    few = np.full((rows, 2), 3, np.int32)
    answer = load(prepared)({"few": few, "the side": side})
    assert list(answer) == ["total", "double"]
    np.testing.assert_allclose(answer["total"], side.sum(axis=1, keepdims=True) + 6)
    np.testing.assert_allclose(answer["double"], 2 * side)


def test_what_is_cached_is_used_without_tensorflow(two_headed: Path, cache: Path) -> None:
    made = prepare(two_headed, cache, Engine.OPENVINO)
    program = (
        "import sys\n"
        "sys.modules['tensorflow'] = sys.modules['keras'] = None\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from darkroom.ml.engines import Engine, load, prepare\n"
        f"made = prepare(Path({str(two_headed)!r}), Path({str(cache)!r}), Engine.OPENVINO)\n"
        "ones = {'the side': np.ones((1, 4), np.float32), 'few': np.ones((1, 2), np.int32)}\n"
        "print(made.file, load(made)(ones)['total'][0, 0])\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(PROJECT / "spark_jobs")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.splitlines()[:1] == [f"{made.file} 6.0"], done.stderr


def test_a_model_stays_open(two_headed: Path, cache: Path) -> None:
    prepared = prepare(two_headed, cache, Engine.OPENVINO)

    assert load(prepared) is load(pickle.loads(pickle.dumps(prepared)))


def test_openvino_computes_in_float32(two_headed: Path, cache: Path) -> None:
    # Weights that bfloat16, or compression to float16, could not hold.
    import keras

    pixels = keras.Input((3,), name="pixels")
    dense = keras.layers.Dense(1, use_bias=False)
    model = keras.Model(pixels, dense(pixels))
    dense.set_weights([np.array([[1 + 2**-20], [1 - 2**-20], [2**-24]], np.float32)])
    file = cache / "precise.keras"
    model.save(file)

    answer = load(prepare(file, cache, Engine.OPENVINO))({"pixels": np.eye(3, dtype=np.float32)})

    assert next(iter(answer.values())).ravel().tolist() == [1 + 2**-20, 1 - 2**-20, 2**-24]


def test_an_axis_of_any_length_stays_one(tmp_path: Path) -> None:
    import keras

    pixels = keras.Input((None, None, 1), name="pixels")
    keras.Model(pixels, keras.layers.GlobalMaxPooling2D(name="best")(pixels)).save(
        tmp_path / "any.keras"
    )

    prepared = prepare(tmp_path / "any.keras", tmp_path)

    assert prepared.engine is Engine.OPENVINO
    assert prepared.inputs[0].shape == (None, None, 1)
    for height, width in ((2, 5), (7, 3)):
        pixels = np.arange(height * width, dtype=np.float32).reshape(1, height, width, 1)
        assert load(prepared)({"pixels": pixels})["best"].tolist() == [[height * width - 1]]


def _register(name: str, call: Any) -> Any:
    import keras

    @keras.saving.register_keras_serializable("tests", name)
    class Layer(keras.layers.Layer):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            return call(inputs)

    return Layer


def _doubled(inputs: Any) -> Any:
    return inputs * 2


def _through_python(inputs: Any) -> Any:
    import tensorflow as tf

    return tf.ensure_shape(tf.numpy_function(lambda x: x + 1, [inputs], tf.float32), (None, 2))


@pytest.mark.parametrize(
    ("name", "call", "tolerance", "reason"),
    [
        # No difference is below a tolerance of -1: it stands for an engine that computes otherwise.
        ("Doubled", _doubled, -1.0, "differs from Keras by"),
        ("ThroughPython", _through_python, exporting.TOLERANCE, "PyFunc"),
    ],
)
def test_what_an_engine_cannot_do_tensorflow_does(
    name: str,
    call: Any,
    tolerance: float,
    reason: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import keras

    monkeypatch.setattr(exporting, "TOLERANCE", tolerance)

    vector = keras.Input((2,), name="vector")
    file = tmp_path / "model.keras"
    keras.Model(vector, _register(name, call)(name="answer")(vector)).save(file)

    with caplog.at_level(logging.WARNING, "darkroom"):
        prepared = prepare(file, tmp_path / "cache")

    assert (prepared.engine, prepared.file) == (Engine.TENSORFLOW, str(file))
    (warning,) = caplog.messages
    assert warning.startswith(f"{file} is not run by openvino: ")
    assert reason in warning
    assert load(prepared)({"vector": np.ones((3, 2), np.float32)})["answer"].shape == (3, 2)
    # And it is not tried again.
    monkeypatch.setattr(preparing._Workshop, "_make", None)
    assert prepare(file, tmp_path / "cache") == prepared


def test_a_custom_object_that_nobody_registered_is_an_error_with_the_remedy(
    tmp_path: Path,
) -> None:
    import keras

    vector = keras.Input((2,), name="vector")
    keras.Model(vector, _register("Gone", lambda x: x)()(vector)).save(tmp_path / "gone.keras")
    del keras.saving.get_custom_objects()["tests>Gone"]

    with pytest.raises(DataError) as caught:
        prepare(tmp_path / "gone.keras", tmp_path)

    assert str(caught.value).startswith(
        f"{tmp_path / 'gone.keras'}: it holds a custom object that is not registered here ("
    )
    assert str(caught.value).endswith(
        "): import the module that registers it with keras.saving.register_keras_serializable; "
        "Python workers have to be able to import it too"
    )


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError) as caught:
        prepare(tmp_path / "none.keras", tmp_path)

    assert str(caught.value) == f"there is no model file {tmp_path / 'none.keras'}"


def test_a_file_that_a_worker_lacks_is_named(two_headed: Path, cache: Path) -> None:
    gone = replace(prepare(two_headed, cache, Engine.OPENVINO), file="/nowhere/model.xml")

    with pytest.raises(MissingInputError) as caught:
        load(gone)

    assert str(caught.value) == (
        "model file /nowhere/model.xml is missing on this machine: prepare the model again"
    )


def test_auto_means_what_was_preferred_last(two_headed: Path, tmp_path: Path) -> None:
    prefer(two_headed, tmp_path, Engine.TENSORFLOW)
    assert prepare(two_headed, tmp_path).engine is Engine.TENSORFLOW

    prefer(two_headed, tmp_path, Engine.AUTO)
    assert prepare(two_headed, tmp_path).engine is Engine.OPENVINO


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize(
    ("layer", "first"),
    [("DepthwiseConv2D", Engine.ONNXRUNTIME), ("AveragePooling2D", Engine.OPENVINO)],
)
@pytest.mark.filterwarnings("ignore:.*HDF5.*")
def test_depthwise_convolutions_go_to_onnx_runtime(
    suffix: str, layer: str, first: Engine, tmp_path: Path
) -> None:
    import keras

    pixels = keras.Input((8, 8, 3))
    file = tmp_path / f"model{suffix}"
    keras.Model(pixels, getattr(keras.layers, layer)(3)(pixels)).save(file)

    assert choice.by_speed(file)[0] is first
    assert prepare(file, tmp_path).engine is first


def test_what_is_too_large_to_be_written_as_onnx_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_file = tmp_path / "model.keras"
    model_file.write_bytes(b"a network")
    monkeypatch.setattr(choice, "_layers", lambda file: '"DepthwiseConv2D"')
    assert choice.by_speed(model_file) == (Engine.ONNXRUNTIME, Engine.OPENVINO)

    monkeypatch.setattr(choice, "_ONNX_BYTES", model_file.stat().st_size - 1)
    assert choice.by_speed(model_file) == (Engine.OPENVINO,)


def test_with_a_gpu_tensorflow_runs_it(
    two_headed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "has_gpu", lambda: True)

    assert prepare(two_headed, tmp_path).engine is Engine.TENSORFLOW
    assert prepare(two_headed, tmp_path, Engine.OPENVINO).engine is Engine.OPENVINO


def test_a_hidden_gpu_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    monkeypatch.setattr(Path, "exists", lambda self: True)

    assert choice.has_gpu() is False


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Signatures serving_default (x -> double, half) and scalar (without a batch axis)."""
    import tensorflow as tf

    class Module(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def both(self, x: Any) -> Any:
            return {"double": 2 * x, "half": x / 2}

        @tf.function(input_signature=[tf.TensorSpec((), tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def scalar(self, x: Any) -> Any:
            return {"y": x}

    folder = tmp_path_factory.mktemp("saved") / "model"
    module = Module()
    signatures = {"serving_default": module.both, "scalar": module.scalar}
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return folder


def test_a_signature_of_a_saved_model_runs_by_its_names(saved_model: Path) -> None:
    prepared = prepare_saved_model(saved_model)

    assert prepared.inputs == (TensorSpec("x", (2,), "float32"),)
    assert set(prepared.outputs) == {
        TensorSpec("double", (2,), "float32"),
        TensorSpec("half", (2,), "float32"),
    }
    answer = load(prepared)({"x": np.array([[2, 4]], np.float32)})
    assert {name: value.tolist() for name, value in answer.items()} == {
        "double": [[4, 8]],
        "half": [[1, 2]],
    }
    assert prepare(saved_model, Path("unused")) == prepared


def test_an_unusable_signature_is_refused_clearly(saved_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as missing:
        prepare_saved_model(saved_model, "serve")
    assert str(missing.value) == (
        f"signature = 'serve': {saved_model} has these: scalar, serving_default"
    )
    with pytest.raises(DataError, match="tensor x of the signature has no batch axis"):
        prepare_saved_model(saved_model, "scalar")
    with pytest.raises(MissingInputError) as empty:
        prepare_saved_model(tmp_path)
    assert str(empty.value) == f"{tmp_path} is no SavedModel: it holds no saved_model.pb"


def test_a_prepared_model_survives_json() -> None:
    model = PreparedModel(
        Engine.OPENVINO,
        "m.xml",
        (TensorSpec("x", (None, 3), "float32"),),
        (TensorSpec("y", (), "int32"),),
        "digest",
    )

    values = json.loads(json.dumps(model.to_json()))

    assert PreparedModel.from_json(values, "m.xml") == model
