"""Ingestions that are killed, and ingestions at the same time, as real processes."""

from __future__ import annotations

import datetime as dt
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from darkroom.contract import DiskFullError, OnMissing, Workspace
from darkroom.contract import columns as c
from darkroom.lake import Lake, housekeeping
from tests.integration.spark_env.ingest_house import (
    DEFECTS,
    GOOD,
    Lines,
    Place,
    Rows,
    counts,
    from_source,
    tables,
    with_manifest,
    write_manifest,
)
from tests.unit.spark_env.pictures import photo, photos, write_tree

pytestmark = pytest.mark.integration

PROJECT = Path(__file__).parents[3]
SCRIPT = PROJECT / "tests/integration/spark_env/ingest_process.py"
FILES = {**GOOD, **DEFECTS, **photos("c", 40, 3000)}
KNOWN = photos("k", 40, 7000)
ADDED = photos("n", 20, 8000)
KILLS = 10
SEED_VARIABLE = "DARKROOM_KILL_SEED"
"""Set it to repeat the moments of a run that failed."""


def start(place: Place, run_id: str, *more: str) -> subprocess.Popen[str]:
    """Starts an ingestion and waits until its session is up."""
    source = str(place.config.source.path)
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(place.workspace.root), source, run_id, *more],
        env={**os.environ, "PYTHONPATH": f"{PROJECT / 'spark_jobs'}{os.pathsep}{PROJECT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def all_new(spark: SparkSession, root: Path) -> Place:
    """No file is known, and some cannot be used."""
    return Place(spark, root, FILES)


def some_changed(spark: SparkSession, root: Path) -> Place:
    """Of 40 known pictures five are others now, five are gone, one has another label; 20 came."""
    lines: Lines = {path: ("ab"[n % 2], "", "") for n, path in enumerate([*KNOWN, *ADDED])}
    manifest = {path: lines[path] for path in KNOWN}
    place = with_manifest(spark, root, KNOWN, manifest)
    manifest_file = place.source / "m.csv"
    from_source(place, path=str(manifest_file), on_missing=OnMissing.DELETE)
    place.ingest("before")
    first = list(KNOWN)
    write_tree(place.source, ADDED | {path: photo(9000 + n) for n, path in enumerate(first[:5])})
    for path in first[5:10]:
        (place.source / path).unlink()
        del lines[path]
    lines[first[10]] = ("b", "", "")
    write_manifest(manifest_file, lines)
    return place


@pytest.fixture(scope="module")
def expected(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """What an undisturbed ingestion of all files leaves."""
    place = all_new(spark, tmp_path_factory.mktemp("undisturbed"))
    place.ingest("r1")
    return tables(place)


def check_killed_at(seconds: float, place: Place, expected: Rows) -> bool:
    """Kills an ingestion so long after its session is up; what the next one leaves is the same.

    Returns:
        Whether it was still at work then.
    """
    with start(place, "killed") as process:
        time.sleep(seconds)
        at_work = process.poll() is None
        # Its Python workers and its JVM end by themselves: nobody listens to them any more.
        process.kill()
    place.ingest("again")
    assert tables(place) == expected
    housekeeping.vacuum(place.lake, place.workspace, "signs", dt.timedelta(0))
    assert tables(place) == expected
    assert not any(place.workspace.scratch.glob("*/*"))
    return at_work


def test_a_killed_ingestion_is_completed_by_the_next(
    spark: SparkSession, tmp_path: Path, expected: Rows
) -> None:
    """Somewhere between the listing and the last commit."""
    check_killed_at(3.0, all_new(spark, tmp_path), expected)


@pytest.mark.long
@pytest.mark.parametrize(
    ("prepare", "summary"),
    [
        (
            all_new,
            "61 files: 51 accepted, 10 rejected (1 CORRUPT, 1 DUPLICATE, 1 EMPTY, "
            "2 LABEL_CONFLICT, 1 NOT_AN_IMAGE, 1 TOO_LARGE, 1 TOO_SMALL, 1 TRUNCATED, "
            "1 UNSUPPORTED_FORMAT); 51 images in 3 classes",
        ),
        (
            some_changed,
            "55 files: 26 accepted, 0 rejected, 29 unchanged, 1 relabelled, 5 gone from the "
            "source, 10 deleted; 55 images in 2 classes",
        ),
    ],
)
def test_ingestions_killed_at_random_moments_are_completed_by_the_next(
    prepare: Callable[[SparkSession, Path], Place],
    summary: str,
    spark: SparkSession,
    tmp_path: Path,
) -> None:
    seed = int(os.environ.get(SEED_VARIABLE) or time.time())
    moments = random.Random(seed)
    place = prepare(spark, tmp_path / "undisturbed")
    with start(place, "undisturbed") as process:
        begun = time.monotonic()
        output, _ = process.communicate(timeout=180)
        whole = time.monotonic() - begun
    assert (process.returncode, output) == (0, f"{summary}\n")
    expected = tables(place)
    at_work = 0
    for number in range(KILLS):
        seconds = moments.uniform(0, whole)
        print(f"{SEED_VARIABLE}={seed}: killed after {seconds:.2f} s")  # noqa: T201 - on failure
        at_work += check_killed_at(seconds, prepare(spark, tmp_path / str(number)), expected)
    # Else the moments would say nothing; one that has ended needs no completing.
    assert at_work > KILLS / 2


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
    spark: SparkSession, tmp_path: Path, expected: Rows
) -> None:
    """Both have audited every file before either commits; the slower one starts anew."""
    place = all_new(spark, tmp_path)
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
    assert tables(place) == expected
    ids = [row[c.IMAGE_ID] for row in place.lake.rows("signs", c.IMAGES)]
    assert len(ids) == len(set(ids))
    assert counts(place.ingest("after"))[1:3] == (0, 0)
    total = f"{len(ids)} images in 3 classes"
    assert all(summary.endswith(total) for summary in summaries)
