"""The lake without Spark: rows, snapshots, tags, concurrent and killed writers."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from darkroom.contract import Stage, Workspace
from darkroom.contract import columns as c
from darkroom.lake import Commit, Lake
from darkroom.lake.schema import TABLES, column_names, iceberg_schema, spark_schema

MOMENT = dt.datetime(2026, 2, 3, 4, 5, 6, 789012, tzinfo=dt.UTC)
LEDGER_ROW = {
    c.PIPELINE: "signs",
    c.WHO: "ann",
    c.WHEN: MOMENT,
    c.WHY: "better",
    c.FROM_VERSION: None,
    c.TO_VERSION: "1",
    c.MODEL_DIGEST: "d",
    c.DECISION_DIGEST: "e",
    c.ACTION: "promote",
}

WRITER = """
import sys
from pathlib import Path
from darkroom.contract import Stage, Workspace
from darkroom.lake import Lake
from tests.unit.spark_env.test_lake import LEDGER_ROW

workspace, name, count, deadly = sys.argv[1:]
if deadly == "deadly":
    import os, signal
    from pyiceberg.catalog.sql import SqlCatalog
    SqlCatalog.commit_table = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
lake = Lake(Workspace(Path(workspace)))
sys.stdin.readline()
for number in range(int(count)):
    row = {**LEDGER_ROW, "who": f"{name} {number}"}
    lake.append_rows([row], "signs", "ledger", run_id="r", stage=Stage.PROMOTE)
"""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    # A blank in the path: neither Spark nor PyIceberg may encode it.
    return Lake(Workspace(tmp_path / "work space"))


def append(lake: Lake, **changes: Any) -> Commit:
    row = {**LEDGER_ROW, **changes}
    return lake.append_rows([row], "signs", c.LEDGER, run_id="r1", stage=Stage.PROMOTE)


def start_writer(workspace: Path, name: str, count: int, deadly: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(workspace), name, str(count), deadly],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_rows_come_back_as_they_were_written(lake: Lake) -> None:
    first = append(lake)
    second = append(lake, who="bob", from_version="1")
    assert first.rows == second.rows == 1
    assert lake.snapshot("signs", c.LEDGER) == second.snapshot_id != first.snapshot_id
    assert lake.rows("signs", c.LEDGER) == [
        {**LEDGER_ROW, c.RUN_ID: "r1"},
        {**LEDGER_ROW, c.WHO: "bob", c.FROM_VERSION: "1", c.RUN_ID: "r1"},
    ]


def test_lists_come_back_as_lists(lake: Lake) -> None:
    row: dict[str, Any] = dict.fromkeys(column_names(c.FUNCTIONS), "x")
    row = {**row, c.LABELS: ["b", "a"], c.DEPLOYED_AT: MOMENT}
    lake.append_rows([row], c.SHARED_NAMESPACE, c.FUNCTIONS, run_id="r1", stage=Stage.DEPLOY)
    assert lake.rows(c.SHARED_NAMESPACE, c.FUNCTIONS) == [row]


def test_a_table_that_was_never_written_is_empty(lake: Lake) -> None:
    assert lake.snapshot("signs", c.IMAGES) is None
    assert lake.rows("signs", c.IMAGES) == []
    assert not lake.has_snapshot("signs", c.IMAGES, 1)


def test_no_rows_make_no_snapshot(lake: Lake) -> None:
    empty = lake.append_rows([], "signs", c.LEDGER, run_id="r1", stage=Stage.PROMOTE)
    assert empty == Commit(None, 0)
    first = append(lake)
    again = lake.append_rows([], "signs", c.LEDGER, run_id="r1", stage=Stage.PROMOTE)
    assert again == Commit(first.snapshot_id, 0)


def test_a_row_must_have_the_tables_columns(lake: Lake) -> None:
    with pytest.raises(ValueError, match=r"^a row for table ledger lacks \['who'\] and has") as one:
        lake.append_rows(
            [{**{k: v for k, v in LEDGER_ROW.items() if k != c.WHO}, "whom": "ann"}],
            "signs",
            c.LEDGER,
            run_id="r1",
            stage=Stage.PROMOTE,
        )
    assert str(one.value).endswith("has unknown ['whom']")


def test_an_unknown_table_is_named(lake: Lake) -> None:
    with pytest.raises(ValueError, match=r"^no table named 'picturs': there are images, rejected"):
        lake.snapshot("signs", "picturs")


def test_a_tag_names_one_snapshot_for_ever(lake: Lake) -> None:
    first, second = append(lake), append(lake)
    assert first.snapshot_id is not None
    assert second.snapshot_id is not None
    lake.tag("signs", c.LEDGER, first.snapshot_id, "model-1")
    lake.tag("signs", c.LEDGER, first.snapshot_id, "model-1")
    with pytest.raises(ValueError, match=r"^signs.ledger: tag 'model-1' already names snapshot "):
        lake.tag("signs", c.LEDGER, second.snapshot_id, "model-1")
    with pytest.raises(ValueError, match=r"^signs.ledger has no snapshot 7$"):
        lake.tag("signs", c.LEDGER, 7, "model-2")


def test_spark_and_iceberg_have_the_same_columns() -> None:
    for table in TABLES:
        names = list(column_names(table))
        assert [field.name for field in iceberg_schema(table).fields] == names
        assert spark_schema(table).fieldNames() == names


def test_two_processes_that_append_at_once_both_succeed(tmp_path: Path) -> None:
    """They also race for the catalog, the namespace and the table."""
    writers = [start_writer(tmp_path / "w", name, 8) for name in ("left", "right")]
    for writer in writers:
        _, errors = writer.communicate("go\n", timeout=120)
        assert writer.returncode == 0, errors
    rows = Lake(Workspace(tmp_path / "w")).rows("signs", c.LEDGER)
    expected = sorted(f"{name} {number}" for name in ("left", "right") for number in range(8))
    assert sorted(row[c.WHO] for row in rows) == expected


def test_a_writer_killed_before_its_commit_leaves_nothing_to_see(lake: Lake) -> None:
    before = append(lake)
    workspace = lake._workspace.root
    writer = start_writer(workspace, "doomed", 1, "deadly")
    writer.communicate("go\n", timeout=120)
    assert writer.returncode == -signal.SIGKILL
    data = workspace / "warehouse/signs/ledger/data"
    assert len(list(data.iterdir())) == 2

    assert lake.snapshot("signs", c.LEDGER) == before.snapshot_id
    assert [row[c.WHO] for row in lake.rows("signs", c.LEDGER)] == ["ann"]
    # It might still be at work.
    assert lake.vacuum("signs", c.LEDGER) == 0
    # Its row, and the two files that would have described it.
    assert lake.vacuum("signs", c.LEDGER, older_than=dt.timedelta(0)) == 3
    assert len(list(data.iterdir())) == 1
    assert [row[c.WHO] for row in lake.rows("signs", c.LEDGER)] == ["ann"]


def test_vacuum_spares_what_only_an_old_snapshot_names(lake: Lake) -> None:
    append(lake)
    append(lake)
    assert lake.vacuum("signs", c.LEDGER, older_than=dt.timedelta(0)) == 0
    assert len(lake.rows("signs", c.LEDGER)) == 2
