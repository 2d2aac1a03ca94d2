"""Featurizer and predictor in Spark answer as Keras does outside it, for every architecture.

One small architecture for each engine always; all of them with ``make test-parity``, which keeps
its results in benchmarks/parity.json and docs/parity.md and goes on where it was stopped.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from darkroom.backbones.keras_table import KERAS_TABLE
from tests.integration.spark_env import parity_house as house

pytestmark = pytest.mark.integration

SMALL = ("MobileNet", "VGG16")
PROJECT = Path(__file__).parents[3]
RESULTS_FILE = PROJECT / "benchmarks" / "parity.json"
PAGE = PROJECT / "docs" / "parity.md"
KEEP = "DARKROOM_PARITY"
"""Environment: ``new`` measures all and writes the results, ``resume`` only what is missing."""


def architectures() -> list[object]:
    """Small ones first, the others behind the marker ``parity``."""
    rest = sorted(set(KERAS_TABLE) - set(SMALL))
    return [*SMALL, *(pytest.param(name, marks=pytest.mark.parity) for name in rest)]


@pytest.mark.parametrize("name", architectures())
def test_spark_answers_as_keras_does(spark: SparkSession, name: str) -> None:
    keep = os.environ.get(KEEP)
    known = house.read_results(RESULTS_FILE).get(name)
    if keep == "resume" and known is not None and known.versions == house.versions():
        pytest.skip(f"measured already: {RESULTS_FILE.name}")
    # Up to 8 GB of files: gone before the next one's.
    with tempfile.TemporaryDirectory() as scratch:
        parity = house.measure(spark, name, Path(scratch))
    if keep:
        house.write_result(RESULTS_FILE, name, parity)
        house.write_page(PAGE, house.read_results(RESULTS_FILE))
    house.check(name, parity)
