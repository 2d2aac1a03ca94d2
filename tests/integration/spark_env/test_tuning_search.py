"""The search on Spark: folds, scores and winner against numbers worked out without it."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import numpy as np
import pytest
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import DataFrame, SparkSession

from darkroom.contract import TuningConfig
from darkroom.tuning.folds import FOLD, TRUTH, fold_column
from darkroom.tuning.search import FEATURES, best_of, partitions_for, search, training_frame

pytestmark = pytest.mark.integration

LABELS = ("left", "right")
SCHEMA = "image_id string, group_id string, label string, vector array<float>"
CRUSHING = 1e6
"""A regularisation under which all coefficients are 0: only the larger class is predicted."""


def fold_of(group: str, seed: int, folds: int) -> int:
    return int(hashlib.sha256(f"{seed}:{group}".encode()).hexdigest()[:15], 16) % folds


def separable(images: int = 60) -> list[tuple[str, str, str, list[float]]]:
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


def config(**changes: Any) -> TuningConfig:
    return TuningConfig(**({"folds": 3, "max_iterations": 20} | changes))


def frame(spark: SparkSession, tuning: TuningConfig, rows: Any = None) -> DataFrame:
    given = spark.createDataFrame(rows or separable(), SCHEMA)
    return training_frame(given, LABELS, tuning, partitions=1).cache()


def test_folds_are_the_hash_of_seed_and_group(spark: SparkSession) -> None:
    rows = spark.createDataFrame(separable(), SCHEMA)
    for seed, folds in ((7, 3), (8, 5)):
        found: list[Any] = rows.select("group_id", fold_column(folds, seed).alias(FOLD)).collect()
        assert {(g, fold_of(g, seed, folds)) for g, _ in found} == {tuple(row) for row in found}
    assert len({fold_of(row[1], 7, 3) for row in separable()}) == 3


def test_the_best_parameter_is_found_and_every_score_is_known(spark: SparkSession) -> None:
    tuning = config(reg_params=(CRUSHING, 0.01))
    found = search(frame(spark, tuning), tuning, "toy", "toy-key")
    right = Counter(fold_of(row[1], 7, 3) for row in separable() if row[2] == "right")
    total = Counter(fold_of(row[1], 7, 3) for row in separable())
    shares = tuple(right[fold] / total[fold] for fold in range(3))
    assert [trial.reg_param for trial in found.trials] == [0.01, CRUSHING]
    assert found.trials[0].scores == (1.0, 1.0, 1.0)
    assert found.trials[1].scores == pytest.approx(shares)
    assert found.trials[1].mean == pytest.approx(np.mean(shares))
    assert found.trials[1].std == pytest.approx(np.std(shares))
    assert found.best == found.trials[0]
    assert (found.best.backbone, found.best.backbone_key) == ("toy", "toy-key")


def test_the_macro_metric_of_the_larger_class_alone_is_half_its_recall(
    spark: SparkSession,
) -> None:
    tuning = config(reg_params=(CRUSHING,), metric="macro_recall", folds=2)
    found = search(frame(spark, tuning), tuning, "toy", "toy-key")
    assert found.best.scores == (0.5, 0.5)


def test_of_equal_means_the_smaller_parameters_win(spark: SparkSession) -> None:
    tuning = config(folds=2, reg_params=(0.01, 0.001), elastic_net_params=(0.5, 0.0))
    found = search(frame(spark, tuning), tuning, "toy", "toy-key")
    assert {trial.mean for trial in found.trials} == {1.0}
    assert (found.best.reg_param, found.best.elastic_net_param) == (0.001, 0.0)


def test_of_equal_backbones_the_first_wins(spark: SparkSession) -> None:
    tuning = config(folds=2, reg_params=(0.01,))
    data = frame(spark, tuning)
    first, second = (search(data, tuning, name, name) for name in ("first", "second"))
    assert best_of([first, second]) is first


def test_the_means_are_those_of_sparks_own_evaluator(spark: SparkSession) -> None:
    noisy = np.random.default_rng(5).normal(0, 1, (90, 2))
    labels = ["left" if x + y > 0.3 * (n % 5) else "right" for n, (x, y) in enumerate(noisy)]
    rows = [(f"{n:03}", f"{n}", labels[n], noisy[n].tolist()) for n in range(90)]
    tuning = config(reg_params=(0.01, 1.0))
    data = frame(spark, tuning, rows)
    estimator = LogisticRegression(
        family="multinomial", featuresCol=FEATURES, labelCol=TRUTH, maxIter=20
    )
    theirs = CrossValidator(
        estimator=estimator,
        estimatorParamMaps=ParamGridBuilder().addGrid(estimator.regParam, [0.01, 1.0]).build(),
        evaluator=MulticlassClassificationEvaluator(labelCol=TRUTH, metricName="accuracy"),
        numFolds=3,
        foldCol=FOLD,
    ).fit(data)
    ours = search(data, tuning, "toy", "toy-key")
    assert [trial.mean for trial in ours.trials] == pytest.approx(theirs.avgMetrics)
    assert [trial.std for trial in ours.trials] == pytest.approx(theirs.stdMetrics)
    assert 0.5 < theirs.avgMetrics[0] < 1


def test_order_and_partitions_of_the_rows_do_not_change_one_bit(spark: SparkSession) -> None:
    tuning = config(folds=2, reg_params=(0.01,))
    rows = spark.createDataFrame(separable(), SCHEMA)
    kernels = []
    for given in (rows.coalesce(1), rows.orderBy("label").repartition(7)):
        data = training_frame(given, LABELS, tuning, partitions=1).cache()
        model = search(data, tuning, "toy", "toy-key").model
        kernels.append(model.coefficientMatrix.toArray().tobytes())
    assert kernels[0] == kernels[1]


def test_a_class_that_a_fold_lacks_still_has_its_row(spark: SparkSession) -> None:
    rows = separable()
    lonely = [row for row in rows if row[2] == "right"] + [row for row in rows if row[2] == "left"][
        :1
    ]
    tuning = config(folds=2, reg_params=(0.01,))
    found = search(frame(spark, tuning, lonely), tuning, "toy", "toy-key")
    assert found.model.numClasses == 2
    assert found.model.coefficientMatrix.numRows == 2


def test_a_partition_holds_sixty_four_mebibytes() -> None:
    assert partitions_for(0, 256) == 1
    assert partitions_for(32_768, 256) == 1
    assert partitions_for(32_769, 256) == 2
