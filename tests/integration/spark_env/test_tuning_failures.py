"""Fits that fail, workers that are killed, and what is refused before anything is fitted."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from darkroom.contract import DataError
from darkroom.tuning import progress
from darkroom.tuning.fits import Fit
from darkroom.tuning.head import Head
from darkroom.tuning.head_fits import HeadFit
from darkroom.tuning.points import Point
from darkroom.tuning.results import ResultStore
from darkroom.tuning.search import Trial
from darkroom.tuning.task_fits import TaskFits
from tests.integration.spark_env.cloud_rows import config, mixed_rows, searched

pytestmark = pytest.mark.integration


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path / "trials")


def fitted_by(kind: type[HeadFit]) -> Callable[[TaskFits, Point], HeadFit]:
    """Lets the workers run a class of a test's own, which travels with the task."""
    return lambda fits, point: kind(classes=3, point=point, max_iterations=5)


def test_a_fit_that_fails_is_a_failed_trial_and_is_tried_again_next_time(
    spark: SparkSession, store: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(HeadFit):
        def without_fold(self, examples: Any, fold: int) -> Any:
            if self.point.reg_param == 3.0 and fold == 1:
                raise MemoryError("no room for the fold")
            return {"accuracy": float("nan") if self.point.reg_param == 1.0 else 0.5}

    fits_rightly = TaskFits._head_fit
    monkeypatch.setattr(TaskFits, "_head_fit", fitted_by(Failing))
    found = searched(spark, store, reg_params=(0.1, 1.0, 3.0))
    assert [trial.error for trial in found.trials] == [
        None,
        "fold 0: accuracy is nan",
        "fold 1: MemoryError: no room for the fold",
    ]
    assert found.best == found.trials[0]
    monkeypatch.setattr(TaskFits, "_head_fit", fits_rightly)
    again = searched(spark, store, reg_params=(0.1, 1.0, 3.0))
    assert [trial.error for trial in again.trials] == [None] * 3
    assert again.trials[0] == found.trials[0]
    assert again.trials[2].fits[0] == found.trials[2].fits[0]


@pytest.mark.parametrize("times", [1, pytest.param(9, marks=pytest.mark.long)])
def test_a_killed_worker_loses_no_trial(
    spark: SparkSession,
    store: ResultStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    times: int,
) -> None:
    """Killed once, a worker's fit is made again; killed every time, it is a failed trial."""
    marks, refit = tmp_path / "marks", tmp_path / "refit"
    marks.mkdir()

    class Deadly(HeadFit):
        def without_fold(self, examples: Any, fold: int) -> Any:
            if self.point.reg_param == 3.0 and fold == 1 and len(list(marks.iterdir())) < times:
                (marks / f"{time.time_ns()}").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return {"accuracy": 0.5}

        def on_all(self, examples: Any) -> Head:
            if not refit.exists():
                refit.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().on_all(examples)

    monkeypatch.setattr(TaskFits, "_head_fit", fitted_by(Deadly))
    found = searched(spark, store)
    assert found.head is not None
    assert [trial.point.reg_param for trial in found.trials] == [0.1, 3.0]
    assert found.trials[0].scores == (0.5, 0.5)
    if times == 1:
        assert found.trials[1].scores == (0.5, 0.5)
    else:
        assert found.trials[1].error == (
            "fold 1: its worker was lost: Python worker exited unexpectedly (crashed)"
        )
        assert found.trials[1].fits[0].scores == {"accuracy": 0.5}
    assert len(list(marks.iterdir())) == min(times, 3)


def test_rows_that_are_too_many_for_a_head_are_refused_before_anything_is_fitted(
    spark: SparkSession, store: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("darkroom.tuning.search.matrix_limit", lambda _: 1000)
    with pytest.raises(DataError) as refused:
        searched(spark, store, heads=("logistic_regression", "mlp"))
    assert str(refused.value) == (
        "toy: 90 x 3 features, 0.0 MiB, are more than the 0.0 MiB that a task may hold, and mlp "
        "is fitted in one: raise spark.driver.memory and spark.executor.memory, or take "
        "logistic_regression"
    )
    assert not store.folder.exists()


def test_tasks_refuse_what_their_solver_can_not(spark: SparkSession, store: ResultStore) -> None:
    tuning = config()
    rows = mixed_rows(spark, tuning, ("a", "b"))
    with pytest.raises(ValueError, match=r"elastic_net_param=0\.5, .*: .* knows no L1$"):
        TaskFits(rows, tuning, store).run([Fit(Point(0.1, 0.5), 0)])


def fits_wait_for(mark: Path) -> Callable[[TaskFits, Point], HeadFit]:
    """Those of the second point end when there is a file: when somebody was told of the first."""

    class Waiting(HeadFit):
        def without_fold(self, examples: Any, fold: int) -> Any:
            deadline = time.monotonic() + 60
            while self.point.reg_param == 3.0 and not mark.exists():
                if time.monotonic() > deadline:
                    raise TimeoutError("nobody was told of the first trial")
                time.sleep(0.02)
            return {"accuracy": 0.5}

    return fitted_by(Waiting)


def test_who_is_told_of_trials_hears_of_each_when_it_ends(
    spark: SparkSession, store: ResultStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PROGRESS_SECONDS", 0.05)
    monkeypatch.setattr(TaskFits, "_head_fit", fits_wait_for(tmp_path / "mark"))
    told: list[Trial] = []

    def ended(trials: Sequence[Trial]) -> None:
        told.extend(trials)
        (tmp_path / "mark").touch()

    found = searched(spark, store, ended)
    assert [trial.error for trial in found.trials] == [None, None]
    assert told == list(found.trials)


def test_who_cannot_log_a_trial_is_told_again_and_stops_no_fit(
    spark: SparkSession,
    store: ResultStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(progress, "PROGRESS_SECONDS", 0.05)
    monkeypatch.setattr(TaskFits, "_head_fit", fits_wait_for(tmp_path / "mark"))
    told: list[Trial] = []

    def ended(trials: Sequence[Trial]) -> None:
        if not (tmp_path / "mark").exists():
            (tmp_path / "mark").touch()
            raise OSError("no server")
        told.extend(trials)

    found = searched(spark, store, ended)
    assert told == list(found.trials)
    assert "trials that have ended are logged later: OSError: no server" in caplog.messages


def test_trials_that_cannot_be_logged_at_all_are_an_error_and_are_kept(
    spark: SparkSession, store: ResultStore
) -> None:
    def ended(trials: Sequence[Trial]) -> None:
        raise OSError(f"no server for {len(trials)} trials")

    with pytest.raises(OSError, match=r"^no server for 2 trials$"):
        searched(spark, store, ended)
    assert len(list(store.folder.rglob("*.json"))) == 4
