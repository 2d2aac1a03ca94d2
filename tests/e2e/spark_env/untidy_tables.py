"""A table that needs tidying up: ``untidy_tables.py make|show WORKSPACE PIPELINE``.

``make`` writes one and what a killed writer left, all of it days old; ``show`` prints as JSON what
is there. Runs in the Spark environment.
"""

import json
import os
import sys
import time
from pathlib import Path
from unittest import mock

from darkroom.contract import Stage, Workspace
from darkroom.contract import columns as c
from darkroom.lake import Lake, housekeeping

COMMITS = 9
TAGGED = 4
"""Which commit trained a model."""

GONE = "f" * 64
"""A picture whose row came and went; only an old snapshot has its file."""

TAG = "model-1-c0ffeec0ffee"
DAYS_AGO = time.time() - 10 * 24 * 3600


def make(lake: Lake, pipeline: str) -> None:
    """A snapshot and a small file for each of some commits, and two files without a use."""
    for number in range(COMMITS):
        with mock.patch("time.time", return_value=DAYS_AGO + number):
            snapshot = append(lake, pipeline, f"{number:064x}")
        if number == TAGGED:
            lake.tag(pipeline, c.SPLITS, snapshot, TAG)
    with mock.patch("time.time", return_value=DAYS_AGO + COMMITS):
        append(lake, pipeline, GONE)
        housekeeping.remove(lake, pipeline, [GONE], "r")
        append(lake, pipeline, f"{COMMITS:064x}")
    used = files(lake, pipeline)[0]
    orphan = used.parent / "ingest-dead" / "part-0.parquet"
    orphan.parent.mkdir()
    orphan.write_bytes(used.read_bytes())
    for place in (orphan, orphan.parent):
        os.utime(place, (DAYS_AGO, DAYS_AGO))


def append(lake: Lake, pipeline: str, image_id: str) -> int:
    row = {c.IMAGE_ID: image_id, c.GROUP_ID: image_id[-16:], c.SPLIT: c.TRAIN}
    done = lake.append_rows([row], pipeline, c.SPLITS, run_id="r", stage=Stage.INGEST)
    assert done.snapshot_id is not None
    return done.snapshot_id


def show(lake: Lake, pipeline: str) -> dict[str, object]:
    """Rows, snapshots from the oldest on, tags, and the names of all files of data."""
    table = lake.find(pipeline, c.SPLITS)
    assert table is not None
    return {
        "rows": sorted(row[c.IMAGE_ID] for row in lake.rows(pipeline, c.SPLITS)),
        "snapshots": [snapshot.snapshot_id for snapshot in table.snapshots()],
        "tags": {name: ref.snapshot_id for name, ref in table.refs().items() if name != "main"},
        "read": [Path(task.file.file_path).name for task in table.scan().plan_files()],
        "files": sorted(file.name for file in files(lake, pipeline)),
    }


def files(lake: Lake, pipeline: str) -> list[Path]:
    """All files of data of the table, whether a snapshot names them or not."""
    table = lake.find(pipeline, c.SPLITS)
    assert table is not None
    return sorted((Path(table.location().removeprefix("file://")) / "data").rglob("*.parquet"))


if __name__ == "__main__":
    action, workspace, name = sys.argv[1:]
    tables = Lake(Workspace(Path(workspace)))
    if action == "make":
        make(tables, name)
    sys.stdout.write(json.dumps(show(tables, name)))
