"""All files of all sources, streamed: the driver holds one folder's names at a time."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.contract import DataError
from darkroom.contract import columns as c
from darkroom.ingestion.sources.folders import LAYOUT, Tree
from darkroom.ingestion.sources.manifest import Manifest
from darkroom.ingestion.sources.model import Found, Source

if TYPE_CHECKING:
    import pyarrow as pa

LOCATION = "location"
"""Column: what opens the file."""

BATCH_ROWS = 10_000

Sink = Callable[["pa.RecordBatch"], None]


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What the sources hold, in numbers.

    Attributes:
        roots: What the paths are relative to, a source each.
        labels: Names of all classes, sorted; one may have no file.
        found: Number of files.
        total_bytes: Their lengths together.
        loose: Number of files that lie beside class folders and so have no class.
        fingerprint: SHA-256 that changes when a file is added, removed, renamed, resized or
            touched, or when a manifest says something else of it.
    """

    roots: tuple[str, ...]
    labels: tuple[str, ...]
    found: int
    total_bytes: int
    loose: int
    fingerprint: str


@dataclass(frozen=True)
class Listed:
    """What was in the sources when they were listed.

    Attributes:
        listing: The numbers.
        files: A Parquet file of the files; see `list_sources` for its columns.
    """

    listing: Listing
    files: pa.Buffer

    def write(self, file: Path) -> None:
        """Writes the files where Spark can read them."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(self.files)


def list_sources(sources: Sequence[Source], sink: Sink | None = None) -> Listing:
    """Lists what is there to ingest; no file is opened but a manifest.

    Args:
        sources: The sources.
        sink: Gets the files in batches of the columns root, path, location, label, length,
            modified_at, metadata, reason and detail.

    Returns:
        The numbers: at least one file, and two classes where there are labels at all.

    Raises:
        DataError: A source is missing, unreadable or empty, a file is named twice, or there is
            one class only.
    """
    digest = hashlib.sha256()
    batch = _Batch(sink)
    roots = Counter(source.root for source in sources)
    seen: set[int] = set()
    for source in sources:
        digest.update(f"{source.root}\n".encode())
        may_repeat = isinstance(source, Manifest) or roots[source.root] > 1
        for file in source.files():
            if may_repeat:
                _check_once(seen, source.root, file.path)
            digest.update(_identity(file))
            batch.add(source.root, file)
        for label in source.labels:
            digest.update(f"{label}\0".encode())
    batch.flush()
    listing = Listing(
        roots=tuple(source.root for source in sources),
        labels=tuple(sorted({label for source in sources for label in source.labels})),
        found=batch.found,
        total_bytes=batch.total_bytes,
        loose=sum(source.loose for source in sources),
        fingerprint=digest.hexdigest(),
    )
    _check(sources, listing)
    return listing


def listed_files(sources: Sequence[Source]) -> Listed:
    """Lists the sources and holds what they have in some ten bytes a file; see `list_sources`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    # A dictionary of names that are all different is larger than the names.
    options: dict[str, Any] = {"compression": "zstd", "use_dictionary": [c.ROOT, c.LABEL]}
    with pq.ParquetWriter(sink, _schema(), **options) as writer:
        listing = list_sources(sources, writer.write_batch)
    return Listed(listing, sink.getvalue())


class _Batch:
    """Gathers rows until there are enough for a batch."""

    def __init__(self, sink: Sink | None) -> None:
        self._sink = sink
        self._rows: list[tuple[Any, ...]] = []
        self.found = 0
        self.total_bytes = 0

    def add(self, root: str, file: Found) -> None:
        self.found += 1
        self.total_bytes += file.length or 0
        if self._sink is None:
            return
        self._rows.append(
            (
                root,
                file.path,
                file.location,
                file.label,
                file.length,
                file.modified_us,
                file.metadata,
                file.reason,
                file.detail,
            )
        )
        if len(self._rows) >= BATCH_ROWS:
            self.flush()

    def flush(self) -> None:
        if self._sink is None or not self._rows:
            return
        import pyarrow as pa

        schema = _schema()
        columns = zip(*self._rows, strict=True)
        arrays = [
            pa.array(_items(column) if pa.types.is_map(field.type) else column, field.type)
            for column, field in zip(columns, schema, strict=True)
        ]
        self._sink(pa.RecordBatch.from_arrays(arrays, schema=schema))
        self._rows = []


def _items(column: tuple[Mapping[str, str] | None, ...]) -> list[list[tuple[str, str]] | None]:
    """Arrow takes a map as a list of its items, sorted so that equal maps are equal."""
    return [None if value is None else sorted(value.items()) for value in column]


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [
            (c.ROOT, pa.string()),
            (c.PATH, pa.string()),
            (LOCATION, pa.string()),
            (c.LABEL, pa.string()),
            (c.LENGTH, pa.int64()),
            (c.MODIFIED_AT, pa.timestamp("us", tz="UTC")),
            (c.METADATA, pa.map_(pa.string(), pa.string())),
            (c.REASON, pa.string()),
            (c.DETAIL, pa.string()),
        ]
    )


def _identity(file: Found) -> bytes:
    words = sorted(file.metadata.items()) if file.metadata else []
    return f"{file.path}\0{file.label}\0{file.length}\0{file.modified_us}\0{words}\n".encode()


def _check_once(seen: set[int], root: str, path: str) -> None:
    """Eight bytes of a digest stand for a file: some 70 bytes of memory, however long its path."""
    key = hashlib.blake2b(f"{root}\0{path}".encode(), digest_size=8).digest()
    number = int.from_bytes(key, "big")
    if number in seen:
        raise DataError(f"source {root}: {path!r} is named twice: keep one line for each file")
    seen.add(number)


def _check(sources: Sequence[Source], listing: Listing) -> None:
    shown = _shown(sources)
    if not listing.found:
        classes = len(listing.labels)
        holding = f"has {classes} class folder" + ("s" if classes != 1 else "")
        what = f"{holding} but no files in them" if classes else "holds no files"
        raise DataError(f"{shown} {what}: {LAYOUT}")
    if len(listing.labels) == 1:
        raise DataError(
            f"{shown} has one class only ({listing.labels[0]}), at least 2 are needed: {LAYOUT}"
        )


def _shown(sources: Sequence[Source]) -> str:
    roots = ", ".join(source.root for source in sources)
    folder = "folder " if all(isinstance(source, Tree) for source in sources) else ""
    return f"source {folder}{roots}"
