"""Many small files into few large ones: every run of a stage adds some to each table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from darkroom.lake.commits import current_id
from darkroom.lake.housekeeping import check_pipeline
from darkroom.lake.lake import Lake
from darkroom.lake.model import Rows
from darkroom.lake.schema import TABLES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

COMPACT: Final = "compact"
"""What the snapshots of a compaction name as their stage."""

SMALL_BYTES: Final = 32 * 1024**2
"""Files below it are put together."""

TARGET_BYTES: Final = 128 * 1024**2
"""About the size of what they become."""

FEWEST: Final = 8
"""Fewer small files than this are left as they are: opening them costs next to nothing."""


@dataclass(frozen=True)
class Compacted:
    """What was put together in one table.

    Attributes:
        table: Its name.
        before: Number of small files.
        after: Number of files that hold their rows now.
    """

    table: str
    before: int
    after: int


def compact(spark: SparkSession, lake: Lake, pipeline: str, run_id: str) -> tuple[Compacted, ...]:
    """Puts the small files of a pipeline's tables together; no row changes.

    Args:
        spark: The session.
        lake: The tables.
        pipeline: The pipeline's name.
        run_id: Kept in the snapshots.

    Returns:
        The tables that had enough small files.

    Raises:
        ConfigError: There is no such pipeline.
        ConflictError: Another process changed a table meanwhile; those before it are done.
    """
    check_pipeline(lake, pipeline)
    done = (_compact(spark, lake, pipeline, table, run_id) for table in TABLES)
    return tuple(one for one in done if one)


def content_of(lake: Lake, namespace: str, table: str, snapshot_id: int | None) -> int | None:
    """The snapshot whose rows a snapshot has: itself, unless a compaction made it.

    Args:
        lake: The tables.
        namespace: The pipeline's name.
        table: One of the tables of `darkroom.lake.schema`.
        snapshot_id: A snapshot, or None for an empty table.

    Returns:
        Its id; the snapshot itself may have expired.
    """
    found = lake.find(namespace, table)
    while found is not None and snapshot_id is not None:
        snapshot = found.snapshot_by_id(snapshot_id)
        if snapshot is None or snapshot.summary is None or snapshot.summary["stage"] != COMPACT:
            break
        snapshot_id = snapshot.parent_snapshot_id
    return snapshot_id


def _compact(
    spark: SparkSession, lake: Lake, pipeline: str, table: str, run_id: str
) -> Compacted | None:
    found = lake.find(pipeline, table)
    if found is None:
        return None
    files = [task.file for task in found.scan().plan_files()]
    small = [file for file in files if file.file_size_in_bytes < SMALL_BYTES]
    if len(small) < FEWEST:
        return None
    parts = math.ceil(sum(file.file_size_in_bytes for file in small) / TARGET_BYTES)
    locations = [file.file_path for file in small]
    rows = Rows(
        add=[lake.read_files(spark, table, locations).coalesce(parts)], dropped=locations, growth=0
    )
    base = current_id(found)
    lake.change(spark, pipeline, table, rows, base=base, run_id=run_id, stage=COMPACT)
    return Compacted(table, len(small), parts)
