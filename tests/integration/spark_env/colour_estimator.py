"""An estimator that learns colours, and the frame that it learns them from."""

from __future__ import annotations

from typing import Any

from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from darkroom.ml.training.estimator import KerasImageFileEstimator
from tests.integration.spark_env import colour_training as colours

LEARNS = {"name": "adam", "learning_rate": 0.3}
FIT = {"batch_size": 8, "epochs": 8}


def coloured(spark: SparkSession) -> DataFrame:
    """Twenty pictures of each colour, with every kind of label."""
    made = spark.createDataFrame(
        colours.rows(20), "image binary, name string, number long, hot array<double>"
    )
    return made.withColumn("vector", array_to_vector(F.col("hot"))).repartition(2)


def estimator(**params: Any) -> KerasImageFileEstimator:
    given: dict[str, Any] = {
        "inputCol": "image",
        "outputCol": "probabilities",
        "labelCol": "name",
        "modelFn": colours.network,
        "kerasOptimizer": LEARNS,
        "kerasFitParams": FIT,
        "engine": "tensorflow",
    }
    return KerasImageFileEstimator(**(given | params))
