"""One Spark session for all tests that need one, with the project's own settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.integration.spark_env.jvm import QUICK

PROJECT = Path(__file__).parents[3]
BARRED = Path(__file__).parent / "barred"


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """Two local workers that import the library from the source tree."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["PYTHONPATH"] = os.pathsep.join([str(PROJECT / "spark_jobs"), str(PROJECT)])
    builder = SparkSession.builder.master("local[2]").appName("tests").config(*QUICK)
    for line in (PROJECT / "config/spark/spark-defaults.conf").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            name, value = line.split(maxsplit=1)
            builder = builder.config(name, value)
    # A few rows each: no more tasks than workers.
    builder = builder.config("spark.sql.shuffle.partitions", "2")
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture(scope="module")
def tensorflow_workers(spark: SparkSession) -> Iterator[None]:
    """Python workers for what imports TensorFlow, which takes seconds: few, and always the same.

    Spark hands out its idle workers in turn, so that all of them would import it sooner or later;
    it keeps those of other variables apart.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(spark.sparkContext.environment, "DARKROOM_TEST_WORKERS", "tensorflow")
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules of `tensorflow_workers` come last: Spark ends workers that idle for a minute."""
    users = {item.path for item in items if tensorflow_workers.__name__ in _fixtures(item)}
    items.sort(key=lambda item: item.path in users)


def _fixtures(item: pytest.Item) -> Sequence[str]:
    return item.fixturenames if isinstance(item, pytest.Function) else ()


@pytest.fixture
def no_tensorflow(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither this process nor a Python worker can import TensorFlow or Keras."""
    for name in ("tensorflow", "keras"):
        monkeypatch.setitem(sys.modules, name, None)
    bar_workers(spark, monkeypatch)


def bar_workers(spark: SparkSession, patch: pytest.MonkeyPatch) -> None:
    """Functions that are made from now on get Python workers without TensorFlow and Keras."""
    patch.setitem(spark.sparkContext.environment, "PYTHONPATH", str(BARRED))
