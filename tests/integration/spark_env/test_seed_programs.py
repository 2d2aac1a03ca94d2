"""Programs that people wrote for sparkdl, as they are but for imports and weights, at full size.

The one that trains is small: test_estimator_program.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.ml import Pipeline
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from darkroom import (
    DeepImageFeaturizer,
    DeepImagePredictor,
    registerKerasImageUDF,
)
from tests.integration.spark_env.doc_examples import (
    ESTIMATOR_PAGE,
    LIBRARY_PAGE,
    a_readers_files,
    a_trainers_files,
    run_examples,
)
from tests.integration.spark_env.library_house import picture

pytestmark = [pytest.mark.integration, pytest.mark.parity]

NETWORKS = ["ResNet50", "InceptionV3"]
LABELS = [f"class {n}" for n in range(1000)]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Seeded weights of whole classifiers, as published files are."""
    import keras

    folder = tmp_path_factory.mktemp("weights")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DARKROOM_CACHE", str(folder / "cache"))
        files = {}
        for name in NETWORKS:
            keras.utils.set_random_seed(1)
            files[name] = folder / f"{name}.weights.h5"
            getattr(keras.applications, name)(weights=None).save_weights(files[name])
        yield files


@pytest.fixture(scope="module")
def images(spark: SparkSession) -> DataFrame:
    rows = [(picture(name, (40, 30)), float(name == "red")) for name in ("red", "teal") * 6]
    return spark.createDataFrame(rows, "image binary, label double").repartition(2)


def test_inception_names_what_it_sees(images: DataFrame, weights: dict[str, Path]) -> None:
    predictor = DeepImagePredictor(
        inputCol="image",
        outputCol="predicted_labels",
        modelName="InceptionV3",
        decodePredictions=True,
        topK=10,
        labels=LABELS,
        weights=weights,
    )

    answers = [row["predicted_labels"] for row in predictor.transform(images).collect()]

    assert len(answers) == 12
    for answer in answers:
        assert len({item["class"] for item in answer}) == 10
        found = [item["probability"] for item in answer]
        assert found == sorted(found, reverse=True)
        assert all(0 < probability < 1 for probability in found)


def test_a_cross_validator_over_model_names(images: DataFrame, weights: dict[str, Path]) -> None:
    featurizer = DeepImageFeaturizer(inputCol="image", outputCol="features", weights=weights)
    lr = LogisticRegression(maxIter=5, regParam=0.01)
    grid = ParamGridBuilder().addGrid(featurizer.modelName, NETWORKS).build()
    search = CrossValidator(
        estimator=Pipeline(stages=[featurizer, lr]),
        estimatorParamMaps=grid,
        evaluator=MulticlassClassificationEvaluator(metricName="accuracy"),
        numFolds=3,
        seed=3,
    )

    fitted = search.fit(images)

    # Two colours, one picture each: even a random network tells them apart.
    assert fitted.avgMetrics == [1.0, 1.0]
    (row,) = fitted.transform(images).select(F.avg(F.expr("int(prediction = label)"))).collect()
    assert row[0] == 1.0


def test_the_same_network_answers_from_sql(
    spark: SparkSession, images: DataFrame, weights: dict[str, Path]
) -> None:
    registerKerasImageUDF(
        "my_object_recognition_function", "InceptionV3", labels=LABELS, weights=weights
    )
    images.createOrReplaceTempView("traffic_imgs")

    (row,) = spark.sql(
        "SELECT image, my_object_recognition_function(image) AS objects FROM traffic_imgs LIMIT 1"
    ).collect()

    assert len(row["objects"]) == 1000
    np.testing.assert_allclose(sum(item["probability"] for item in row["objects"]), 1, rtol=1e-3)


WITH_WEIGHTS = {
    'modelName="ResNet50"': 'modelName="ResNet50", weights=weights',
    'modelName="InceptionV3"': 'modelName="InceptionV3", weights=weights, labels=labels',
}


def test_the_library_s_pages_run_as_they_stand(
    spark: SparkSession, weights: dict[str, Path], tmp_path: Path
) -> None:
    names: dict[str, Any] = {"weights": weights, "labels": LABELS}
    names |= a_readers_files(spark, tmp_path / "reader")
    run_examples(LIBRARY_PAGE, names, tmp_path / "reader", WITH_WEIGHTS)
    assert len(names["fitted"].avgMetrics) == len(NETWORKS)

    names = a_trainers_files(spark, tmp_path / "trainer")
    run_examples(ESTIMATOR_PAGE, names, tmp_path / "trainer")
    assert len(names["best"].history["accuracy"]) == 5
