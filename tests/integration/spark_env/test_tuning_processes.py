"""Searches whose driver is killed."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from darkroom.tuning import network_fits
from tests.integration.spark_env import network_process, tuning_process
from tests.integration.spark_env.process_groups import members

pytestmark = [pytest.mark.integration, pytest.mark.long]

PROJECT = Path(__file__).parents[3]
DEADLINE = 180
"""Seconds until a search has come as far as it is to be killed."""


def kill_driver(script: str | None, *arguments: Path, when: Callable[[], bool]) -> None:
    """Starts a search, kills its driver as soon as asked, and waits until its workers are gone."""
    process = subprocess.Popen(
        [sys.executable, str(script), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": f"{PROJECT / 'spark_jobs'}{os.pathsep}{PROJECT}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for(lambda: when() or process.poll() is not None)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    # Its JVM and its Python workers end by themselves: nobody listens to them any more.
    wait_for(lambda: not members(process.pid))


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def results(folder: Path) -> dict[Path, int]:
    """Stored fits, and when each was written."""
    return {file: file.stat().st_mtime_ns for file in folder.rglob("*.json")}


def test_a_search_goes_on_where_its_driver_was_killed(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    kill_driver(tuning_process.__file__, folder, when=lambda: len(results(folder)) >= 3)
    before = results(folder)
    assert 3 <= len(before) < 8

    found = tuning_process.run(spark, folder)
    after = results(folder)
    assert len(after) == 8
    assert before.items() <= after.items()
    undisturbed = tuning_process.run(spark, tmp_path / "undisturbed")
    assert [trial.scores for trial in found.trials] == [t.scores for t in undisturbed.trials]
    assert found.best.point == undisturbed.best.point


@pytest.mark.usefixtures("tensorflow_workers")
def test_fine_tuning_goes_on_at_the_epoch_in_which_its_driver_was_killed(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = network_process.save_backbone(tmp_path / "backbone.keras")
    folder, diaries = tmp_path / "killed", tmp_path / "diaries"
    trials = folder / "trials"

    def is_in_the_second_training() -> bool:
        return bool(results(trials)) and 0 < epochs_done(trials) < network_process.EPOCHS

    kill_driver(network_process.__file__, folder, backbone, when=is_in_the_second_training)
    before, done = results(trials), epochs_done(trials)
    assert len(before) == 1
    assert 0 < done < network_process.EPOCHS

    diaries.mkdir()
    noted = functools.partial(network_process.diary_network, diaries)
    monkeypatch.setattr(network_fits, "fine_tune_network", noted)
    found = network_process.run(spark, folder, backbone)
    after = results(trials)
    assert len(after) == 4
    assert before.items() <= after.items()
    every = [*range(network_process.EPOCHS)]
    # The one that was killed, those of the other learning rate on both folds, and the winner.
    assert sorted(epochs_in(diaries)) == sorted([every[done:], every, every, every])
    assert not list(trials.rglob("*.checkpoint"))

    monkeypatch.undo()
    undisturbed = network_process.run(spark, tmp_path / "undisturbed", backbone)
    for ours, theirs in zip(found.trials, undisturbed.trials, strict=True):
        assert [fit.scores for fit in ours.fits] == [fit.scores for fit in theirs.fits]
        assert [fit.history for fit in ours.fits] == [fit.history for fit in theirs.fits]
    assert found.best.point == undisturbed.best.point


def epochs_done(trials: Path) -> int:
    """Of the training that is under way; 0 when there is none."""
    for file in trials.rglob("*.checkpoint"):
        try:
            with np.load(file, allow_pickle=False) as stored:
                return int(json.loads(str(stored["state"]))["progress"]["epochs"])
        except FileNotFoundError:
            continue  # The training has ended meanwhile.
    return 0


def epochs_in(diaries: Path) -> list[list[int]]:
    return [[int(line) for line in file.read_text().split()] for file in diaries.iterdir()]
