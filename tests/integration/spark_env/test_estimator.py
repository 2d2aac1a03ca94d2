"""KerasImageFileEstimator: real trainings in Spark tasks, of networks that must learn."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.ml import Pipeline
from pyspark.ml.evaluation import BinaryClassificationEvaluator, MulticlassClassificationEvaluator
from pyspark.ml.tuning import ParamGridBuilder, TrainValidationSplit
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from darkroom.contract import ConfigError, DarkroomError, DataError
from darkroom.ml.training.estimator import KerasImageFileEstimator
from darkroom.ml.training.folder import engines_beside
from darkroom.ml.training.model import KerasImageFileModel
from tests.integration.spark_env import colour_training as colours
from tests.integration.spark_env.colour_estimator import FIT, LEARNS, coloured, estimator

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("tensorflow_workers")]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DARKROOM_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def frame(spark: SparkSession) -> DataFrame:
    return coloured(spark).cache()


@pytest.fixture(scope="module")
def model(frame: DataFrame) -> KerasImageFileModel:
    return estimator(predictionCol="prediction").fit(frame)


def test_a_network_learns_and_answers_probabilities(
    model: KerasImageFileModel, frame: DataFrame
) -> None:
    assert model.classes == ["blue", "red"]
    assert {name: len(values) for name, values in model.history.items()} == {
        "accuracy": 8,
        "loss": 8,
    }
    assert model.history["accuracy"][-1] == 1.0
    assert model.history["loss"][-1] < model.history["loss"][0]
    with_null = frame.select("image", "number").unionByName(
        frame.limit(1).select(F.lit(b"no picture").alias("image"), F.lit(7).alias("number"))
    )
    answered = model.copy({model.errorCol: "reason"}).transform(with_null).collect()
    for row in answered[:-1]:
        assert row["prediction"] == row["number"]
        assert row["probabilities"][row["number"]] > 0.5
        assert row["probabilities"].toArray().sum() == pytest.approx(1)
    assert answered[-1]["probabilities"] is answered[-1]["prediction"] is None
    assert answered[-1]["reason"].startswith("NOT_AN_IMAGE")


@pytest.mark.long
def test_labels_losses_and_partitions_that_mean_the_same_train_the_same_network(
    model: KerasImageFileModel, frame: DataFrame
) -> None:
    own = estimator()
    sparse = "sparse_categorical_crossentropy"
    changes: list[dict[Any, Any]] = [
        {own.labelCol: "number"},
        {own.labelCol: "hot"},
        {own.labelCol: "vector", own.kerasLoss: sparse},
        {own.labelCol: "number", own.kerasLoss: sparse},
        {own.kerasFitParams: FIT | {"seed": 1}},
    ]
    expected = colours.weights_of(model.getModelFile())
    *fitted, seeded = own.fit(frame.orderBy("image").repartition(5), changes)
    for other in fitted:
        # To the last digit: the same rows in the same order, from the same seed.
        assert all(map(np.array_equal, colours.weights_of(other.getModelFile()), expected))
    assert [other.classes for other in fitted] == [[0, 1]] * 4
    assert not any(map(np.array_equal, colours.weights_of(seeded.getModelFile()), expected[:1]))


def test_a_search_trains_in_parallel_tasks_and_finds_the_best(
    frame: DataFrame, tmp_path: Path
) -> None:
    diary = str(tmp_path)

    def network() -> Any:
        os.environ[colours.DIARY] = diary
        return colours.diary_network()

    stage = estimator(modelFn=network, labelCol="number", predictionCol="prediction")
    rates = [{"name": "sgd", "learning_rate": rate} for rate in (1e-9, 0.5)]
    sizes = [{"batch_size": size, "epochs": 8} for size in (4, 16)]
    grid = (
        ParamGridBuilder()
        .addGrid(stage.kerasOptimizer, rates)
        .addGrid(stage.kerasFitParams, sizes)
        .build()
    )
    best = TrainValidationSplit(
        estimator=stage,
        estimatorParamMaps=grid,
        evaluator=MulticlassClassificationEvaluator(labelCol="number", metricName="accuracy"),
        seed=3,
        parallelism=2,
    ).fit(frame)
    metrics = dict(
        zip([grid_key(point, stage) for point in grid], best.validationMetrics, strict=True)
    )
    assert metrics[0.5, 4] == 1.0
    assert max(metrics[1e-9, 4], metrics[1e-9, 16]) < 0.9
    assert isinstance(best.bestModel, KerasImageFileModel)
    assert best.bestModel.history["accuracy"][-1] == 1.0
    # One call checks the grid, four train it; the best is checked and trained anew.
    processes = [name.partition("-")[0] for name in os.listdir(diary)]
    assert len(processes) == 7
    assert len(set(processes)) == 2


def grid_key(point: Any, stage: KerasImageFileEstimator) -> tuple[float, int]:
    return point[stage.kerasOptimizer]["learning_rate"], point[stage.kerasFitParams]["batch_size"]


def test_one_unit_class_weights_and_early_stopping(frame: DataFrame) -> None:
    stage = estimator(modelFn=colours.one_unit, labelCol="number")
    stopped = {
        "epochs": 40,
        "batch_size": 8,
        "validation_split": 0.25,
        "early_stopping": {"monitor": "val_loss", "patience": 1, "min_delta": 1.0},
        "class_weight": {0: 1.0, 1: 2.0},
    }
    stage.setKerasFitParams(stopped).setKerasLoss("binary_crossentropy")
    model = stage.fit(frame)
    # No epoch is better than the first by as much as asked.
    assert {name: len(values) for name, values in model.history.items()} == {
        "accuracy": 2,
        "loss": 2,
        "val_accuracy": 2,
        "val_loss": 2,
    }
    answers = model.transform(frame).select("number", "probabilities")
    assert all(row[1].size == 2 and sum(row[1]) == pytest.approx(1) for row in answers.collect())
    ranked = BinaryClassificationEvaluator(labelCol="number", rawPredictionCol="probabilities")
    assert ranked.evaluate(answers) == 1.0


def test_a_model_file_is_trained_further(
    model: KerasImageFileModel, frame: DataFrame, tmp_path: Path
) -> None:
    file = tmp_path / "trained.keras"
    shutil.copy(model.getModelFile(), file)
    further = estimator(modelFn=None, modelFile=file).fit(frame)
    assert further.history["loss"][0] < model.history["loss"][-1]
    assert further.getModelFile() != str(file)
    file.unlink()
    with pytest.raises(ConfigError, match=f"^modelFile = '{file}': there is no such file: "):
        estimator(modelFn=None, modelFile=file).fit(frame)


SCORE = """
import json, sys
from pyspark.ml import PipelineModel
from pyspark.sql import SparkSession
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
model = PipelineModel.load(sys.argv[1])
frame = spark.read.parquet(sys.argv[2]).orderBy("uri")
rows = model.transform(frame).select("probabilities").collect()
last = model.stages[-1]
print(json.dumps([[list(row[0]) for row in rows], last.history, last.classes]))
assert "tensorflow" not in sys.modules
"""


@pytest.mark.long
def test_a_saved_pipeline_answers_the_same_in_a_new_process(
    spark: SparkSession, tmp_path: Path, cache: Path
) -> None:
    uris = []
    for n, (label, shift) in enumerate((name, n) for n in range(6) for name in colours.NAMES):
        file = tmp_path / f"{n:02}.png"
        file.write_bytes(colours.picture(label, shift))
        uris.append((file.as_uri().replace("///", "/"), label))
    frame = spark.createDataFrame(uris, "uri string, name string")
    stage = estimator(
        inputCol="uri",
        modelFn=colours.loaded_network,
        imageLoader=colours.load,
        kerasFitParams={"batch_size": 4, "epochs": 3, "callbacks": ["TerminateOnNaN"]},
    )
    Pipeline(stages=[stage]).save(str(tmp_path / "untrained"))
    (loaded,) = Pipeline.load(str(tmp_path / "untrained")).getStages()
    assert loaded.explainParams().replace(loaded.uid, stage.uid).count("current:") == 8
    assert isinstance(loaded, KerasImageFileEstimator)
    assert loaded.getModelFn() == f"{colours.__name__}:loaded_network"
    trained = Pipeline(stages=[loaded]).fit(frame)
    trained.save(str(tmp_path / "trained"))
    frame.coalesce(1).write.parquet(str(tmp_path / "uris"))
    here = trained.transform(frame.orderBy("uri")).select("probabilities").collect()

    # What the training prepared for the engine is found by digest: no TensorFlow on the driver.
    last = trained.stages[-1]
    assert isinstance(last, KerasImageFileModel)
    made = engines_beside(Path(last.getModelFile()))
    shutil.copytree(made, tmp_path / "other cache" / "engines")
    done = subprocess.run(
        [sys.executable, "-c", SCORE, str(tmp_path / "trained"), str(tmp_path / "uris")],
        capture_output=True,
        text=True,
        env=os.environ | {"DARKROOM_CACHE": str(tmp_path / "other cache")},
    )
    assert done.returncode == 0, done.stderr
    answers, history, classes = json.loads(done.stdout.splitlines()[-1])
    assert answers == [list(row[0]) for row in here]
    assert history == last.history
    assert classes == ["blue", "red"]
    assert not list(cache.glob("training/*/*/rows"))


def test_bad_rows_are_an_error_or_left_out(
    spark: SparkSession, model: KerasImageFileModel, frame: DataFrame
) -> None:
    bad = spark.createDataFrame(
        [(b"no picture", "red"), (None, "red"), (colours.picture("red", 50), None)],
        "image binary, name string",
    )
    mixed = frame.select("image", "name").union(bad)
    with pytest.raises(DataError) as caught:
        estimator().fit(mixed)
    assert str(caught.value) == (
        "3 of 43 training rows cannot be used, the first: NOT_AN_IMAGE: no known image format "
        "starts with bytes 6e 6f 20 70 69 63 74 75 72 65 (badImages='drop' leaves them out)"
    )
    cleaned = estimator(badImages="drop").fit(mixed)
    assert all(
        map(
            np.array_equal,
            colours.weights_of(cleaned.getModelFile()),
            colours.weights_of(model.getModelFile()),
        )
    )


def test_a_failed_training_names_its_param_map_and_spares_the_others(frame: DataFrame) -> None:
    stage = estimator()
    changes: list[dict[Any, Any]] = [
        {stage.kerasOptimizer: {"name": "sgd", "learning_rate": float("inf")}},
        {stage.kerasOptimizer: "adam"},
    ]
    models = stage.fitMultiple(frame, changes)
    message = (
        "the training of param map 1 of 2 (kerasOptimizer={'name': 'sgd', 'learning_rate': inf}) "
        "failed: the loss is nan after epoch 1: lower the learning rate, or check the range of "
        "the inputs"
    )
    with pytest.raises(DarkroomError, match=f"^{re.escape(message)}$"):
        next(models)
    ((index, model),) = list(models)
    assert index == 1
    assert len(model.history["loss"]) == 8


@pytest.mark.long
def test_a_worker_that_is_killed_costs_no_other_training(frame: DataFrame, tmp_path: Path) -> None:
    marks = tmp_path / "calls"
    marks.mkdir()

    def deadly() -> Any:
        calls = len(list(marks.iterdir()))
        # The first call checks the network.
        (marks / str(calls)).touch()
        if calls:
            os.kill(os.getpid(), signal.SIGKILL)
        return colours.network()

    stage = estimator(kerasFitParams={"batch_size": 8, "epochs": 1})
    changes: list[dict[Any, Any]] = [{stage.modelFn: deadly}, {stage.kerasOptimizer: LEARNS}]
    models = stage.fitMultiple(frame, changes)
    with pytest.raises(DarkroomError, match=r"failed: its worker was lost: Python worker exited"):
        next(models)
    assert [index for index, _ in models] == [1]
    # Twice beside the other, once alone.
    assert len(list(marks.iterdir())) == 1 + 3


@pytest.mark.long
def test_a_training_whose_worker_is_killed_goes_on_at_the_epoch_after_the_last(
    frame: DataFrame, tmp_path: Path, cache: Path
) -> None:
    diary = tmp_path / "diary"

    def watched() -> Any:
        import keras

        def live(epoch: int, logs: object) -> None:
            with diary.open("a") as lines:
                lines.write(f"{os.getpid()} {epoch}\n")
            # In the midst of the fourth epoch, the first time that it comes so far.
            if diary.read_text().count(" 3\n") == 1 and epoch == 3:
                os.kill(os.getpid(), signal.SIGKILL)

        class Watched(keras.Sequential):  # type: ignore[misc]
            def fit(self, *args: Any, callbacks: Any, **rest: Any) -> Any:
                watcher = keras.callbacks.LambdaCallback(on_epoch_begin=live)
                return super().fit(*args, callbacks=[watcher, *callbacks], **rest)

        return Watched([keras.Input((8, 8, 3)), *colours.network().layers])

    fit = {"batch_size": 8, "epochs": 6}
    killed = estimator(modelFn=watched, kerasFitParams=fit).fit(frame)
    lines = [line.split() for line in diary.read_text().splitlines()]
    assert [int(epoch) for _, epoch in lines] == [0, 1, 2, 3, 3, 4, 5]
    assert lines[3][0] != lines[4][0]
    assert not list(cache.rglob("*.npz"))

    whole = estimator(kerasFitParams=fit).fit(frame)
    assert killed.history == whole.history
    for ours, theirs in zip(
        colours.weights_of(killed.getModelFile()),
        colours.weights_of(whole.getModelFile()),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)
