"""Stages that are saved answer the same in another process, whatever became of their files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pyspark.ml import Pipeline
from pyspark.ml.classification import NaiveBayes
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.tuning import CrossValidator
from pyspark.sql import SparkSession

from darkroom.contract import ConfigError, DataError
from darkroom.ml.pictures.featurizer import DeepImageFeaturizer
from darkroom.ml.pictures.file_transformer import KerasImageFileTransformer
from darkroom.ml.pictures.predictor import DeepImagePredictor
from darkroom.ml.tensors.keras_transformer import KerasTransformer
from darkroom.ml.tensors.tf_transformer import TFTransformer
from tests.integration.spark_env import library_house as house

pytestmark = pytest.mark.integration

SCORE = """
import json, sys
from pyspark.ml import PipelineModel
from pyspark.ml.tuning import CrossValidatorModel
from pyspark.sql import SparkSession

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
pictures, pipeline, search = sys.argv[1:]
frame = spark.read.parquet(pictures).orderBy("id")
for model in (PipelineModel.load(pipeline), CrossValidatorModel.load(search)):
    rows = model.transform(frame).select("probability", "prediction").collect()
    print("answer", json.dumps([[list(row[0]), row[1]] for row in rows]))
print("metrics", json.dumps(model.avgMetrics))
"""


@pytest.fixture
def mean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DARKROOM_CACHE", str(tmp_path / "cache"))
    return house.save_mean(tmp_path / "mean.keras")


@pytest.mark.long
def test_fitted_models_answer_the_same_in_a_new_process(
    spark: SparkSession, mean: Path, tmp_path: Path
) -> None:
    colours = ["red", "green", "teal", "red"] * 2
    frame = spark.createDataFrame(
        [(n, house.picture(c), float(c != "red"), n // 4) for n, c in enumerate(colours)],
        "id int, image binary, label double, fold int",
    ).coalesce(1)
    frame.write.parquet(str(tmp_path / "pictures"))
    featurizer = DeepImageFeaturizer(inputCol="image", outputCol="features", modelFile=mean)
    # One pass over the rows, where a logistic regression makes dozens.
    classifier = NaiveBayes()
    search = CrossValidator(
        estimator=Pipeline(stages=[featurizer, classifier]),
        estimatorParamMaps=[{classifier.smoothing: 0.5}],
        evaluator=MulticlassClassificationEvaluator(metricName="accuracy"),
        numFolds=2,
        foldCol="fold",
    )
    fitted = search.fit(frame)
    best: Any = fitted.bestModel
    here = [
        [list(row["probability"]), row["prediction"]] for row in best.transform(frame).collect()
    ]
    # A path, and a URI.
    saved = [str(tmp_path / "pipeline"), (tmp_path / "search").as_uri()]
    best.save(saved[0])
    fitted.save(saved[1])
    mean.unlink()
    shutil.rmtree(tmp_path / "cache")

    done = subprocess.run(
        [sys.executable, "-c", SCORE, str(tmp_path / "pictures"), *saved],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"DARKROOM_CACHE": str(tmp_path / "other cache")},
    )

    assert done.returncode == 0, done.stderr[-3000:]
    said = [line.split(" ", 1) for line in done.stdout.splitlines()]
    answers = [json.loads(text) for word, text in said if word == "answer"]
    assert [prediction for _, prediction in here] == [float(c != "red") for c in colours]
    assert answers == [here, here]
    assert [json.loads(text) for word, text in said if word == "metrics"] == [[1.0]]


def test_a_loaded_stage_can_be_saved_over_itself(
    spark: SparkSession, mean: Path, tmp_path: Path
) -> None:
    target = str(tmp_path / "saved")
    featurizer = DeepImageFeaturizer(
        inputCol="image", outputCol="features", modelFile=mean, errorCol="why"
    )
    pipeline = Pipeline(stages=[featurizer])
    pipeline.save(target)
    with pytest.raises(Exception, match="already exists"):
        pipeline.save(target)
    mean.unlink()

    Pipeline.load(target).write().overwrite().save(target)
    (loaded,) = Pipeline.load(target).getStages()

    assert isinstance(loaded, DeepImageFeaturizer)
    assert loaded.uid == featurizer.uid
    assert (loaded.getInputCol(), loaded.getErrorCol()) == ("image", "why")
    assert not loaded.isSet(loaded.pooling)
    saved = tmp_path / "saved/stages" / f"0_{loaded.uid}" / "files/modelFile/mean.keras"
    assert saved.read_bytes() == Path(loaded.getModelFile()).read_bytes()
    shutil.rmtree(tmp_path / "cache")
    (saved.parent / f".{saved.name}.crc").unlink(missing_ok=True)
    saved.write_bytes(b"changed")
    with pytest.raises(DataError, match=r"mean\.keras has SHA-256 [0-9a-f]{12}, not [0-9a-f]{12}"):
        Pipeline.load(target)


@pytest.mark.parametrize(
    "stage",
    [
        DeepImagePredictor(inputCol="i", modelName="ResNet50", decodePredictions=True, topK=3),
        DeepImageFeaturizer(weights={"ResNet50": {"uri": "s3://b/w.h5", "sha256": "0" * 64}}),
        KerasImageFileTransformer(imageLoader=house.load_number, outputMode="image"),
        KerasTransformer(inputMapping={"a": "x"}, outputMapping={"y": "b"}, outputMode="vector"),
        TFTransformer(signature="half", inputCol="v"),
    ],
    ids=lambda stage: type(stage).__name__,
)
def test_every_stage_is_saved_with_its_params(
    stage: Any, spark: SparkSession, tmp_path: Path
) -> None:
    stage.save(str(tmp_path / "saved"))

    loaded = type(stage).load(str(tmp_path / "saved"))

    def values(of: Any) -> dict[str, Any]:
        return {param.name: value for param, value in of.extractParamMap().items()}

    expected = values(stage)
    if "imageLoader" in expected:
        expected["imageLoader"] = "tests.integration.spark_env.library_house:load_number"
    assert values(loaded) == expected


def test_weights_files_are_saved_too(spark: SparkSession, mean: Path, tmp_path: Path) -> None:
    weights = tmp_path / "w.weights.h5"
    weights.write_bytes(b"weights")
    stage = DeepImageFeaturizer(modelName="ResNet50", weights={"ResNet50": weights})
    stage.save(str(tmp_path / "saved"))
    weights.unlink()

    loaded = DeepImageFeaturizer.load(str(tmp_path / "saved"))

    assert Path(loaded.getWeights()["ResNet50"]).read_bytes() == b"weights"


def test_a_lambda_cannot_be_saved(spark: SparkSession, tmp_path: Path) -> None:
    stage = KerasImageFileTransformer(imageLoader=lambda uri: uri)

    with pytest.raises(ConfigError, match=r"it cannot be saved: put the function into a module"):
        stage.save(str(tmp_path / "saved"))
    assert not (tmp_path / "saved").exists()
