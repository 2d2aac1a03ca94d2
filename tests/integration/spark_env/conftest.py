"""One Spark session for all tests that need one, with the project's own settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

PROJECT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """Two local workers that import the library from the source tree."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["PYTHONPATH"] = os.pathsep.join([str(PROJECT / "spark_jobs"), str(PROJECT)])
    builder = SparkSession.builder.master("local[2]").appName("tests")
    # As scripts/env.sh does: small jobs are over before the second compiler pays.
    builder = builder.config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1")
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
