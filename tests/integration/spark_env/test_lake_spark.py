"""The lake as Spark writes and reads it."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from darkroom.contract import ConflictError, Stage, Workspace
from darkroom.contract import columns as c
from darkroom.lake import Change, Commit, Lake, Rows
from darkroom.lake import schema as schema_module
from darkroom.lake.compaction import FEWEST, Compacted, compact, content_of
from darkroom.lake.schema import column_names
from darkroom.lake.writing import TIMESTAMP_SETTING

pytestmark = pytest.mark.integration

MOMENT = dt.datetime(2026, 2, 3, 4, 5, 6, 789012)
REJECTED = "path string, label string, reason string, detail string, image_id string, length int"

DOOMED_WRITER = """
import os, signal, sys
from pathlib import Path
from pyiceberg.table import Table
from pyspark.sql import SparkSession
from darkroom.contract import ConflictError, Stage, Workspace
from darkroom.lake import Lake

# Spark has written every file; the commit is the next thing to happen.
Table.add_files = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", False).getOrCreate()
frame = spark.sql("SELECT 'x' AS image_id, 'g' AS group_id, 'train' AS split")
Lake(Workspace(Path(sys.argv[1]))).append(
    frame, "signs", "splits", run_id="doomed", stage=Stage.INGEST
)
"""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(Workspace(tmp_path / "work space"))


def splits(spark: SparkSession, *ids: str) -> DataFrame:
    schema = "image_id string, group_id string, split string"
    return spark.createDataFrame([(one, "g", "train") for one in ids], schema)


def append(lake: Lake, frame: DataFrame, run_id: str = "r1") -> Commit:
    return lake.append(frame, "signs", c.SPLITS, run_id=run_id, stage=Stage.INGEST)


def ids(frame: DataFrame) -> list[str]:
    return sorted(row[0] for row in frame.select(c.IMAGE_ID).collect())


def test_a_snapshot_never_changes(spark: SparkSession, lake: Lake) -> None:
    first = append(lake, splits(spark, "a", "b"))
    second = append(lake, splits(spark, "c"), run_id="r2")
    assert (first.rows, second.rows) == (2, 1)
    assert ids(lake.read(spark, "signs", c.SPLITS)) == ["a", "b", "c"]
    assert ids(lake.read(spark, "signs", c.SPLITS, first.snapshot_id)) == ["a", "b"]
    runs = {row[c.IMAGE_ID]: row[c.RUN_ID] for row in lake.rows("signs", c.SPLITS)}
    assert runs == {"a": "r1", "b": "r1", "c": "r2"}


def test_nothing_to_append_makes_no_snapshot(spark: SparkSession, lake: Lake) -> None:
    nothing = splits(spark, "a").where("image_id = 'b'")
    assert append(lake, nothing) == Commit(None, 0)
    first = append(lake, splits(spark, "a"))
    assert append(lake, nothing) == Commit(first.snapshot_id, 0)


def test_reading_a_table_that_was_never_written_has_its_columns(
    spark: SparkSession, lake: Lake
) -> None:
    frame = lake.read(spark, "signs", c.SPLITS)
    assert frame.columns == list(column_names(c.SPLITS))
    assert frame.count() == 0
    with pytest.raises(ValueError, match=r"^signs.splits has no snapshot 5: it is empty$"):
        lake.read(spark, "signs", c.SPLITS, 5)


def test_a_missing_snapshot_is_named(spark: SparkSession, lake: Lake) -> None:
    append(lake, splits(spark, "a"))
    with pytest.raises(ValueError, match=r"^signs.splits has no snapshot 5$"):
        lake.read(spark, "signs", c.SPLITS, 5)


def test_a_frame_must_have_the_tables_columns(spark: SparkSession, lake: Lake) -> None:
    with pytest.raises(ValueError, match=r"^the frame for table splits lacks group_id, split$"):
        append(lake, spark.createDataFrame([("a",)], "image_id string"))
    assert lake.snapshot("signs", c.SPLITS) is None


def test_moments_and_smaller_numbers_keep_their_value(spark: SparkSession, lake: Lake) -> None:
    """Iceberg refuses Spark's default INT96; the session's own setting is put back."""
    spark.conf.set(TIMESTAMP_SETTING, "INT96")
    frame = spark.createDataFrame(
        [("a/1", "a", "EMPTY", "d", None, 7, MOMENT)], f"{REJECTED}, modified_at timestamp"
    )
    lake.append(frame, "signs", c.REJECTED_IMAGES, run_id="r1", stage=Stage.INGEST)
    assert spark.conf.get(TIMESTAMP_SETTING) == "INT96"
    spark.conf.set(TIMESTAMP_SETTING, "TIMESTAMP_MICROS")
    row = lake.read(spark, "signs", c.REJECTED_IMAGES).collect()[0]
    assert (row[c.MODIFIED_AT], row[c.LENGTH]) == (MOMENT, 7)
    kept = lake.rows("signs", c.REJECTED_IMAGES)[0]
    assert kept[c.MODIFIED_AT] == MOMENT.replace(tzinfo=dt.UTC)


@pytest.mark.long
def test_a_killed_spark_job_leaves_no_snapshot(spark: SparkSession, lake: Lake) -> None:
    before = append(lake, splits(spark, "a"))
    workspace = lake._workspace.root
    done = subprocess.run(
        [sys.executable, "-c", DOOMED_WRITER, str(workspace)],
        env={**os.environ},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    folders = {folder.name for folder in (workspace / "warehouse/signs/splits/data").iterdir()}
    assert len(folders) == 2
    assert lake.snapshot("signs", c.SPLITS) == before.snapshot_id
    assert ids(lake.read(spark, "signs", c.SPLITS)) == ["a"]
    assert lake.vacuum("signs", c.SPLITS) == 0
    # The dead writer's folder, and what Spark wrote for a partition without a row before that.
    assert lake.vacuum("signs", c.SPLITS, older_than=dt.timedelta(0)) == 2
    assert ids(lake.read(spark, "signs", c.SPLITS)) == ["a"]


def change(spark: SparkSession, lake: Lake, rows: Rows, base: int | None) -> Change:
    return lake.change(spark, "signs", c.SPLITS, rows, base=base, run_id="r2", stage=Stage.INGEST)


def gone(spark: SparkSession, *names: str | None) -> DataFrame:
    return spark.createDataFrame([(name,) for name in names], f"{c.IMAGE_ID} string")


def test_rows_come_and_go_in_one_snapshot(spark: SparkSession, lake: Lake) -> None:
    append(lake, splits(spark, "a", "b").coalesce(1))
    untouched = append(lake, splits(spark, "c").coalesce(1))
    base = untouched.snapshot_id

    def mend(leaving: DataFrame) -> DataFrame:
        return leaving.where("image_id = 'b'").withColumn(c.GROUP_ID, f.lit("mended"))

    rows = Rows(
        add=[splits(spark, "d")],
        gone=gone(spark, "a", "b", "nobody"),
        keys=(c.IMAGE_ID,),
        mend=mend,
        growth=0,
    )
    done = change(spark, lake, rows, base)
    assert (done.rows_before, done.rows_after) == (3, 3)
    now = {row[c.IMAGE_ID]: row[c.GROUP_ID] for row in lake.rows("signs", c.SPLITS)}
    assert now == {"b": "mended", "c": "g", "d": "g"}
    assert ids(lake.read(spark, "signs", c.SPLITS, base)) == ["a", "b", "c"]
    table = lake.find("signs", c.SPLITS)
    assert table is not None
    summary = table.snapshots()[-1].summary
    assert summary is not None
    assert (summary["run-id"], summary["stage"]) == ("r2", "ingest")
    # The file of c was not written again.
    assert (summary["added-data-files"], summary["deleted-data-files"]) == ("2", "1")


def test_small_files_become_few_and_no_row_changes(spark: SparkSession, lake: Lake) -> None:
    commits = [append(lake, splits(spark, str(n)).coalesce(1)) for n in range(FEWEST - 1)]
    assert compact(spark, lake, "signs", "c") == ()
    last = append(lake, splits(spark, "last").coalesce(1)).snapshot_id
    before = ids(lake.read(spark, "signs", c.SPLITS))
    assert compact(spark, lake, "signs", "c") == (Compacted(c.SPLITS, FEWEST, 1),)
    assert ids(lake.read(spark, "signs", c.SPLITS)) == before
    assert {row[c.RUN_ID] for row in lake.rows("signs", c.SPLITS)} == {"r1"}
    table = lake.find("signs", c.SPLITS)
    assert table is not None
    assert len(list(table.scan().plan_files())) == 1
    compacted = lake.snapshot("signs", c.SPLITS)
    assert last != compacted
    assert content_of(lake, "signs", c.SPLITS, compacted) == last
    assert content_of(lake, "signs", c.SPLITS, last) == last
    assert content_of(lake, "signs", c.SPLITS, None) is None
    assert ids(lake.read(spark, "signs", c.SPLITS, commits[0].snapshot_id)) == ["0"]


def test_null_is_a_key_like_any_other(spark: SparkSession, lake: Lake) -> None:
    schema = "image_id string, group_id string, split string"
    base = append(lake, spark.createDataFrame([(None, "g", "x"), ("a", "g", "x")], schema))
    rows = Rows(gone=gone(spark, None), keys=(c.IMAGE_ID,))
    assert change(spark, lake, rows, base.snapshot_id).rows_after == 1
    assert ids(lake.read(spark, "signs", c.SPLITS)) == ["a"]


def test_a_change_that_was_worked_out_from_an_older_snapshot_is_refused(
    spark: SparkSession, lake: Lake
) -> None:
    base = append(lake, splits(spark, "a"))
    append(lake, splits(spark, "b"))
    with pytest.raises(ConflictError) as caught:
        change(spark, lake, Rows(add=[splits(spark, "c")]), base.snapshot_id)
    assert str(caught.value) == (
        "signs.splits was changed by another process meanwhile: run this again"
    )
    with pytest.raises(ConflictError):
        change(spark, lake, Rows(add=[splits(spark, "c")]), None)
    assert ids(lake.read(spark, "signs", c.SPLITS)) == ["a", "b"]


def test_a_change_that_does_not_add_up_is_not_committed(spark: SparkSession, lake: Lake) -> None:
    base = append(lake, splits(spark, "a"))
    rows = Rows(gone=gone(spark, "a"), keys=(c.IMAGE_ID,), growth=0)
    with pytest.raises(RuntimeError) as caught:
        change(spark, lake, rows, base.snapshot_id)
    assert str(caught.value) == (
        "signs.splits would grow by -1 rows instead of 0: nothing was committed"
    )
    assert ids(lake.read(spark, "signs", c.SPLITS)) == ["a"]


def test_a_table_of_an_older_version_gets_its_new_columns(
    spark: SparkSession, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = ("image_id", "group_id", "split", "run_id")
    old = {name: kind for name, kind in schema_module.TABLES[c.SPLITS].items() if name in known}
    with monkeypatch.context() as patch:
        patch.setattr(schema_module, "TABLES", {**schema_module.TABLES, c.SPLITS: old})
        append(lake, splits(spark, "a"))
    hashed = splits(spark, "b").withColumn(c.PERCEPTUAL_HASH, f.lit("0" * 16))
    append(lake, hashed)
    hashes = {row[c.IMAGE_ID]: row[c.PERCEPTUAL_HASH] for row in lake.rows("signs", c.SPLITS)}
    assert hashes == {"a": None, "b": "0" * 16}
    frame = lake.read(spark, "signs", c.SPLITS)
    assert {row[c.IMAGE_ID]: row[c.PERCEPTUAL_HASH] for row in frame.collect()} == hashes
    table = lake.find("signs", c.SPLITS)
    assert table is not None
    # Other programs, which go by Iceberg's own reader, see the same.
    theirs = table.scan().to_arrow().select([c.IMAGE_ID, c.PERCEPTUAL_HASH]).to_pylist()
    assert {row[c.IMAGE_ID]: row[c.PERCEPTUAL_HASH] for row in theirs} == hashes
