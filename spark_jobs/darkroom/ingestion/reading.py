"""Reads and audits files on Spark's executors; no picture passes through the driver."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.contract import RejectReason
from darkroom.contract import columns as c
from darkroom.files.uris import read_local, reason_of
from darkroom.images import ImageRejectedError, audit_image, image_id_of
from darkroom.lake.schema import (
    BINARY,
    DOUBLE,
    INT,
    LONG,
    STRING,
    TABLES,
    TIMESTAMP,
    column_names,
    spark_schema,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

MAX_BYTES = 512 * 1024**2
"""Largest file that is read, in bytes: a row has to fit into an Arrow batch several times."""

BATCH_BYTES = 32 * 1024**2
"""Encoded bytes that a worker gathers before it hands rows to the JVM."""

AUDITED_COLUMNS = (
    *(name for name in column_names(c.IMAGES) if name != c.RUN_ID),
    c.REASON,
    c.DETAIL,
)
"""What `read_and_audit` returns: a row of the images table, or why there is none."""


def read_and_audit(files: DataFrame, root: Path, min_side: int) -> DataFrame:
    """Opens every file and describes what it holds.

    Args:
        files: Reads the columns path, label, length, modified_at.
        root: The source folder, readable at the same path on every worker.
        min_side: Fewest pixels that either side of a picture must have.

    Returns:
        One row per file with the columns of `AUDITED_COLUMNS`. Where reason is null the row has
        image_id (SHA-256), image (encoded bytes), format, mode, width, height, brightness and
        perceptual_hash; elsewhere these are null.
    """
    from pyspark.sql.types import StringType, StructType

    images = spark_schema(c.IMAGES)
    schema = StructType([field for field in images if field.name in AUDITED_COLUMNS])
    schema = schema.add(c.REASON, StringType()).add(c.DETAIL, StringType())
    return files.mapInArrow(_auditor(root, min_side), schema)


def audit_file(root: Path, row: Mapping[str, Any], min_side: int) -> dict[str, Any]:
    """Reads and audits one listed file; see `read_and_audit` for the row that it returns."""
    try:
        data = _read(root / row[c.PATH])
        facts = audit_image(data, min_side)
    except ImageRejectedError as rejected:
        return {**row, c.REASON: str(rejected.reason), c.DETAIL: rejected.detail}
    return {**row, c.IMAGE_ID: image_id_of(data), c.IMAGE: data, **vars(facts)}


def _auditor(
    root: Path, min_side: int
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def audit(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows: list[dict[str, Any]] = []
        gathered = 0
        for batch in batches:
            for row in batch.to_pylist():
                rows.append(audit_file(root, row, min_side))
                gathered += len(rows[-1].get(c.IMAGE) or b"")
                if gathered >= BATCH_BYTES:
                    yield _batch(rows)
                    rows, gathered = [], 0
        if rows:
            yield _batch(rows)

    return audit


def _batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    import pyarrow as pa

    kinds = {
        STRING: pa.string(),
        LONG: pa.int64(),
        INT: pa.int32(),
        DOUBLE: pa.float64(),
        BINARY: pa.binary(),
        TIMESTAMP: pa.timestamp("us", tz="UTC"),
    }
    columns = TABLES[c.IMAGES]
    schema = pa.schema([(name, kinds[columns.get(name, STRING)]) for name in AUDITED_COLUMNS])
    return pa.RecordBatch.from_pylist(rows, schema=schema)


def _read(file: Path) -> bytes:
    try:
        size = file.stat().st_size
        if size > MAX_BYTES:
            raise ImageRejectedError(
                RejectReason.TOO_LARGE, f"{size} bytes, the limit is {MAX_BYTES}"
            )
        return read_local(file)
    except OSError as error:
        raise ImageRejectedError(RejectReason.UNREADABLE_FILE, reason_of(error)) from None
