"""The search on Spark: folds, scores and winner against numbers worked out without it."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import DataFrame, SparkSession

from darkroom.contract import Range
from darkroom.tuning import progress
from darkroom.tuning.folds import FOLD, TRUTH
from darkroom.tuning.head import Head
from darkroom.tuning.points import Point
from darkroom.tuning.results import ResultStore
from darkroom.tuning.rows import numbered
from darkroom.tuning.search import search
from darkroom.tuning.spark_fits import FEATURES, SparkFits, training_frame
from darkroom.tuning.task_fits import TaskFits
from tests.integration.spark_env.cloud_rows import (
    CRUSHING,
    LABELS,
    SCHEMA,
    config,
    fold_of,
    mixed,
    mixed_rows,
    searched,
    separable,
    train_rows,
)

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def clouds(spark: SparkSession) -> DataFrame:
    """Separable rows."""
    return spark.createDataFrame(separable(), SCHEMA).coalesce(1).cache()


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path / "trials")


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
    clouds: DataFrame,
    store: ResultStore,
    monkeypatch: pytest.MonkeyPatch,
    told: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(progress, "PROGRESS_SECONDS", 600)
    tuning = config(reg_params=(CRUSHING, 0.01))
    found = search(train_rows(clouds, tuning), tuning, store)
    right = Counter(fold_of(row[1], 7, 3) for row in separable() if row[2] == "right")
    total = Counter(fold_of(row[1], 7, 3) for row in separable())
    shares = tuple(right[fold] / total[fold] for fold in range(3))
    assert [trial.point.reg_param for trial in found.trials] == [0.01, CRUSHING]
    assert found.trials[0].scores == (1.0, 1.0, 1.0)
    assert found.trials[1].scores == pytest.approx(shares)
    assert found.trials[1].mean == pytest.approx(np.mean(shares))
    assert found.trials[1].std == pytest.approx(np.std(shares))
    assert found.best == found.trials[0]
    assert (found.best.backbone, found.best.backbone_key) == ("toy", "toy-key")
    assert told.messages == [
        "toy: 60 x 2 features, 0.0 MiB, at most 256.0 MiB: each fit is one Spark task",
        "toy: 2 trials x 3 folds: 6 of 6 fits done, 2 of 2 trials, best accuracy 1.0000 "
        "(regParam=0.01 l1=0)",
    ]


def test_the_macro_metric_of_the_larger_class_alone_is_half_its_recall(
    clouds: DataFrame, store: ResultStore
) -> None:
    tuning = config(reg_params=(CRUSHING,), metric="macro_recall", folds=2)
    assert search(train_rows(clouds, tuning), tuning, store).best.scores == (0.5, 0.5)


def test_of_equal_means_the_smaller_parameters_win_whoever_fits(
    clouds: DataFrame, store: ResultStore, told: pytest.LogCaptureFixture
) -> None:
    tuning = config(folds=2, reg_params=(0.01,), elastic_net_params=(0.5, 0.0), max_iterations=2)
    found = search(train_rows(clouds, tuning), tuning, store)
    assert [trial.point.elastic_net_param for trial in found.trials] == [0.0, 0.5]
    assert {trial.mean for trial in found.trials} == {1.0}
    assert found.best == found.trials[0]
    assert "toy: 60 x 2 features, 0.0 MiB: Spark ML fits what has L1" in told.messages


@pytest.mark.parametrize(
    ("labels", "reg_params"),
    [
        (("a", "b"), (0.1,)),
        pytest.param(("a", "b", "c"), (0.0, 0.01, 10.0), marks=pytest.mark.long),
    ],
)
def test_coefficients_and_probabilities_are_spark_mls(
    spark: SparkSession,
    store: ResultStore,
    labels: tuple[str, ...],
    reg_params: tuple[float, ...],
) -> None:
    """Coefficients per unit of deviation within 0.01 of the largest, probabilities within 0.001."""
    tuning = config(max_iterations=60)
    rows = mixed_rows(spark, tuning, labels)
    ours, theirs = TaskFits(rows, tuning, store), SparkFits(rows, tuning, store)
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


def test_scores_and_winner_are_those_of_sparks_cross_validator(
    spark: SparkSession, store: ResultStore
) -> None:
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
    found = search(rows, tuning, store)
    assert [trial.mean for trial in found.trials] == pytest.approx(theirs.avgMetrics)
    assert [trial.std for trial in found.trials] == pytest.approx(theirs.stdMetrics)
    best: Any = theirs.bestModel
    assert found.best.point.reg_param == best.getRegParam()
    assert 0.5 < min(theirs.avgMetrics) < max(theirs.avgMetrics) < 1


@pytest.mark.long
def test_a_class_that_a_fold_lacks_still_has_its_place_whoever_fits(
    spark: SparkSession,
    store: ResultStore,
    monkeypatch: pytest.MonkeyPatch,
    told: pytest.LogCaptureFixture,
) -> None:
    """What is too large for a task is fitted by Spark ML, with the same result."""
    lonely, *rest = separable()
    rights = [row for row in rest if row[2] == "right"]
    given = spark.createDataFrame([*rights, lonely], SCHEMA).coalesce(1).cache()
    tuning = config(folds=2, reg_params=(0.1,), max_iterations=10)
    rows = train_rows(given, tuning, images=41)
    tasks = search(rows, tuning, store)
    monkeypatch.setattr("darkroom.tuning.search.matrix_limit", lambda _: 41 * 2 * 4 - 1)
    distributed = search(rows, tuning, store)
    assert told.messages[-2] == (
        "toy: 41 x 2 features, 0.0 MiB, more than the 0.0 MiB of a task: Spark ML fits"
    )

    lonely_fold = fold_of("group 0", 7, 2)
    others = sum(fold_of(row[1], 7, 2) == lonely_fold for row in rights)
    assert tasks.best.scores[lonely_fold] == pytest.approx(others / (others + 1))
    assert tasks.best.scores[1 - lonely_fold] == 1.0
    for trial, other in zip(distributed.trials, tasks.trials, strict=True):
        assert (trial.point, trial.scores) == (other.point, other.scores)
        for ours, theirs in zip(trial.fits, other.fits, strict=True):
            assert ours.scores == pytest.approx(theirs.scores, abs=0.01)
    assert isinstance(tasks.head, Head)
    assert isinstance(distributed.head, Head)
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
    clouds: DataFrame, tmp_path: Path, kind: type[TaskFits] | type[SparkFits]
) -> None:
    tuning = config(folds=2, max_iterations=5)
    heads = []
    for n, given in enumerate((clouds, clouds.orderBy("label").repartition(7))):
        store = ResultStore(tmp_path / str(n))
        head = kind(train_rows(given, tuning), tuning, store).refit(Point(0.01, 0.0))
        heads.append((head.kernel.tobytes(), head.bias.tobytes()))
    assert heads[0] == heads[1]


def test_what_is_known_is_not_fitted_again(
    spark: SparkSession, store: ResultStore, told: pytest.LogCaptureFixture
) -> None:
    first = searched(spark, store)
    files = set(store.folder.rglob("*.json"))
    assert len(files) == 4
    times = {file: file.stat().st_mtime_ns for file in files}

    again = searched(spark, store, metric="log_loss")
    assert [trial.fits for trial in again.trials] == [trial.fits for trial in first.trials]
    told.clear()
    more = searched(spark, store, reg_params=(0.1, 1.0, 3.0))
    assert "toy: 4 of 6 fits are known" in told.messages
    assert len(set(store.folder.rglob("*.json")) - files) == 2
    assert {file: file.stat().st_mtime_ns for file in files} == times
    assert more.trials[0] == first.trials[0]
    searched(spark, store, seed=8)
    assert len(set(store.folder.rglob("*.json"))) == 6 + 4


def test_a_search_of_several_heads_by_any_metric(spark: SparkSession, store: ResultStore) -> None:
    heads = ("logistic_regression", "linear_svm", "mlp")
    found = searched(
        spark, store, heads=heads, hidden_units=(4,), reg_params=(0.01,), metric="log_loss"
    )
    assert [trial.point.head for trial in found.trials] == list(heads)
    assert found.best.mean == min(trial.mean for trial in found.trials)
    assert all(trial.error is None for trial in found.trials)
    drawn = searched(spark, store, search="random", trials=1)
    assert len(drawn.trials) == 1


def test_an_adaptive_search_tells_of_all_its_rounds(
    spark: SparkSession, store: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PROGRESS_SECONDS", 600)
    labels = ("a", "b", "c")
    told: list[str] = []
    tuning = config(
        folds=2,
        reg_params=Range(min=1e-3, max=10.0),
        max_iterations=5,
        search="adaptive",
        trials=6,
    )
    found = search(mixed_rows(spark, tuning, labels), tuning, store, told.append)
    assert len(found.trials) == 6
    assert [line.partition(", best")[0] for line in told] == [
        "toy: 6 trials x 2 folds: 8 of 12 fits done, 4 of 6 trials",
        "toy: 6 trials x 2 folds: 12 of 12 fits done, 6 of 6 trials",
    ]
    assert told[-1].endswith(f"best accuracy {found.best.mean:.4f} ({found.best.point})")
    again = search(mixed_rows(spark, tuning, labels), tuning, store)
    assert again.trials == found.trials
