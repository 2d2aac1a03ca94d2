"""Reads and audits files on Spark's executors; no picture passes through the driver."""

from __future__ import annotations

import errno
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.contract import RejectReason
from darkroom.contract import columns as c
from darkroom.files.uris import read_local, reason_of
from darkroom.images import ImageFacts, ImageRejectedError, audit_image, image_id_of
from darkroom.ingestion.listing import LOCATION
from darkroom.ingestion.staging import StagedFile

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

MAX_BYTES = 512 * 1024**2
"""Largest file that is read, in bytes: a row has to fit into an Arrow batch several times."""

CONTENT = "content"
"""Column: the bytes, where Spark has read them already."""

STAGED = "staged"
"""Column: location of the Parquet file that holds the picture."""

_WRITTEN = "written"
"""Column: a file of what was found out."""

_FACTS = tuple(field.name for field in fields(ImageFacts))
_FOUND = (c.IMAGE_ID, c.REASON, c.DETAIL, STAGED)


@dataclass(frozen=True, kw_only=True)
class Audit:
    """How files are audited.

    Attributes:
        folder: Location of the folder below the images table that gets the usable pictures.
        min_side: Fewest pixels that either side of a picture must have.
        run_id: The run that accepts them.
    """

    folder: str
    min_side: int
    run_id: str

    def of_file(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Opens one listed file and describes what it holds.

        Args:
            row: Columns of the listing; ``content`` in addition where the bytes are known.

        Returns:
            The row with ``reason`` and ``detail``, or with ``image_id`` (SHA-256), ``image`` (the
            bytes) and the fields of `darkroom.images.ImageFacts`.
        """
        if row.get(c.REASON):
            return dict(row)
        try:
            data = _content(row) if CONTENT in row else _read(row)
            facts = audit_image(data, self.min_side)
        except ImageRejectedError as rejected:
            return {**row, c.REASON: str(rejected.reason), c.DETAIL: rejected.detail}
        found = {name: getattr(facts, name) for name in _FACTS}
        return {**row, c.IMAGE_ID: image_id_of(data), c.IMAGE: data, **found}


def read_and_audit(files: DataFrame, audit: Audit, folder: Path) -> DataFrame:
    """Opens every file, once, and writes the usable pictures below the images table.

    What was found out is written by the workers as well: it would cost the JVM more to take it
    from them row by row than it costs them to find it out.

    Args:
        files: The listing's columns, ``content`` (binary) where Spark has read the bytes, and
            others, which are kept. Where ``reason`` is given a file is not opened.
        audit: How.
        folder: Gets what was found out; the driver and all workers see it.

    Returns:
        The columns of ``files`` but location and content; and image_id, reason, detail, and
        staged, the Parquet file that holds the picture. Where reason is null, image_id and staged
        are not; elsewhere it is the other way round.
    """
    from pyspark.sql.types import StringType, StructType

    dropped = (LOCATION, CONTENT, *_FOUND)
    schema = StructType([field for field in files.schema.fields if field.name not in dropped])
    for name in _FOUND:
        schema = schema.add(name, StringType())
    folder.mkdir(parents=True, exist_ok=True)
    work = _auditor(audit, tuple(schema.fieldNames()), str(folder))
    # A task that is repeated leaves a file that nobody names.
    written: list[Any] = files.mapInArrow(work, f"{_WRITTEN} string").collect()
    if not written:
        return files.sparkSession.createDataFrame([], schema)
    return files.sparkSession.read.schema(schema).parquet(*[row[0] for row in written])


def _auditor(
    audit: Audit, columns: tuple[str, ...], folder: str
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        staged = StagedFile(audit.folder, audit.run_id)
        file = f"{folder}/{uuid.uuid4()}.parquet"
        writer: pq.ParquetWriter | None = None
        try:
            for batch in batches:
                audited = _audit_batch(audit, batch, staged, columns)
                writer = writer or pq.ParquetWriter(file, audited.schema)
                writer.write_batch(audited)
        finally:
            staged.close()
            if writer:
                writer.close()
        if writer:
            yield pa.RecordBatch.from_pydict({_WRITTEN: [file]})

    return work


def _audit_batch(
    audit: Audit, batch: pa.RecordBatch, staged: StagedFile, columns: tuple[str, ...]
) -> pa.RecordBatch:
    import pyarrow as pa

    found: dict[str, list[str | None]] = {name: [] for name in _FOUND}
    for row in _rows(batch):
        audited = audit.of_file(row)
        if audited.get(c.REASON) is None:
            staged.add(audited)
            audited[STAGED] = staged.location
        for name, values in found.items():
            values.append(audited.get(name))
    arrays = [
        pa.array(found[name], pa.string()) if name in found else batch.column(name)
        for name in columns
    ]
    return pa.RecordBatch.from_arrays(arrays, names=list(columns))


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """The rows one by one, so that one file's bytes are in Python at a time."""
    names = batch.schema.names
    narrow = [name for name in names if name != CONTENT]
    for place, row in enumerate(batch.select(narrow).to_pylist()):
        if CONTENT in names:
            row[CONTENT] = batch.column(CONTENT)[place].as_py()
        yield row


def _content(row: Mapping[str, Any]) -> bytes:
    data: bytes = row[CONTENT]
    _check_length(len(data), row)
    return data


def _read(row: Mapping[str, Any]) -> bytes:
    try:
        data = read_local(row[LOCATION], MAX_BYTES)
    except OSError as error:
        large = error.errno == errno.EFBIG
        reason = RejectReason.TOO_LARGE if large else RejectReason.UNREADABLE_FILE
        raise ImageRejectedError(reason, reason_of(error)) from None
    _check_length(len(data), row)
    return data


def _check_length(length: int, row: Mapping[str, Any]) -> None:
    """A file that somebody is writing is not judged by the half of it."""
    listed = row[c.LENGTH]
    if length != listed:
        raise ImageRejectedError(
            RejectReason.UNREADABLE_FILE,
            f"it had {listed} bytes when it was listed and {length} when it was read: ingest "
            "again when it is complete",
        )
