"""The search on Spark: folds, scores and winner against numbers worked out without it."""

from __future__ import annotations

import hashlib
import logging
import time
from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import DataFrame, SparkSession

from darkroom.contract import TuningConfig
from darkroom.tuning import task_fits
from darkroom.tuning.folds import FOLD, TRUTH
from darkroom.tuning.matrix import matrix_limit
from darkroom.tuning.rows import Point, TrainRows, numbered
from darkroom.tuning.search import search
from darkroom.tuning.spark_fits import FEATURES, SparkFits, partitions_for, training_frame
from darkroom.tuning.task_fits import TaskFits

pytestmark = pytest.mark.integration

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
    )


def mixed_rows(spark: SparkSession, tuning: TuningConfig, labels: tuple[str, ...]) -> TrainRows:
    given = spark.createDataFrame(mixed(labels), SCHEMA).coalesce(1)
    return train_rows(given, tuning, labels, images=90, width=3)


@pytest.fixture(scope="module")
def clouds(spark: SparkSession) -> DataFrame:
    """Separable rows."""
    return spark.createDataFrame(separable(), SCHEMA).coalesce(1).cache()


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What the search reports."""
    caplog.set_level(logging.INFO, logger="darkroom")
    return caplog


def test_folds_are_the_hash_of_seed_and_group(clouds: DataFrame) -> None:
    for seed, folds in ((7, 3), (8, 5)):
        tuning = config(seed=seed, folds=folds)
        found: list[Any] = numbered(clouds, LABELS, tuning).select("image_id", FOLD).collect()
        assert dict(map(tuple, found)) == {
            row[0]: fold_of(row[1], seed, folds) for row in separable()
        }
    assert len({fold_of(row[1], 7, 3) for row in separable()}) == 3


def test_the_best_parameter_is_found_and_every_score_is_known(
    clouds: DataFrame, monkeypatch: pytest.MonkeyPatch, told: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(task_fits, "PROGRESS_SECONDS", 600)
    tuning = config(reg_params=(CRUSHING, 0.01))
    found = search(train_rows(clouds, tuning), tuning)
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
    assert told.messages == [
        "toy: 60 x 2 features, 0.0 MiB, at most 256.0 MiB: each fit is one Spark task",
        "toy: 2 trials x 3 folds: 6 of 6 fits done",
        "toy: the best on all folds: 1 of 1 fits done",
    ]


def test_the_macro_metric_of_the_larger_class_alone_is_half_its_recall(clouds: DataFrame) -> None:
    tuning = config(reg_params=(CRUSHING,), metric="macro_recall", folds=2)
    assert search(train_rows(clouds, tuning), tuning).best.scores == (0.5, 0.5)


def test_of_equal_means_the_smaller_parameters_win_whoever_fits(
    clouds: DataFrame, told: pytest.LogCaptureFixture
) -> None:
    tuning = config(folds=2, reg_params=(0.01,), elastic_net_params=(0.5, 0.0), max_iterations=2)
    found = search(train_rows(clouds, tuning), tuning)
    assert [trial.elastic_net_param for trial in found.trials] == [0.0, 0.5]
    assert {trial.mean for trial in found.trials} == {1.0}
    assert found.best == found.trials[0]
    assert "toy: 60 x 2 features, 0.0 MiB: Spark ML fits what has L1 (trials: 1)" in told.messages


@pytest.mark.parametrize(
    ("labels", "reg_params"), [(("a", "b"), (0.1,)), (("a", "b", "c"), (0.0, 0.01, 10.0))]
)
def test_coefficients_and_probabilities_are_spark_mls(
    spark: SparkSession, labels: tuple[str, ...], reg_params: tuple[float, ...]
) -> None:
    """Coefficients per unit of deviation within 0.01 of the largest, probabilities within 0.001."""
    tuning = config(max_iterations=60)
    rows = mixed_rows(spark, tuning, labels)
    ours, theirs = TaskFits(rows, tuning), SparkFits(rows, tuning)
    vectors = np.array([row[3] for row in mixed(labels)], np.float32)
    deviation = vectors.std(axis=0)[:, np.newaxis]
    for reg_param in reg_params:
        point = Point(reg_param, 0.0)
        head, expected = ours.refit(point), theirs.refit(point)
        found, known = (centred(one.kernel) * deviation for one in (head, expected))
        assert np.abs(found - known).max() <= 0.01 * np.abs(known).max(), reg_param
        gap = np.abs(head.probabilities(vectors) - expected.probabilities(vectors)).max()
        assert gap <= 0.001, reg_param
    assert np.abs(known).max() > 0


def centred(kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without the part that all classes share, which changes no probability."""
    own: NDArray[np.float64] = kernel - kernel.mean(axis=1, keepdims=True)
    return own


def test_scores_and_winner_are_those_of_sparks_cross_validator(spark: SparkSession) -> None:
    labels = ("a", "b", "c")
    tuning = config(folds=2, reg_params=(0.1, 3.0), max_iterations=20)
    rows = mixed_rows(spark, tuning, labels)
    data = training_frame(rows, partitions=1).cache()
    estimator = LogisticRegression(
        family="multinomial", featuresCol=FEATURES, labelCol=TRUTH, maxIter=20
    )
    theirs = CrossValidator(
        estimator=estimator,
        estimatorParamMaps=ParamGridBuilder().addGrid(estimator.regParam, [0.1, 3.0]).build(),
        evaluator=MulticlassClassificationEvaluator(labelCol=TRUTH, metricName="accuracy"),
        numFolds=2,
        foldCol=FOLD,
        parallelism=2,
    ).fit(data)
    found = search(rows, tuning)
    assert [trial.mean for trial in found.trials] == pytest.approx(theirs.avgMetrics)
    assert [trial.std for trial in found.trials] == pytest.approx(theirs.stdMetrics)
    best: Any = theirs.bestModel
    assert found.best.reg_param == best.getRegParam()
    assert 0.5 < min(theirs.avgMetrics) < max(theirs.avgMetrics) < 1


def test_a_class_that_a_fold_lacks_still_has_its_place_whoever_fits(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, told: pytest.LogCaptureFixture
) -> None:
    """What is too large for a task is fitted by Spark ML, with the same result."""
    lonely, *rest = separable()
    rights = [row for row in rest if row[2] == "right"]
    given = spark.createDataFrame([*rights, lonely], SCHEMA).coalesce(1).cache()
    tuning = config(folds=2, reg_params=(0.1,), max_iterations=10)
    rows = train_rows(given, tuning, images=41)
    tasks = search(rows, tuning)
    monkeypatch.setattr("darkroom.tuning.search.matrix_limit", lambda _: 41 * 2 * 4 - 1)
    distributed = search(rows, tuning)
    assert told.messages[-1] == (
        "toy: 41 x 2 features, 0.0 MiB, more than the 0.0 MiB of a task: Spark ML fits"
    )

    lonely_fold = fold_of("group 0", 7, 2)
    others = sum(fold_of(row[1], 7, 2) == lonely_fold for row in rights)
    assert tasks.best.scores[lonely_fold] == pytest.approx(others / (others + 1))
    assert tasks.best.scores[1 - lonely_fold] == 1.0
    assert (distributed.trials, distributed.best) == (tasks.trials, tasks.best)
    assert tasks.head.kernel.shape == distributed.head.kernel.shape == (2, 2)
    vectors = np.array([lonely[3], rights[0][3]], np.float32)
    gap = tasks.head.probabilities(vectors) - distributed.head.probabilities(vectors)
    assert np.abs(gap).max() < 0.001
    for found in (tasks, distributed):
        known = found.fits.vectors([rights[0][0], lonely[0], "no such image"])
        assert set(known) == {rights[0][0], lonely[0]}
        np.testing.assert_array_equal(known[lonely[0]], vectors[0])


@pytest.mark.parametrize("kind", [TaskFits, SparkFits])
def test_order_and_partitions_of_the_rows_do_not_change_one_bit(
    clouds: DataFrame, kind: type[TaskFits] | type[SparkFits]
) -> None:
    tuning = config(folds=2, max_iterations=5)
    heads = []
    for given in (clouds, clouds.orderBy("label").repartition(7)):
        head = kind(train_rows(given, tuning), tuning).refit(Point(0.01, 0.0))
        heads.append((head.kernel.tobytes(), head.bias.tobytes()))
    assert heads[0] == heads[1]


def test_the_log_tells_how_far_the_fits_are(
    clouds: DataFrame, monkeypatch: pytest.MonkeyPatch, told: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(task_fits, "PROGRESS_SECONDS", 0.05)
    context = clouds.sparkSession.sparkContext

    def sleep(seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    with task_fits._watched(context, "naps", 4):
        assert context.parallelize([0.1, 1.0, 0.1, 1.0], 4).map(sleep).count() == 4
    counts = [int(message.split()[1]) for message in told.messages]
    assert counts == sorted(counts)
    assert counts[-1] == 4
    assert {2, 3} & set(counts)
    assert context.getLocalProperty("spark.jobGroup.id") is None


def test_an_eighth_of_the_heap_may_be_shared(spark: SparkSession) -> None:
    assert matrix_limit(spark) == 256 * 1024**2


def test_tasks_refuse_what_their_solver_can_not(clouds: DataFrame) -> None:
    tuning = config()
    with pytest.raises(ValueError, match=r"elastic_net_param=0\.5\): .* knows no L1$"):
        TaskFits(train_rows(clouds, tuning), tuning).refit(Point(0.1, 0.5))


def test_a_partition_holds_sixty_four_mebibytes() -> None:
    assert partitions_for(0, 256) == 1
    assert partitions_for(32_768, 256) == 1
    assert partitions_for(32_769, 256) == 2
