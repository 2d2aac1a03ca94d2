"""Clouds of vectors to search heads on: two far apart from each other, or several that overlap."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession

from darkroom.contract import TuningConfig
from darkroom.tuning.results import ResultStore
from darkroom.tuning.rows import TrainRows, numbered
from darkroom.tuning.search import Ended, Found, search

LABELS = ("left", "right")
SCHEMA = "image_id string, group_id string, label string, vector array<float>"
CRUSHING = 1e6
"""A regularisation under which all coefficients are 0: only the larger class is predicted."""

Row = tuple[str, str, str, list[float]]


def fold_of(group: str, seed: int, folds: int) -> int:
    return int(hashlib.sha256(f"{seed}:{group}".encode()).hexdigest()[:15], 16) % folds


def separable(images: int = 60) -> list[Row]:
    """Two clouds apart from each other, a third of the images on the left; groups of two."""
    noise = np.random.default_rng(3).normal(0, 0.1, (images, 2))
    rows = []
    for n in range(images):
        label = "left" if n % 3 == 0 else "right"
        centre = -5.0 if label == "left" else 5.0
        rows.append(
            (f"{n:03}", f"group {n // 2}", label, [centre + float(noise[n, 0]), float(noise[n, 1])])
        )
    return rows


def mixed(labels: tuple[str, ...], images: int = 90) -> list[Row]:
    """Overlapping clouds; features far from 0 and of different scales."""
    random = np.random.default_rng(5)
    truths = random.integers(0, len(labels), images)
    vectors = random.normal(0, 1, (images, 3)) + 2 * np.eye(3)[truths]
    vectors = vectors * [0.1, 1, 20] + [5, 0, -300]
    return [(f"{n:03}", f"{n}", labels[truths[n]], vectors[n].tolist()) for n in range(images)]


def config(**changes: Any) -> TuningConfig:
    return TuningConfig(**({"folds": 3, "max_iterations": 20} | changes))


def train_rows(
    given: DataFrame,
    tuning: TuningConfig,
    labels: tuple[str, ...] = LABELS,
    images: int = 60,
    width: int = 2,
) -> TrainRows:
    return TrainRows(
        backbone="toy",
        backbone_key="toy-key",
        labels=labels,
        images=images,
        width=width,
        frame=numbered(given, labels, tuning),
        identity=f"toy, seed {tuning.seed}",
    )


def mixed_rows(spark: SparkSession, tuning: TuningConfig, labels: tuple[str, ...]) -> TrainRows:
    given = spark.createDataFrame(mixed(labels), SCHEMA).coalesce(1)
    return train_rows(given, tuning, labels, images=90, width=3)


def searched(
    spark: SparkSession,
    store: ResultStore,
    ended: Ended = lambda trials: None,
    **changes: Any,
) -> Found:
    """A search over three classes that is over at once."""
    labels = ("a", "b", "c")
    tuning = config(**({"folds": 2, "reg_params": (0.1, 3.0), "max_iterations": 5} | changes))
    return search(mixed_rows(spark, tuning, labels), tuning, store, ended=ended)
