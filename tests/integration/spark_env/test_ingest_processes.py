"""Ingestions that are killed, and ingestions at the same time, as real processes."""

from __future__ import annotations

import datetime as dt
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from darkroom.contract import DiskFullError, Workspace
from darkroom.contract import columns as c
from darkroom.lake import Lake, housekeeping
from tests.integration.spark_env.ingest_house import DEFECTS, GOOD, Place, counts, tables
from tests.unit.spark_env.pictures import photo, photos

pytestmark = pytest.mark.integration

PROJECT = Path(__file__).parents[3]
SCRIPT = PROJECT / "tests/integration/spark_env/ingest_process.py"
FILES = {**GOOD, **DEFECTS, **photos("a", 40, 3000)}
SEED_VARIABLE = "DARKROOM_KILL_SEED"
"""Set it to repeat the moments of a run that failed."""


def start(place: Place, run_id: str, *more: str) -> subprocess.Popen[str]:
    """Starts an ingestion and waits until its session is up."""
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(place.workspace.root), str(place.source), run_id, *more],
        env={**os.environ, "PYTHONPATH": f"{PROJECT / 'spark_jobs'}{os.pathsep}{PROJECT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def undisturbed(spark: SparkSession, root: Path) -> Place:
    place = Place(spark, root, FILES)
    place.ingest("r1")
    return place


@pytest.fixture(scope="module")
def expected(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Place:
    return undisturbed(spark, tmp_path_factory.mktemp("undisturbed"))


def check_killed_at(seconds: float, place: Place, expected: Place) -> None:
    """Kills an ingestion so long after its session is up; what the next one leaves is the same."""
    with start(place, "killed") as process:
        time.sleep(seconds)
        # Its Python workers and its JVM end by themselves: nobody listens to them any more.
        os.kill(process.pid, signal.SIGKILL)
    result = place.ingest("again")
    assert result.outputs["found"] == len(FILES)
    assert tables(place) == tables(expected)
    housekeeping.vacuum(place.lake, place.workspace, "signs", dt.timedelta(0))
    assert tables(place) == tables(expected)
    assert not any(place.workspace.scratch.glob("*/*"))


def test_a_killed_ingestion_is_completed_by_the_next(
    spark: SparkSession, tmp_path: Path, expected: Place
) -> None:
    """Somewhere between the listing and the last commit."""
    check_killed_at(3.0, Place(spark, tmp_path, FILES), expected)


@pytest.mark.long
def test_ingestions_killed_at_random_moments_are_completed_by_the_next(
    spark: SparkSession, tmp_path: Path, expected: Place
) -> None:
    seed = int(os.environ.get(SEED_VARIABLE) or time.time())
    moments = random.Random(seed)
    for number in range(10):
        seconds = moments.uniform(0, 12)
        print(f"{SEED_VARIABLE}={seed}: killed after {seconds:.2f} s")  # noqa: T201 - on failure
        check_killed_at(seconds, Place(spark, tmp_path / str(number), FILES), expected)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_one_clear_line_and_no_snapshot(
    spark: SparkSession, tmp_path: Path, small_disk: Path
) -> None:
    large = {f"{label}/{n}.png": photo(n, side=200) for n, label in enumerate("aaaaabbbbb")}
    place = Place(spark, tmp_path, large)
    place.workspace = Workspace(small_disk / "workspace")
    place.lake = Lake(place.workspace)
    with pytest.raises(DiskFullError) as caught:
        place.ingest("r1")
    assert str(caught.value) == (
        f"no space is left on the disk of {small_disk}/workspace: make room and run this again; "
        "no snapshot is half written"
    )
    assert place.lake.snapshot("signs", c.IMAGES) is None


@pytest.mark.long
def test_two_ingestions_at_once_leave_what_one_leaves(
    spark: SparkSession, tmp_path: Path, expected: Place
) -> None:
    """Both have audited every file before either commits; the slower one starts anew."""
    place = Place(spark, tmp_path, FILES)
    ready = tmp_path / "ready"
    both = [start(place, name, str(ready)) for name in ("left", "right")]
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("ready.*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    ready.touch()
    summaries = []
    for process in both:
        output, _ = process.communicate(timeout=180)
        assert process.returncode == 0
        summaries.append(output.strip())
    assert tables(place) == tables(expected)
    ids = [row[c.IMAGE_ID] for row in place.lake.rows("signs", c.IMAGES)]
    assert len(ids) == len(set(ids))
    assert counts(place.ingest("after"))[1:3] == (0, 0)
    total = f"{len(ids)} images in 2 classes"
    assert all(summary.endswith(total) for summary in summaries)
