"""Fixtures: a deployed pipeline, from a champion in a real registry to Spark SQL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from mlflow import MlflowClient
from pyspark.sql import SparkSession
from pyspark.sql.pandas.functions import arrow_udf

from darkroom.contract import PipelineConfig, Stage, Workspace
from darkroom.lake import Lake
from darkroom.lake.schema import spark_schema
from darkroom.registry.package import ModelPackage
from darkroom.sql import create_views, register_functions
from darkroom.stages.deploy import deploy
from darkroom.stages.register import register
from darkroom.stages.run import StageRun
from tests.integration.spark_env.colour_model import (
    LABELS,
    colour_package,
    config,
    decide,
    finished_run,
    image_row,
    log_candidate,
    picture,
)

PIPELINE = config("colours")
IMAGES = {f"{colour}/{n}.jpg": picture(colour, size=16 + n) for colour in LABELS for n in range(4)}


class House:
    """A workspace with images and a champion."""

    def __init__(self, spark: SparkSession, root: Path, uri: str, pipeline: PipelineConfig) -> None:
        self.spark = spark
        self.workspace = Workspace(root)
        self.lake = Lake(self.workspace)
        self.config = pipeline
        self.uri = uri
        self.client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        self._models = root / "made"

    def challenge(self, version: int, labels: tuple[str, ...] = LABELS) -> ModelPackage:
        """Registers the network of that number, as challenger."""
        return self.challenge_package(colour_package(self._models, version, labels))

    def challenge_package(self, package: ModelPackage) -> ModelPackage:
        """Registers a model, as challenger."""
        run = finished_run(
            self.workspace,
            self.config.name,
            f"training of {package.digest}",
            log_candidate(self.uri, package),
            decide(package.digest),
        )
        register(self.config, self.workspace, run)
        return package

    def crown(self, version: int) -> str:
        """Registers the network of that number and makes it champion; returns its digest."""
        return self.crown_package(colour_package(self._models, version))

    def crown_package(self, package: ModelPackage) -> str:
        """Registers a model and makes it champion; returns its digest."""
        self.challenge_package(package)
        registered = self.client.get_model_version_by_alias(self.config.name, "challenger").version
        self.client.set_registered_model_alias(self.config.name, "champion", registered)
        return package.digest

    def add_images(self, images: dict[str, bytes]) -> None:
        rows = [image_row(path, data) for path, data in images.items()]
        frame = self.spark.createDataFrame(rows, spark_schema("images"))
        self.lake.append(frame, self.config.name, "images", run_id="i", stage=Stage.INGEST)
        splits = [(row["image_id"], row["image_id"], "train", "i") for row in rows]
        names = "image_id string, group_id string, split string, run_id string"
        frame = self.spark.createDataFrame(splits, names)
        self.lake.append(frame, self.config.name, "splits", run_id="i", stage=Stage.INGEST)

    def run(self, run_id: str) -> StageRun:
        return StageRun(folder=self.workspace.run(self.config.name, run_id))

    def deploy(self, run_id: str = "d") -> Any:
        return deploy(self.spark, self.config, self.workspace, self.run(run_id))

    def function_rows(self) -> list[dict[str, Any]]:
        return self.lake.rows("darkroom", "functions")

    def ask(self, sql: str) -> list[Any]:
        return self.spark.sql(sql).collect()

    def register_counter(self, name: str, calls: Path) -> None:
        """Registers a function that answers its picture, and notes an x for each in a file."""

        def count(images: pa.Array) -> pa.Array:
            with calls.open("a") as stream:
                stream.write("x" * len(images))
            return images

        self.spark.udf.register(name, arrow_udf(count, "binary"))  # type: ignore[call-overload]


@pytest.fixture(scope="session")
def deployed_house(
    spark: SparkSession, mlflow_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """One deployed pipeline, which the tests only read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
        root = tmp_path_factory.mktemp("colours")
        house = House(spark, root, mlflow_server, PIPELINE)
        house.add_images(IMAGES)
        digest = house.crown(1)
        return house, digest, house.deploy()


@pytest.fixture
def colours(deployed_house: Any, mlflow_uri: str) -> House:
    """The deployed pipeline, its function and view as deployed, whatever tests before did."""
    del mlflow_uri
    made: House = deployed_house[0]
    register_functions(made.spark, made.workspace)
    create_views(made.spark, made.workspace)
    return made
