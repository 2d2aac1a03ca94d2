"""The image library without Spark: its names, its Params and what they refuse."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import darkroom
from darkroom.contract import ConfigError
from darkroom.ml.callables import find_callable, name_of
from darkroom.ml.featurizer import DeepImageFeaturizer
from darkroom.ml.image_column import fitting, images_of
from darkroom.ml.image_file_transformer import KerasImageFileTransformer
from darkroom.ml.keras_transformer import KerasTransformer
from darkroom.ml.predictor import DeepImagePredictor
from darkroom.ml.ranking import best_first
from darkroom.ml.tf_transformer import TFTransformer
from darkroom.ml.uris import UnreadableFileError, read_uri
from tests.unit.spark_env.pictures import encode

STAGES = [
    DeepImageFeaturizer,
    DeepImagePredictor,
    KerasImageFileTransformer,
    KerasTransformer,
    TFTransformer,
]


def stage(kind: Any, **params: Any) -> Any:
    """A stage with Params that no type checker would let through."""
    return kind(**params)


def test_importing_darkroom_imports_no_spark_and_no_network() -> None:
    code = (
        "import sys, darkroom, darkroom.contract; "
        "print(sorted({'pyspark', 'numpy', 'keras', 'tensorflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_workers_need_neither_pyspark_ml_nor_tensorflow_to_read_an_answer() -> None:
    code = (
        "import sys, darkroom.ml.answers, darkroom.ml.tensor_function, darkroom.ml.image_column, "
        "darkroom.ml.recognizing; print([name for name in sys.modules if name.split('.')[0] in "
        "('pyspark', 'keras', 'tensorflow', 'openvino', 'onnxruntime')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_all_public_names_are_there() -> None:
    for name in darkroom._PUBLIC:
        assert getattr(darkroom, name).__name__ == name
    with pytest.raises(AttributeError, match=r"^module 'darkroom' has no attribute 'nonsense'$"):
        darkroom.nonsense  # noqa: B018


@pytest.mark.parametrize("stage", STAGES)
def test_params_are_keyword_only_explained_and_copied(stage: Any) -> None:
    with pytest.raises(TypeError, match="forces keyword arguments"):
        stage("image")
    made = stage(outputCol="out", errorCol="why")
    other = made.copy({made.errorCol: "reason"})

    assert (made.getErrorCol(), other.getErrorCol(), other.uid) == ("why", "reason", made.uid)
    assert made.setParams(outputCol="changed").getOutputCol() == "changed"
    for param in made.params:
        assert param.name in made.explainParams()
        getter = "get" + param.name[0].upper() + param.name[1:]
        assert hasattr(made, getter), getter
        assert hasattr(made, getter.replace("get", "set", 1)), getter


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: DeepImageFeaturizer(modelName="Resnet50"),
            "modelName = 'Resnet50': unknown, did you mean ResNet50",
        ),
        (
            lambda: DeepImageFeaturizer(pooling="mean"),
            "pooling = 'mean': unknown, known are avg, max, none",
        ),
        (lambda: DeepImageFeaturizer(engine="torch"), "engine = 'torch': unknown, "),
        (
            lambda: DeepImageFeaturizer(weights={"embedded": "x.h5"}),
            "features.weights.embedded = 'x.h5': only classifiers of keras.applications",
        ),
        (lambda: DeepImagePredictor(topK=0), "topK = 0: give a whole number of at least 1"),
        (
            lambda: stage(KerasTransformer, modelFile=3),
            "modelFile = 3: give the path of a model as text",
        ),
        (
            lambda: stage(KerasTransformer, inputMapping={"a": 1}),
            "inputMapping = {'a': 1}: give a dict of texts such as ",
        ),
        (
            lambda: KerasImageFileTransformer(imageLoader="nothing"),
            "imageLoader = 'nothing': give a function, or where it is found: 'module:function'",
        ),
    ],
)
def test_a_wrong_value_is_refused_where_it_is_set(make: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()

    assert str(caught.value).startswith(message)


def test_functions_have_names_or_cannot_be_saved() -> None:
    assert name_of("imageLoader", encode) == "tests.unit.spark_env.pictures:encode"
    assert find_callable("imageLoader", "tests.unit.spark_env.pictures:encode") is encode
    with pytest.raises(ConfigError, match=r"it cannot be saved: put the function into a module"):
        name_of("imageLoader", lambda uri: uri)
    with pytest.raises(ConfigError, match=r"^imageLoader = 'os:nothing': it cannot be imported"):
        find_callable("imageLoader", "os:nothing")
    with pytest.raises(ConfigError, match=r"it is no function but of type str$"):
        find_callable("imageLoader", "os:sep")


@pytest.mark.parametrize("form", ["{}", "file:{}", "file://{}", "file://localhost{}"])
@pytest.mark.parametrize("name", ["a.bin", "a b%20c.bin", "100%.bin", "a#b?.bin"])
def test_local_files_in_every_spelling(form: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"content")

    assert read_uri(form.format(tmp_path / name)) == b"content"


def test_an_escaped_file_uri(tmp_path: Path) -> None:
    (tmp_path / "a b.bin").write_bytes(b"content")

    assert read_uri((tmp_path / "a b.bin").as_uri()) == b"content"


def test_a_uri_that_only_fsspec_knows(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"content")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(tmp_path))

        def log_message(self, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert read_uri(f"http://127.0.0.1:{server.server_port}/a.bin") == b"content"
        server.shutdown()


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("/nowhere/a.jpg", "No such file or directory"),
        ("/", "Is a directory"),
        ("nonsense://host/a.jpg", "Protocol not known: nonsense"),
    ],
)
def test_an_unreadable_file_is_named_with_its_reason(uri: str, reason: str) -> None:
    with pytest.raises(UnreadableFileError) as caught:
        read_uri(uri)

    assert str(caught.value) == f"cannot read {uri}: {reason}"


def test_a_column_that_can_hold_no_pictures() -> None:
    with pytest.raises(TypeError) as caught:
        list(images_of(pa.array([1])))

    assert str(caught.value) == (
        "a picture must be BINARY (an encoded picture), Spark's image struct, or STRING (the path "
        "or URI of a picture), not int64"
    )


def test_what_a_users_function_may_return() -> None:
    assert fitting(np.zeros((1, 2, 3)), (2, 3), "imageLoader").shape == (2, 3)
    with pytest.raises(ValueError, match=r"^imageLoader returned None$"):
        fitting(None, (2, 3), "imageLoader")
    with pytest.raises(
        ValueError,
        match=r"^f returned \(3, 2\) of float64, the model takes numbers of shape \(2, 3\)$",
    ):
        fitting(np.zeros((3, 2)), (2, 3), "f")


def test_only_the_best_classes_are_named() -> None:
    scores = [np.array([0.25, 0.5, 0.25], np.float32), None]
    names = {"class": ["n0", "n1", "n2"], "description": ["cat", "dog", "owl"]}

    assert best_first(scores, names, top=2).to_pylist() == [
        [
            {"class": "n1", "description": "dog", "probability": 0.5},
            {"class": "n0", "description": "cat", "probability": 0.25},
        ],
        None,
    ]
    assert len(best_first(scores, names, top=9).to_pylist()[0]) == 3
