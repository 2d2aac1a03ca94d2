"""Forgetting, expiry and clearing away, on tables small enough to look at every file."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from darkroom.contract import ConfigError, Stage, Workspace
from darkroom.contract import columns as c
from darkroom.lake import Lake, history, housekeeping
from darkroom.lake.schema import arrow_schema

PROJECT = Path(__file__).parents[3]
A, B, X = "a" * 64, "b" * 64, "c" * 64
MARK = "bytes-of-"
ALL = (
    c.IMAGES,
    c.SPLITS,
    c.FEATURES,
    c.PREDICTIONS,
    c.SHADOW_PREDICTIONS,
    c.REJECTED_IMAGES,
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Every table knows pictures A and B; one commit each."""
    lake = Lake(Workspace(tmp_path))
    for image_id in (A, B):
        for table in ALL:
            add(lake, table, image_id)
    return lake


def add(lake: Lake, table: str, image_id: str) -> None:
    row: dict[str, Any] = dict.fromkeys(arrow_schema(table).names)
    row |= {c.RUN_ID: "r", **({c.IMAGE_ID: image_id} if c.IMAGE_ID in row else {})}
    if table == c.IMAGES:
        row[c.IMAGE] = f"{MARK}{image_id}".encode()
    lake.append_rows([row], "signs", table, run_id="r", stage=Stage.INGEST)


def forget(lake: Lake, *image_ids: str) -> housekeeping.Forgotten:
    return housekeeping.forget(lake, "signs", image_ids, who="ann", run_id="f")


def ids(lake: Lake, table: str) -> list[str]:
    return sorted(row[c.IMAGE_ID] for row in lake.rows("signs", table))


def files_with_bytes_of(root: Path, image_id: str) -> list[Path]:
    mark = f"{MARK}{image_id}".encode()
    return [file for file in root.rglob("*") if file.is_file() and mark in file.read_bytes()]


def test_a_forgotten_picture_is_in_no_current_table(lake: Lake) -> None:
    done = forget(lake, A.upper())
    assert done.rows == dict.fromkeys(ALL, 1)
    for table in ALL:
        assert ids(lake, table) == [B]
    [row] = lake.rows("signs", c.FORGOTTEN)
    assert (row[c.IMAGE_ID], row[c.WHO]) == (A, "ann")


def test_the_snapshots_that_hold_it_are_named_until_they_expire(lake: Lake, tmp_path: Path) -> None:
    done = forget(lake, A)
    assert {snapshot.table for snapshot in done.holders} == set(ALL)
    # One with A alone and one with both, in each table.
    assert len(done.holders) == 2 * len(ALL)
    assert files_with_bytes_of(tmp_path, A)

    expired = housekeeping.expire(lake, "signs", image_ids=[A])
    assert sum(len(one.snapshots) for one in expired) == len(done.holders)
    assert forget(lake, A).holders == ()
    assert files_with_bytes_of(tmp_path, A) == []
    assert len(files_with_bytes_of(tmp_path, B)) == 1
    assert ids(lake, c.IMAGES) == [B]


def test_a_tag_protects_a_snapshot_until_it_is_given_up(lake: Lake, tmp_path: Path) -> None:
    snapshot = lake.snapshot("signs", c.IMAGES)
    assert snapshot is not None
    lake.tag("signs", c.IMAGES, snapshot, "model-1")
    forget(lake, A)
    expired = housekeeping.expire(lake, "signs", image_ids=[A])
    [protected] = [one for each in expired for one in each.protected]
    assert (protected.snapshot_id, protected.tags) == (snapshot, ("model-1",))
    assert str(protected).startswith(f"images {snapshot} of 20")
    assert str(protected).endswith(" UTC, tagged model-1")
    assert files_with_bytes_of(tmp_path, A)

    housekeeping.expire(lake, "signs", image_ids=[A], tagged=True)
    assert files_with_bytes_of(tmp_path, A) == []


def test_forgetting_twice_changes_nothing(lake: Lake) -> None:
    forget(lake, A)
    before = {table: lake.snapshot("signs", table) for table in (*ALL, c.FORGOTTEN)}
    assert forget(lake, A).rows == {}
    assert {table: lake.snapshot("signs", table) for table in (*ALL, c.FORGOTTEN)} == before


def test_a_forgetting_that_was_cut_short_is_completed(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = history.delete_rows

    def dying(table: Any, *rest: Any) -> Any:
        if table.name()[-1] == c.FEATURES:
            raise KeyboardInterrupt
        return real(table, *rest)

    monkeypatch.setattr(history, "delete_rows", dying)
    with pytest.raises(KeyboardInterrupt):
        forget(lake, A)
    monkeypatch.undo()
    forget(lake, A)
    for table in ALL:
        assert ids(lake, table) == [B]
    assert len(lake.rows("signs", c.FORGOTTEN)) == 1


def test_a_leak_goes_with_either_of_its_pictures(lake: Lake) -> None:
    for one, other in ((A, B), (B, X), (X, A)):
        row = {
            c.IMAGE_ID: one,
            c.SPLIT: "train",
            c.OTHER_IMAGE_ID: other,
            c.OTHER_SPLIT: "test",
            c.DISTANCE: 1,
        }
        lake.append_rows([row], "signs", c.SPLIT_LEAKS, run_id="r", stage=Stage.INGEST)
    done = forget(lake, A)
    assert done.rows[c.SPLIT_LEAKS] == 2
    assert ids(lake, c.SPLIT_LEAKS) == [B]
    # After the first pair, the second and the third; and what was left between its two removals.
    old = [holder for holder in done.holders if holder.table == c.SPLIT_LEAKS]
    assert len(old) == 4
    assert old == sorted(old, key=lambda holder: holder.at)


@pytest.mark.parametrize(
    ("pipeline", "image_id", "message"),
    [
        (
            "sings",
            A,
            "--pipeline = 'sings': no such pipeline has tables here, there are: signs",
        ),
        (
            "signs",
            "abc",
            "--image-id = 'abc': give 64 hexadecimal digits, as in the column image_id of the "
            "pipeline's view",
        ),
        (
            "signs",
            X,
            f"--image-id = '{X}': no table of signs holds it: see the column image_id of its view",
        ),
    ],
)
def test_what_cannot_be_forgotten_is_one_clear_line(
    lake: Lake, pipeline: str, image_id: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        housekeeping.forget(lake, pipeline, [image_id], who="ann", run_id="f")
    assert str(caught.value) == message
    assert lake.rows("signs", c.FORGOTTEN) == []


def test_only_snapshots_of_a_certain_age_expire(lake: Lake) -> None:
    now = dt.datetime.now(dt.UTC)
    assert housekeeping.expire(lake, "signs", before=now - dt.timedelta(days=1)) == ()
    expired = housekeeping.expire(lake, "signs", before=now + dt.timedelta(days=1))
    assert sum(len(one.snapshots) for one in expired) == len(ALL)
    for table in ALL:
        assert ids(lake, table) == [A, B]


def test_age_counts_from_the_replacement(lake: Lake) -> None:
    """Whoever reads the current snapshot must not lose it to a compaction and an expiry."""
    add(lake, c.LEDGER, "")
    between = dt.datetime.now(dt.UTC)
    add(lake, c.LEDGER, "")
    assert not [
        snapshot
        for one in housekeeping.expire(lake, "signs", before=between)
        for snapshot in one.snapshots
        if snapshot.table == c.LEDGER
    ]


def test_vacuum_clears_files_and_scratch_that_nobody_touched_lately(
    lake: Lake, tmp_path: Path
) -> None:
    used = next((tmp_path / "warehouse/signs/images/data").iterdir())
    orphan = used.parent / "ingest-x/part-0.parquet"
    orphan.parent.mkdir()
    orphan.write_bytes(used.read_bytes())
    (tmp_path / "scratch/signs/dead").mkdir(parents=True)
    (tmp_path / "scratch/signs/dead/listing.parquet").write_bytes(b"x")

    def clear(hours: int) -> dict[str, int]:
        age = dt.timedelta(hours=hours)
        return housekeeping.vacuum(lake, Workspace(tmp_path), "signs", age)

    assert clear(24) == {}
    assert clear(0) == {c.IMAGES: 1, "scratch": 1}
    assert not orphan.exists()
    assert ids(lake, c.IMAGES) == [A, B]


def test_a_file_that_was_rewritten_before_its_commit_is_cleared_from_a_folder_in_use(
    lake: Lake, tmp_path: Path
) -> None:
    data = tmp_path / "warehouse/signs/images/data"
    folder = data / "ingest-y"
    folder.mkdir()
    for name in ("used", "unused"):
        (folder / f"{name}.parquet").write_bytes(next(data.glob("*.parquet")).read_bytes())
    table = lake.find("signs", c.IMAGES)
    assert table is not None
    table.add_files([f"file://{folder}/used.parquet"])
    assert lake.vacuum("signs", c.IMAGES, dt.timedelta(0)) == 1
    assert [file.name for file in folder.iterdir()] == ["used.parquet"]


def run(workspace: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "spark_jobs/lake.py", *arguments, "--workspace", str(workspace)],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT / "spark_jobs")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_commands(lake: Lake, tmp_path: Path) -> None:
    shared = ("--pipeline", "signs")
    tagged = lake.snapshot("signs", c.REJECTED_IMAGES)
    assert tagged is not None
    lake.tag("signs", c.REJECTED_IMAGES, tagged, "model-1-c0ffeec0ffee")
    forgotten = run(tmp_path, "forget", *shared, "--image-id", A)
    assert forgotten.returncode == 0, forgotten.stderr
    lines = forgotten.stdout.splitlines()
    assert lines[0].startswith("removed 1 of images, 1 of rejected_images, 1 of splits")
    title = lines.index("snapshots that still hold it; remove them with expire --image-id:")
    holders = [line for line in lines[title + 1 :] if not line.startswith("    ")]
    assert len(holders) == 2 * len(ALL)
    expired = run(tmp_path, "expire", *shared, "--image-id", A)
    assert expired.stdout.startswith(f"{2 * len(ALL) - 1} snapshots expired, ")
    kept = " ".join(expired.stdout.split())
    assert "kept because of their tags; --tagged removes them: " in kept
    assert f" rejected_images {tagged} of 20" in kept
    assert kept.endswith(" UTC, tagged model-1-c0ffeec0ffee")
    for done in (forgotten, expired):
        assert max(len(line) for line in done.stdout.splitlines()) <= 80
    assert run(tmp_path, "vacuum", *shared, "--hours", "0").stdout == "nothing is left behind\n"
    wrong = run(tmp_path, "vacuum", "--pipeline", "sings")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == (
        "error: --pipeline = 'sings': no such pipeline has tables here, there are: signs\n"
    )
