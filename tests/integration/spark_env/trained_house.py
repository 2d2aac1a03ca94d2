"""Pipelines of coloured pictures, for tests of what a candidate goes through."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.integration.spark_env.colour_pipeline import SIDE, House, new_house


@pytest.fixture(scope="session")
def backbone_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file whose features are the mean red, green and blue."""
    import keras

    file = tmp_path_factory.mktemp("backbone") / "mean_colour.keras"
    layers = [keras.Input((SIDE, SIDE, 3)), keras.layers.GlobalAveragePooling2D()]
    keras.Sequential(layers).save(file)
    return file


@pytest.fixture
def house(spark: SparkSession, mlflow_uri: str, backbone_file: Path, tmp_path: Path) -> House:
    """A new pipeline."""
    return new_house(spark, mlflow_uri, backbone_file, tmp_path)


@pytest.fixture(scope="session")
def trained(
    spark: SparkSession,
    mlflow_server: str,
    backbone_file: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> House:
    """A pipeline whose run 1 has a candidate, for tests that only look at it."""
    house = new_house(spark, mlflow_server, backbone_file, tmp_path_factory.mktemp("trained"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLFLOW_TRACKING_URI", mlflow_server)
        house.fill()
        house.tune()
    return house
