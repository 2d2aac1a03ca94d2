"""Promotions that are killed, and promotions at the same time, as real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from darkroom.contract import ExitCode, StageResult
from darkroom.registry.package import ModelPackage
from tests.integration.spark_env.colour_model import decide
from tests.integration.spark_env.registry_house import Pipeline

pytest_plugins = (
    "tests.integration.spark_env.mlflow_server",
    "tests.integration.spark_env.registry_house",
)
pytestmark = pytest.mark.integration

PROJECT = Path(__file__).parents[3]
SCRIPT = PROJECT / "tests/integration/spark_env/promote_process.py"
WRITES = 5
"""The row, `previous`, `champion`, `challenger`, the mark."""


def start(
    pipeline: Pipeline, registered: StageResult, training: str, how: str
) -> subprocess.Popen[str]:
    """Promotes what was registered, in a process of its own."""
    options = pipeline.approval(registered, training)
    command = [sys.executable, str(SCRIPT), str(pipeline.workspace.root), pipeline.config.name]
    return subprocess.Popen(
        [*command, f"promotion of {training}", json.dumps(options), how],
        env={**os.environ, "PYTHONPATH": f"{PROJECT / 'spark_jobs'}{os.pathsep}{PROJECT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def challenge(
    pipeline: Pipeline, packages: tuple[ModelPackage, ...]
) -> tuple[StageResult, StageResult]:
    """A champion, version 1, and two challengers that were judged against it."""
    first = pipeline.candidate(packages[0], "t1")
    pipeline.promote(pipeline.register(first), first)
    runs = [
        pipeline.candidate(package, run_id, decide(package.digest, champion="1"))
        for package, run_id in zip(packages[1:], ("t2", "t3"), strict=True)
    ]
    second, third = (pipeline.register(run) for run in runs)
    return second, third


def test_of_two_promotions_at_once_one_wins_and_the_other_is_one_line(
    pipeline: Pipeline, packages: tuple[ModelPackage, ...], tmp_path: Path
) -> None:
    registered = challenge(pipeline, packages)
    ready = tmp_path / "ready"
    processes = [
        start(pipeline, result, training, f"ready={ready}")
        for result, training in zip(registered, ("t2", "t3"), strict=True)
    ]
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("ready.*"))) < 2:
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes)
        time.sleep(0.05)
    ready.touch()

    said = [process.communicate(timeout=60) for process in processes]

    codes = [process.returncode for process in processes]
    assert sorted(codes) == [ExitCode.OK, ExitCode.GATE], said
    winner, loser = codes.index(ExitCode.OK), codes.index(ExitCode.GATE)
    champion = registered[winner].outputs["version"]
    assert said[loser][0] == (
        f"the approval of version {registered[loser].outputs['version']} has expired: the champion "
        f"was version 1 when the model was judged and is version {champion} now; train again\n"
    )
    rows = pipeline.ledger()
    assert [row["to_version"] for row in rows] == ["1", champion]
    aliases = pipeline.aliases()
    assert (aliases["champion"], aliases["previous"]) == (champion, "1")


@pytest.mark.long
@pytest.mark.parametrize("write", range(WRITES))
def test_a_promotion_that_was_killed_is_completed_by_the_next_try(
    write: int, pipeline: Pipeline, packages: tuple[ModelPackage, ...]
) -> None:
    second, _ = challenge(pipeline, packages)
    killed = start(pipeline, second, "t2", f"die={write}")
    _, errors = killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL, errors
    unfinished = pipeline.aliases()["champion"] == "1"
    assert unfinished == (write < 3)

    retry = start(pipeline, second, "t2", "")
    said, errors = retry.communicate(timeout=60)

    assert retry.returncode == 0, errors
    assert said.startswith(f"{pipeline.config.name} version 2 is champion, after version 1; ")
    assert pipeline.aliases() == {"champion": "2", "previous": "1", "challenger": "3"}
    assert [row["to_version"] for row in pipeline.ledger()] == ["1", "2"]
