"""Manifests: tables that name files, their labels, and what else is known of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from typing import IO, Any, Final

from darkroom.contract import DataError, RejectReason
from darkroom.contract import columns as c
from darkroom.contract.source import manifest_format
from darkroom.ingestion.sources.model import Found, Place

GIVEN_SPLITS: Final = {
    c.TRAIN: c.TRAIN,
    c.VALIDATION: c.VALIDATION,
    "val": c.VALIDATION,
    c.TEST: c.TEST,
}
"""What a manifest may say in its column ``split``, and what it means."""

Row = Mapping[str, str | None]


class Manifest:
    """A CSV file with a header, a file with one JSON object a line, or a Parquet file.

    Args:
        place: The root: where relative paths start, and what none may lead out of.
        home: The folder of the manifest itself.
        name: Its name there.
    """

    def __init__(self, place: Place, home: Place, name: str) -> None:
        self._place = place
        self._home = home
        self._name = name
        self._shown = f"manifest {home.location(name)}"
        self._labels: set[str] = set()
        self.loose = 0

    @property
    def root(self) -> str:
        """What its paths are relative to."""
        return self._place.root

    @property
    def labels(self) -> tuple[str, ...]:
        """Classes of the lines read so far."""
        return tuple(sorted(self._labels))

    def files(self) -> Iterator[Found]:
        """One per line.

        Raises:
            DataError: The manifest cannot be read, lacks a column, or says of a line what cannot
                be; the message names the line.
        """
        with self._home.open_manifest(self._name) as stream:
            for line, row in _rows(stream, self._name, self._shown):
                path = self._value(row, c.PATH, line)
                if path is None:
                    raise DataError(f"{self._shown}, line {line}: it names no path: fill it in")
                label = self._value(row, c.LABEL, line)
                if label is not None:
                    self._labels.add(label)
                yield self._found(path, label, self._metadata(row, line))

    def _found(self, path: str, label: str | None, metadata: Mapping[str, str]) -> Found:
        try:
            path.encode()
        except UnicodeEncodeError:
            shown = path.encode("utf-8", "backslashreplace").decode()
            return _refused(shown, label, metadata, "the path is not UTF-8", None)
        resolved = self._place.resolve(path)
        if resolved.refused:
            outside = RejectReason.OUTSIDE_ROOT
            return _refused(path, label, metadata, resolved.refused, outside)
        entry = resolved.entry
        return Found(
            path=resolved.path,
            location=resolved.location,
            label=label,
            length=entry.length if entry else None,
            modified_us=entry.modified_us if entry else None,
            metadata=metadata or None,
            reason=None if entry else RejectReason.UNREADABLE_FILE,
            detail=None if entry else "the manifest names it, and there is no such file",
        )

    def _value(self, row: Row, column: str, line: int) -> str | None:
        if column not in row:
            columns = ", ".join(row) or "none"
            raise DataError(
                f"{self._shown}, line {line}: there is no column {column!r}, only {columns}: "
                "a manifest needs path and label"
            )
        return row[column] or None

    def _metadata(self, row: Row, line: int) -> dict[str, str]:
        others = {
            name: value for name, value in row.items() if value and name not in (c.PATH, c.LABEL)
        }
        if c.SPLIT in others:
            given = others[c.SPLIT]
            split = GIVEN_SPLITS.get(given.strip().lower())
            if split is None:
                known = ", ".join(GIVEN_SPLITS)
                raise DataError(
                    f"{self._shown}, line {line}: split = {given!r}: give one of {known}, or none"
                )
            others[c.SPLIT] = split
        return others


def _refused(
    path: str,
    label: str | None,
    metadata: Mapping[str, str],
    detail: str,
    reason: RejectReason | None,
) -> Found:
    return Found(
        path=path.replace("\0", "\\0"),
        location=None,
        label=label,
        metadata=metadata or None,
        reason=reason or RejectReason.UNREADABLE_FILE,
        detail=detail,
    )


def _rows(stream: IO[bytes], name: str, shown: str) -> Iterator[tuple[int, Row]]:
    """Numbered rows, read as they are asked for; of a row a column is a text, or None."""
    written_as = manifest_format(name)
    if written_as == "parquet":
        return _parquet_rows(stream, shown)
    lines = _lines(stream, shown)
    return _csv_rows(lines, shown) if written_as == "csv" else _json_rows(lines, shown)


def _lines(stream: IO[bytes], shown: str) -> Iterator[str]:
    for number, line in enumerate(stream, start=1):
        try:
            # Some editors begin a file with a mark of its encoding.
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise DataError(f"{shown}, line {number}: not UTF-8: save the file as UTF-8") from None


def _csv_rows(lines: Iterator[str], shown: str) -> Iterator[tuple[int, Row]]:
    reader = csv.reader(lines, strict=True)
    try:
        header = next(reader, None) or []
        if len(set(header)) < len(header):
            twice = next(name for name in header if header.count(name) > 1)
            raise DataError(f"{shown}: the column {twice!r} is there twice: rename one")
        for values in reader:
            if len(values) not in (0, len(header)):
                raise DataError(
                    f"{shown}, line {reader.line_num}: {len(values)} values for "
                    f"{len(header)} columns: put values that hold a comma in quotes"
                )
            if values:
                yield reader.line_num, dict(zip(header, values, strict=True))
    except csv.Error as error:
        raise DataError(f"{shown}, line {reader.line_num}: not valid CSV: {error}") from None


def _json_rows(lines: Iterator[str], shown: str) -> Iterator[tuple[int, Row]]:
    for line, content in enumerate(lines, start=1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except (json.JSONDecodeError, RecursionError) as error:
            words = getattr(error, "msg", "too deep")
            raise DataError(f"{shown}, line {line}: not valid JSON: {words}") from None
        if not isinstance(row, dict):
            raise DataError(f"{shown}, line {line}: write one JSON object a line")
        yield line, {name: _text(value) for name, value in row.items()}


def _parquet_rows(stream: IO[bytes], shown: str) -> Iterator[tuple[int, Row]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(stream)
        line = 0
        for batch in file.iter_batches(batch_size=10_000):
            for row in batch.to_pylist():
                line += 1
                yield line, {name: _text(value) for name, value in row.items()}
    except pa.ArrowException as error:
        words = " ".join(str(error).split())[:200]
        raise DataError(f"{shown} is not a whole Parquet file: {words}") from None


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, default=str, ensure_ascii=False)
