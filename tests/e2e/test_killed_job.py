"""kill -9 in the middle of featurize, then *Clear* in Airflow: the tables come out the same."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime

import psutil  # type: ignore[import-untyped]
import pytest

from darkroom.contract import Stage
from local_stack.chain import Chain
from local_stack.client import AirflowClient
from local_stack.layout import Layout
from local_stack.pipeline_file import SourceFolder, existing_or_new
from tests.e2e.conftest import Place

pytestmark = [pytest.mark.e2e, pytest.mark.long]

PATIENCE = 300.0


def test_a_killed_featurize_is_cleared_and_ends_in_the_same_tables(
    finished: Place, new_place: Callable[[], Place]
) -> None:
    place = new_place()
    existing_or_new(place.pipelines, "signs", SourceFolder.look_at(str(place.signs)))
    started = datetime.now(UTC)
    killed: list[int] = []

    def work(client: AirflowClient, layout: Layout) -> None:
        chain = Chain(client, layout, "signs")
        chain.wait_for_dags(started)
        run = client.trigger(chain.training, {"source": str(place.signs)})
        killed.append(kill_when_its_workers_run("featurize_images.py"))
        wait_for_state(client, chain.training, run, {"up_for_retry", "failed"})
        client.clear(chain.training, run, Stage.FEATURIZE)
        # What comes after it adds nothing to these tables.
        wait_for_state(client, chain.training, run, {"success"})

    place.beside_airflow(work)
    assert len(killed) == 1
    undisturbed, disturbed = finished.tables("signs"), place.tables("signs")
    for table in ("images", "rejected_images", "splits", "features"):
        assert disturbed[table] == undisturbed[table], table
    assert len(disturbed["features"]) == len(disturbed["vectors"])
    for key, vector in undisturbed["vectors"].items():
        assert disturbed["vectors"][key] == pytest.approx(vector, abs=0.02)


def kill_when_its_workers_run(entrypoint: str) -> int:
    """Sends SIGKILL to the JVM and the driver of a job once its Python workers have started."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for process in psutil.Process().children(recursive=True):
            if not _is_job(process, entrypoint):
                continue
            family = process.children(recursive=True)
            if any("pyspark.daemon" in _command(child) for child in family):
                os.kill(process.pid, signal.SIGKILL)
                for child in family:
                    if child.is_running():
                        child.kill()
                return int(process.pid)
        time.sleep(0.1)
    raise AssertionError(f"no worker of {entrypoint} was seen in {PATIENCE:.0f} s")


def wait_for_state(client: AirflowClient, dag: str, run: str, states: set[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = [task.state for task in client.tasks(dag, run) if task.task == Stage.FEATURIZE]
        if set(found) & states:
            return
        time.sleep(0.3)
    raise AssertionError(f"featurize did not reach {states}")


def _is_job(process: psutil.Process, entrypoint: str) -> bool:
    command = _command(process)
    return "SparkSubmit" in command and entrypoint in command


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
