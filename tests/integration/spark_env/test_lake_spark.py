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

from darkroom.contract import Stage, Workspace
from darkroom.contract import columns as c
from darkroom.lake import Commit, Lake
from darkroom.lake.lake import TIMESTAMP_SETTING

pytestmark = pytest.mark.integration

MOMENT = dt.datetime(2026, 2, 3, 4, 5, 6, 789012)
REJECTED = "path string, label string, reason string, detail string, image_id string, length int"

DOOMED_WRITER = """
import os, signal, sys
from pathlib import Path
from pyiceberg.table import Table
from pyspark.sql import SparkSession
from darkroom.contract import Stage, Workspace
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
    assert frame.columns == [c.IMAGE_ID, c.GROUP_ID, c.SPLIT, c.RUN_ID]
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
    assert lake.vacuum("signs", c.SPLITS, older_than=dt.timedelta(0)) == 1
    assert ids(lake.read(spark, "signs", c.SPLITS)) == ["a"]
