"""What the chain costs beyond the stages' own work, and what a second run of it saves.

The demo runs twice in a workspace of its own. What Airflow did when comes from its database, the
stages' own seconds from the results that they left.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmarks.results import Row
from darkroom.contract import Stage, StageResult

PROJECT = Path(__file__).resolve().parents[1]
AIRFLOW_PYTHON = PROJECT / ".venv" / "airflow" / "bin" / "python"
DEMO_SECONDS = 480
SPEED_UP = 3


@dataclass(frozen=True)
class Chain:
    """One run of the demo.

    Attributes:
        demo: Wall seconds of the whole command, servers included.
        wall: Wall seconds of the stages' tasks and of the pauses between them; the time that a
            person took to answer is no part of it.
        results: What the stages left.
    """

    demo: float
    wall: float
    results: list[StageResult]

    @property
    def overhead(self) -> float:
        """Seconds in which no stage did its own work."""
        return self.wall - sum(result.seconds for result in self.results)


def measure() -> Iterator[Row]:
    """Yields the rows of the chain; runs the demo twice."""
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as folder:
        first = _run_demo(Path(folder))
        second = _run_demo(Path(folder))
    yield Row(
        name="chain_overhead",
        value=round(first.overhead, 1),
        unit="s",
        samples=[round(first.overhead, 1)],
        note=f"{len(first.results)} stages took {first.wall:.1f} s in Airflow, "
        f"{first.wall - first.overhead:.1f} s of it their own work; lower is better",
    )
    start_ups = [r.started_up_seconds for r in first.results if r.started_up_seconds is not None]
    yield Row(
        name="chain_overhead/start_up_per_task",
        value=round(statistics.median(start_ups), 2),
        unit="s",
        samples=[round(seconds, 2) for seconds in start_ups],
        note="launch of spark-submit to the stage's own work: JVM, imports, session; "
        "lower is better",
    )
    yield Row(
        name="chain_overhead/unchanged",
        value=round(second.overhead, 1),
        unit="s",
        samples=[round(second.overhead, 1)],
        note=f"the same for a second run: {len(second.results)} stages; lower is better",
    )
    yield Row(
        name="demo",
        value=round(first.demo, 1),
        unit="s",
        goal=f"<= {DEMO_SECONDS}",
        met=first.demo <= DEMO_SECONDS,
        samples=[round(first.demo, 1)],
        note="the first demo in an empty workspace, set-up not included; lower is better",
    )
    ratio = first.demo / second.demo
    yield Row(
        name="demo/first_vs_second",
        value=round(ratio, 2),
        unit="x",
        goal=f">= {SPEED_UP}",
        met=ratio >= SPEED_UP,
        samples=[round(ratio, 2)],
        note=f"{first.demo:.0f} s against {second.demo:.0f} s, set-up not included",
    )


def _run_demo(workspace: Path) -> Chain:
    known = set(_result_files(workspace))
    begun = time.time()
    done = subprocess.run(
        [str(AIRFLOW_PYTHON), "-m", "local_stack", "demo"],
        cwd=PROJECT,
        env={
            **os.environ,
            "DARKROOM_WORKSPACE": str(workspace),
            "PYTHONPATH": os.pathsep.join(
                str(PROJECT / part) for part in ("scripts", "plugins", "spark_jobs")
            ),
        },
        check=False,
        capture_output=True,
        text=True,
    )
    seconds = time.time() - begun
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        raise RuntimeError(f"the demo failed with exit code {done.returncode}")
    new = [file for file in _result_files(workspace) if file not in known]
    results = [StageResult.from_json(file.read_text()) for file in new]
    return Chain(seconds, _wall(workspace / "airflow" / "airflow.db", begun), results)


def _result_files(workspace: Path) -> list[Path]:
    return sorted(workspace.glob("runs/*/*/*.json"))


def _wall(database: Path, since: float) -> float:
    """Seconds from the first to the last task, per DAG run; waiting for a person left out."""
    stages = ",".join("?" for _ in Stage)
    query = f"""
        SELECT min(start_date), max(end_date) FROM task_instance
        WHERE task_id IN ({stages}) AND start_date IS NOT NULL GROUP BY dag_id, run_id
    """
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        spans = [
            (_seconds(start), _seconds(end)) for start, end in connection.execute(query, [*Stage])
        ]
    return sum(end - start for start, end in spans if start >= since)


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(f"{stamp}+00:00").timestamp()
