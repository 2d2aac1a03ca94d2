"""The image library without Spark: its names, its Params and what they refuse."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import darkroom
from darkroom.backbones.catalog import Backbone
from darkroom.contract import ConfigError
from darkroom.ml.base.callables import find_callable, name_of
from darkroom.ml.engines import Engine, PreparedModel, TensorSpec
from darkroom.ml.pictures import stage as stage_module
from darkroom.ml.pictures.column import fitting, images_of
from darkroom.ml.pictures.featurizer import DeepImageFeaturizer
from darkroom.ml.pictures.file_transformer import KerasImageFileTransformer
from darkroom.ml.pictures.predictor import DeepImagePredictor
from darkroom.ml.ranking import best_first
from darkroom.ml.tensors.keras_transformer import KerasTransformer
from darkroom.ml.tensors.tf_transformer import TFTransformer
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
        "import sys, darkroom.ml.answers, darkroom.ml.tensors.function\n"
        "import darkroom.ml.pictures.column, darkroom.ml.recognition.recognizer\n"
        "heavy = {'pyspark', 'keras', 'tensorflow', 'openvino', 'onnxruntime'}\n"
        "print([name for name in sys.modules if name.split('.')[0] in heavy])"
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
    assert made.setParams(outputCol="changed", inputCol=None).getOutputCol() == "changed"
    assert not made.isSet(made.inputCol)
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


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: DeepImageFeaturizer().setParams(inputcol="image"),
            "inputcol = 'image': no such keyword of DeepImageFeaturizer, did you mean inputCol",
        ),
        # A Param that its constructor does not take: TensorFlow runs a SavedModel.
        (
            lambda: TFTransformer().setParams(engine="openvino"),
            "engine = 'openvino': no such keyword of TFTransformer, known are inputMapping, ",
        ),
    ],
)
def test_an_unknown_keyword_is_named_with_near_ones(make: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()

    assert str(caught.value).startswith(message)


def test_a_predictor_finds_its_network_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    backbone = Backbone(
        name="ResNet50", height=8, width=8, length=2, weights_digest="imagenet", top=True
    )

    def resolve(name: str, *args: Any, **choices: Any) -> Backbone:
        asked.append((name, choices["top"]))
        return backbone

    prepared = PreparedModel(Engine.OPENVINO, "m.xml", (), (TensorSpec("scores", (2,), "float32"),))
    monkeypatch.setattr(stage_module, "resolve", resolve)
    monkeypatch.setattr(stage_module, "prepare", lambda file, **choices: prepared)
    monkeypatch.setattr(Backbone, "model_file", lambda self, cache: Path("m.keras"))

    predictor = DeepImagePredictor(modelName="ResNet50", decodePredictions=True, labels=["a", "b"])
    model, output = predictor._prepare()

    assert (asked, model) == ([("ResNet50", True)], prepared)
    (answer,) = output.answers_of([np.array([0.25, 0.75], np.float32)]).to_pylist()
    assert [found["description"] for found in answer] == ["b", "a"]


def test_functions_have_names_or_cannot_be_saved() -> None:
    assert name_of("imageLoader", encode) == "tests.unit.spark_env.pictures:encode"
    assert find_callable("imageLoader", "tests.unit.spark_env.pictures:encode") is encode
    with pytest.raises(ConfigError, match=r"it cannot be saved: put the function into a module"):
        name_of("imageLoader", lambda uri: uri)
    with pytest.raises(ConfigError, match=r"^imageLoader = 'os:nothing': it cannot be imported"):
        find_callable("imageLoader", "os:nothing")
    with pytest.raises(ConfigError, match=r"it is no function but of type str$"):
        find_callable("imageLoader", "os:sep")


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
