"""KerasImageFileEstimator: what it says, in one line and before any training, of what cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from darkroom.contract import ConfigError, DataError
from tests.integration.spark_env import colour_training as colours
from tests.integration.spark_env.colour_estimator import coloured, estimator

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("tensorflow_workers")]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def frame(spark: SparkSession) -> DataFrame:
    return coloured(spark).cache()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"modelFn": colours.three_classes},
            "modelFn = 'three_classes': it answers 3 values and the labels have 2 classes: end it "
            "in 2 units",
        ),
        (
            {"modelFn": colours.one_unit},
            "kerasLoss = 'categorical_crossentropy': a network with one unit needs "
            "binary_crossentropy, or two units",
        ),
        (
            {"modelFn": colours.no_network},
            "modelFn = 'no_network': give a keras.Model, this is a str",
        ),
        (
            {"kerasOptimizer": {"name": "adam", "learning_rat": 1}},
            "kerasOptimizer.learning_rat = 1: Adam has no such argument, did you mean "
            "learning_rate?",
        ),
        (
            {"kerasFitParams": {"early_stopping": {"monitor": "loss", "pateince": 1}}},
            "kerasFitParams.EarlyStopping.pateince = 1: EarlyStopping has no such argument, did "
            "you mean patience or baseline?",
        ),
        (
            {"kerasFitParams": {"class_weight": {"rad": 1}}},
            "kerasFitParams.class_weight.rad = 1.0: no such class, did you mean red?",
        ),
        (
            {"classLabels": ["blue", "green", "red"]},
            "modelFn = 'network': it answers 2 values and the labels have 3 classes: end it in 3 "
            "units",
        ),
        (
            {"labelCol": "image"},
            "labelCol = 'image': its type is binary: a label is a string, a whole number, or a "
            "one-hot array or vector",
        ),
        (
            {"imageLoader": colours.load},
            "inputCol = 'image': it holds bytes, and imageLoader takes a path or URI: give a "
            "STRING column",
        ),
        (
            {"modelFile": "net.keras"},
            "modelFile = 'net.keras': set either modelFile or modelFn of KerasImageFileEstimator, "
            "not both",
        ),
    ],
)
def test_what_cannot_be_trained_is_said_before_any_training(
    params: dict[str, Any], message: str, frame: DataFrame
) -> None:
    with pytest.raises(ConfigError) as caught:
        estimator(**params).fit(frame)
    assert str(caught.value) == message


def test_a_network_without_probabilities_is_refused(frame: DataFrame) -> None:
    with pytest.raises(ConfigError, match=r"^modelFn = 'logits': it does not answer probabilities"):
        estimator(modelFn=colours.logits).fit(frame)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("'only'", "labelCol 'label' holds one class, 'only': two are needed"),
        ("-1", "labelCol 'label' holds -1: numbers must be class indices 0, 1, 2, ...; use "),
        ("cast(null as string)", "labelCol 'label' holds no label: there is nothing to train on"),
        ("array(1)", "labelCol 'label' holds one class, 0: two are needed"),
    ],
)
def test_unusable_labels(label: str, message: str, frame: DataFrame) -> None:
    with pytest.raises(DataError) as caught:
        estimator(labelCol="label").fit(frame.withColumn("label", F.expr(label)))
    assert str(caught.value).startswith(message)
