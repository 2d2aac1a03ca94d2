"""Searches for a head in a process of its own, slowly: ``tuning_process.py WORKSPACE``.

A test kills it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession

from darkroom.contract import TuningConfig
from darkroom.tuning.head_fits import HeadFit
from darkroom.tuning.points import Point
from darkroom.tuning.results import ResultStore
from darkroom.tuning.rows import TrainRows
from darkroom.tuning.search import Found, search
from darkroom.tuning.task_fits import TaskFits

SECONDS = 0.5
"""What a fit takes."""

CONFIG = TuningConfig(folds=2, reg_params=(0.01, 0.1, 1.0, 10.0), max_iterations=5)


def main(workspace: str) -> None:
    """Runs the search and says that it has."""
    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", False)
    spark = builder.config("spark.sql.shuffle.partitions", 1).getOrCreate()

    class Slow(HeadFit):
        def without_fold(self, examples: Any, fold: int) -> Any:
            time.sleep(SECONDS)
            return super().without_fold(examples, fold)

    def slow(fits: TaskFits, point: Point) -> HeadFit:
        del fits
        return Slow(classes=2, point=point, max_iterations=CONFIG.max_iterations, seed=CONFIG.seed)

    TaskFits._head_fit = slow  # type: ignore[method-assign,assignment]
    run(spark, Path(workspace))


def run(spark: SparkSession, workspace: Path) -> Found:
    """Searches on rows that are always the same."""
    rows = TrainRows(
        backbone="toy",
        backbone_key="",
        labels=("left", "right"),
        images=40,
        width=3,
        frame=_frame(spark),
        identity="always the same",
    )
    return search(rows, CONFIG, ResultStore(workspace))


def _frame(spark: SparkSession) -> DataFrame:
    random = np.random.default_rng(1)
    rows = [
        (f"{n:02}", float(n % 2), n // 2 % 2, (random.normal(n % 2, 1, 3)).tolist())
        for n in range(40)
    ]
    return spark.createDataFrame(
        rows, "image_id string, label_index double, fold int, vector array<float>"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
