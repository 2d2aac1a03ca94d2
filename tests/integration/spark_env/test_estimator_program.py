"""A training that people wrote for sparkdl, as its documentation has it but for the imports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import SparkSession

from darkroom import KerasImageFileEstimator, KerasImageFileModel
from tests.integration.spark_env import colour_training as colours

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("tensorflow_workers")]


def load_image_from_uri(local_uri: str) -> Any:
    """As in sparkdl's documentation: what Keras' preprocessing takes, with a batch axis of 1."""
    with Image.open(local_uri) as image:
        pixels = image.convert("RGB").resize((colours.SIDE, colours.SIDE))
    return np.array(pixels).astype(np.float32)[np.newaxis, :] - 127.5


def test_a_cross_validator_over_fit_params(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_CACHE", str(tmp_path / "cache"))
    model_file = colours.save_undecided(tmp_path / "model-full-tmp.h5")
    rows = []
    for n, row in enumerate(colours.rows(10)):
        (tmp_path / f"{n}.png").write_bytes(row["image"])
        rows.append((str(tmp_path / f"{n}.png"), row["hot"], row["number"]))
    kind = "uri string, one_hot_label array<double>, label long"
    train_df = spark.createDataFrame(rows, kind).coalesce(1)

    estimator = KerasImageFileEstimator(
        inputCol="uri",
        outputCol="prediction",
        labelCol="one_hot_label",
        imageLoader=load_image_from_uri,
        kerasOptimizer="adam",
        kerasLoss="categorical_crossentropy",
        modelFile=model_file,
    )
    sizes = [{"batch_size": 100, "verbose": 0}, {"batch_size": 4, "epochs": 2, "verbose": 0}]
    param_grid = ParamGridBuilder().addGrid(estimator.kerasFitParams, sizes).build()
    bc = BinaryClassificationEvaluator(rawPredictionCol="prediction", labelCol="label")
    cv = CrossValidator(
        estimator=estimator, estimatorParamMaps=param_grid, evaluator=bc, numFolds=2, seed=3
    )
    fitted = cv.fit(train_df)

    # The file's own network answers one half for every picture: an area of one half.
    assert fitted.avgMetrics == [1.0, 1.0]
    best = fitted.bestModel
    assert isinstance(best, KerasImageFileModel)
    assert best.getOrDefault(best.inputCol) == "uri"
    answers = best.transform(train_df).select("prediction", "label").collect()
    assert [int(row["prediction"].argmax()) for row in answers] == [row["label"] for row in answers]
