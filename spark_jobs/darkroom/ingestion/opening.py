"""Opens what is new: audits it where it lies, and keeps what was found out for the driver."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.contract import RejectReason
from darkroom.contract import columns as c
from darkroom.contract.source import is_uri
from darkroom.ingestion.listing import LOCATION
from darkroom.ingestion.reading import CONTENT, MAX_BYTES, Audit, Audited, read_and_audit
from darkroom.ingestion.sources.hadoop import read_binary

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

PARTITION_BYTES = 128 * 1024**2
"""Encoded bytes per task, and so about the size of a Parquet file of a large source."""

TASKS_PER_CORE = 2
"""Tasks of a source that has enough files: one that is slow does not keep the others waiting."""

FEW_FILES = 200
"""Fewer files than this are not worth a task of their own."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Opening:
    """How many files are opened, and where what is found goes.

    Attributes:
        files: Their number.
        total_bytes: Their bytes together.
        roots: The sources; those with a scheme are read by Hadoop's file systems.
        scratch: A folder of its own that the driver and all workers see.
    """

    files: int
    total_bytes: int
    roots: Sequence[str]
    scratch: Path


def open_files(spark: SparkSession, todo: DataFrame, audit: Audit, opening: Opening) -> Audited:
    """Audits files, each exactly once.

    Args:
        spark: The session.
        todo: The listing's columns, and others, which are kept.
        audit: How.
        opening: How many, and where to.

    Returns:
        What was found out: whoever looks at it twice opens no file twice.
    """
    remote = [root for root in opening.roots if is_uri(root)]
    here = [root for root in opening.roots if not is_uri(root)]
    _log.info("opening %s new or changed files", f"{opening.files:,}")
    audited: list[Audited] = []
    if here:
        # By path, because rows dealt out in turn are sorted first.
        local = todo.where(_of(here)).repartition(tasks(spark, opening), c.PATH)
        audited.append(read_and_audit(local, audit, opening.scratch / "local"))
    if remote:
        audited += _read_remote(spark, todo.where(_of(remote)), audit, opening.scratch / "remote")
    files = [file for one in audited for file in one.files]
    return Audited(union([one.rows for one in audited]), files)


def union(frames: Sequence[DataFrame]) -> DataFrame:
    """The rows of all; at least one frame."""
    first, *others = frames
    for other in others:
        first = first.unionByName(other)
    return first


def tasks(spark: SparkSession, opening: Opening) -> int:
    """Into how many tasks the files go."""
    cores = int(spark.sparkContext.defaultParallelism)
    worthwhile = min(TASKS_PER_CORE * cores, math.ceil(opening.files / FEW_FILES))
    return max(1, worthwhile, math.ceil(opening.total_bytes / PARTITION_BYTES))


def _read_remote(spark: SparkSession, todo: DataFrame, audit: Audit, folder: Path) -> list[Audited]:
    from pyspark.sql import functions as f

    todo = todo.persist()
    audited = []
    try:
        readable = f.col(c.REASON).isNull() & f.col(c.LENGTH).between(1, MAX_BYTES)
        chosen: list[Any] = todo.where(readable).select(LOCATION).collect()
        if chosen:
            content = read_binary(spark, [row[0] for row in chosen])
            content = content.withColumnsRenamed({"path": LOCATION, "content": CONTENT})
            whole = content.join(f.broadcast(todo), LOCATION)
            audited.append(read_and_audit(whole, audit, folder))
            read = audited[0].rows.select(c.ROOT, c.PATH)
            todo_left = todo.join(read, [c.ROOT, c.PATH], "left_anti")
        else:
            todo_left = todo
        # None of these is opened: each has its reason.
        left = todo_left.withColumns(_why_not_read())
        audited.append(read_and_audit(left.coalesce(1), audit, folder))
        return audited
    finally:
        todo.unpersist()


def _why_not_read() -> dict[str, Column]:
    """Reason and detail of files that Spark's source has not delivered."""
    from pyspark.sql import functions as f

    given, empty = f.col(c.REASON).isNotNull(), f.col(c.LENGTH) == 0
    large = f.col(c.LENGTH) > MAX_BYTES
    hidden = f.element_at(f.split(c.PATH, "/"), -1).rlike("^[_.]")
    size = f.concat(f.col(c.LENGTH).cast("string"), f.lit(f" bytes, the limit is {MAX_BYTES}"))
    return {
        c.REASON: f.when(given, f.col(c.REASON))
        .when(empty, str(RejectReason.EMPTY))
        .when(large, str(RejectReason.TOO_LARGE))
        .otherwise(str(RejectReason.UNREADABLE_FILE)),
        c.DETAIL: f.when(given, f.col(c.DETAIL))
        .when(empty, "the file holds no bytes")
        .when(large, size)
        .when(hidden, "Hadoop's sources leave out names that begin with _ or .: rename the file")
        .otherwise("it vanished or could not be read while it was ingested"),
    }


def _of(roots: Sequence[str]) -> Column:
    from pyspark.sql import functions as f

    return f.col(c.ROOT).isin(*roots)
