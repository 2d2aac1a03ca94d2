"""What a search tells while it runs, and how large its parts may be."""

from __future__ import annotations

import time

import pytest
from pyspark.sql import SparkSession

from darkroom.tuning import progress
from darkroom.tuning.matrix import matrix_limit
from darkroom.tuning.spark_fits import partitions_for

pytestmark = pytest.mark.integration


def test_how_far_the_fits_are_is_told_while_they_run(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PROGRESS_SECONDS", 0.05)
    context = spark.sparkContext
    done = iter([1, 1, *range(2, 100)])
    told: list[str] = []

    def state() -> progress.State:
        return progress.State(min(next(done), 4), 4, "one is best")

    with progress.watched(context, "naps", state, told.append):
        assert context.getLocalProperty("spark.job.description") == "naps"
        time.sleep(0.5)
    assert told[0] == "naps: 1 of 4 fits done, one is best"
    assert told[1] == "naps: 2 of 4 fits done, one is best, about 0 s left"
    assert told[-1] == "naps: 4 of 4 fits done, one is best"
    assert context.getLocalProperty("spark.jobGroup.id") is None


def test_an_eighth_of_the_heap_may_be_shared(spark: SparkSession) -> None:
    assert matrix_limit(spark) == 256 * 1024**2


def test_a_partition_holds_sixty_four_mebibytes() -> None:
    assert partitions_for(0, 256) == 1
    assert partitions_for(32_768, 256) == 1
    assert partitions_for(32_769, 256) == 2
