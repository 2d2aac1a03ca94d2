"""A search whose driver is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.integration.spark_env import tuning_process

pytestmark = [pytest.mark.integration, pytest.mark.long]

PROJECT = Path(__file__).parents[3]


def test_a_search_goes_on_where_its_driver_was_killed(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, str(tuning_process.__file__), str(folder)],
        env={**os.environ, "PYTHONPATH": f"{PROJECT / 'spark_jobs'}{os.pathsep}{PROJECT}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while len(list(folder.rglob("*.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    # Its Python workers and its JVM end by themselves: nobody listens to them any more.
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(2 * tuning_process.SECONDS)
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*.json")}
    assert 3 <= len(before) < 8

    found = tuning_process.run(spark, folder)
    after = {file: file.stat().st_mtime_ns for file in folder.rglob("*.json")}
    assert len(after) == 8
    assert before.items() <= after.items()
    undisturbed = tuning_process.run(spark, tmp_path / "undisturbed")
    assert [trial.scores for trial in found.trials] == [t.scores for t in undisturbed.trials]
    assert found.best.point == undisturbed.best.point
