"""Reads and audits files on Spark's executors; no picture passes through the driver."""

from __future__ import annotations

import errno
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.contract import RejectReason
from darkroom.contract import columns as c
from darkroom.files.uris import read_local, reason_of
from darkroom.images import ImageFacts, ImageRejectedError, audit_images, image_id_of
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

FILES = "files"
"""Column: a number of files."""

_WRITTEN = "written"
"""Column: a file of what was found out."""

_FACTS = tuple(field.name for field in fields(ImageFacts))
_FOUND = (c.IMAGE_ID, c.REASON, c.DETAIL, STAGED)
_OPENED_BY = (LOCATION, c.LENGTH, c.REASON, c.DETAIL)

PART_FILES = 128
"""Files that are audited together: enough that NumPy's calls cost little for each."""

PART_BYTES = 1024**2
"""Encoded bytes that are audited together, unless a single file has more."""


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

    def of_files(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Opens listed files and describes what they hold.

        Args:
            rows: ``location``, ``length``, ``reason`` and ``detail`` of the listing; ``content`` in
                addition where the bytes are known. All files are in memory together.

        Returns:
            For each row ``reason`` and ``detail``; or ``image_id`` (SHA-256), ``image`` (the bytes)
            and the fields of `darkroom.images.ImageFacts`.
        """
        opened = [_open(row) for row in rows]
        read = [one for one in opened if isinstance(one, bytes)]
        facts = iter(audit_images(read, self.min_side))
        return [_found(one, next(facts)) if isinstance(one, bytes) else one for one in opened]


@dataclass(frozen=True)
class Audited:
    """What was found out about files.

    Attributes:
        rows: The columns of the files but location and content; and image_id, reason, detail, and
            staged, the Parquet file that holds the picture. Where reason is null, image_id and
            staged are not; elsewhere it is the other way round.
        files: The Parquet files of these rows, which the driver sees as well.
    """

    rows: DataFrame
    files: Sequence[str]

    def repeats(self) -> bool:
        """Whether a picture is there twice."""
        import pyarrow.compute as pc

        ids = self._columns(c.IMAGE_ID)[c.IMAGE_ID]
        distinct: int = pc.count_distinct(ids, mode="only_valid").as_py()
        pictures: int = len(ids) - ids.null_count
        return distinct < pictures

    def tally(self) -> list[dict[str, Any]]:
        """Number of rows (``files``) by reason and staged."""
        keys = (c.REASON, STAGED)
        counted = self._columns(*keys).group_by(keys).aggregate([([], "count_all")])
        rows: list[dict[str, Any]] = counted.rename_columns({"count_all": FILES}).to_pylist()
        return rows

    def _columns(self, *names: str) -> pa.Table:
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = pa.schema([(name, pa.string()) for name in names])
        parts = (pq.read_table(file, columns=list(names)) for file in self.files)
        return pa.concat_tables([schema.empty_table(), *parts])


def read_and_audit(files: DataFrame, audit: Audit, folder: Path) -> Audited:
    """Opens every file, once, and writes the usable pictures below the images table.

    What was found out is written by the workers as well: it would cost the JVM more to take it
    from them row by row than it costs them to find it out.

    Args:
        files: The listing's columns, ``content`` (binary) where Spark has read the bytes, and
            others, which are kept. Where ``reason`` is given a file is not opened.
        audit: How.
        folder: Gets what was found out; the driver and all workers see it.
    """
    from pyspark.sql.types import StringType, StructType

    dropped = (LOCATION, CONTENT, *_FOUND)
    schema = StructType([field for field in files.schema.fields if field.name not in dropped])
    for name in _FOUND:
        schema = schema.add(name, StringType())
    folder.mkdir(parents=True, exist_ok=True)
    work = _auditor(audit, tuple(schema.fieldNames()), str(folder))
    # A task that is repeated leaves a file that nobody names.
    rows: list[Any] = _without_maps(files).mapInArrow(work, f"{_WRITTEN} string").collect()
    written = [row[0] for row in rows]
    if not written:
        return Audited(files.sparkSession.createDataFrame([], schema), ())
    return Audited(files.sparkSession.read.schema(schema).parquet(*written), written)


def _without_maps(files: DataFrame) -> DataFrame:
    """Metadata as JSON: to hand over null maps, Spark counts a batch's rows for each of them."""
    from pyspark.sql import functions as f

    return files.withColumn(c.METADATA, f.to_json(c.METADATA, {"ignoreNullFields": "false"}))


def _with_maps(batch: pa.RecordBatch) -> pa.RecordBatch:
    import pyarrow as pa

    place = batch.schema.get_field_index(c.METADATA)
    texts = batch.column(place).to_pylist()
    maps = [None if text is None else list(json.loads(text).items()) for text in texts]
    kind = pa.map_(pa.string(), pa.string())
    return batch.set_column(place, pa.field(c.METADATA, kind), pa.array(maps, kind))


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
                audited = _audit_batch(audit, _with_maps(batch), staged, columns)
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
    for part in _parts(batch):
        rows = audit.of_files(_opened_by(part))
        staged.add(part, rows)
        for row in rows:
            row[STAGED] = staged.location if row.get(c.REASON) is None else None
            for name, values in found.items():
                values.append(row.get(name))
    arrays = [
        pa.array(found[name], pa.string()) if name in found else batch.column(name)
        for name in columns
    ]
    return pa.RecordBatch.from_arrays(arrays, names=list(columns))


def _parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """As many files as are audited together; only these are in Python at a time."""
    start = size = 0
    for place, length in enumerate(batch.column(c.LENGTH).to_pylist()):
        size += length or 0
        if place > start and (size > PART_BYTES or place - start == PART_FILES):
            yield batch.slice(start, place - start)
            start, size = place, length or 0
    if len(batch):
        yield batch.slice(start)


def _opened_by(part: pa.RecordBatch) -> list[dict[str, Any]]:
    names = [name for name in (*_OPENED_BY, CONTENT) if name in part.schema.names]
    rows: list[dict[str, Any]] = part.select(names).to_pylist()
    return rows


def _found(data: bytes, facts: ImageFacts | ImageRejectedError) -> dict[str, Any]:
    if isinstance(facts, ImageRejectedError):
        return _refused(facts)
    known = {name: getattr(facts, name) for name in _FACTS}
    return {c.IMAGE_ID: image_id_of(data), c.IMAGE: data, **known}


def _refused(rejected: ImageRejectedError) -> dict[str, Any]:
    return {c.REASON: str(rejected.reason), c.DETAIL: rejected.detail}


def _open(row: Mapping[str, Any]) -> bytes | dict[str, Any]:
    """The bytes, or why there are none."""
    if row.get(c.REASON):
        return {name: row[name] for name in (c.REASON, c.DETAIL)}
    try:
        return _content(row) if CONTENT in row else _read(row)
    except ImageRejectedError as rejected:
        return _refused(rejected)


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
