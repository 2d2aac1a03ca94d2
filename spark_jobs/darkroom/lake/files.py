"""The files of a table: which ones a snapshot names, and which ones none does."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.fs import FileInfo, FileSystem
    from pyiceberg.table import Table

READ_BUFFER = 1024 * 1024
_LOCAL = "file://"


def of_snapshot(table: Table, snapshot_id: int | None) -> list[str]:
    """Locations of the snapshot's data files, oldest commit first; the current one for None.

    Raises:
        ValueError: There is no such snapshot, or it holds row-level deletes.
    """
    chosen = table.snapshot_by_id(snapshot_id) if snapshot_id is not None else None
    if snapshot_id is not None and chosen is None:
        raise ValueError(f"{'.'.join(table.name())} has no snapshot {snapshot_id}")
    tasks = list(table.scan(snapshot_id=snapshot_id).plan_files())
    if any(task.delete_files for task in tasks):
        raise ValueError(f"{'.'.join(table.name())} holds row-level deletes: compact it first")
    age = _sequence_numbers(table, snapshot_id)
    return sorted((task.file.file_path for task in tasks), key=lambda path: (age[path], path))


def row_counts(table: Table, snapshot_id: int | None) -> dict[str, int]:
    """Rows per data file of a snapshot; nothing for None, which is a table without any."""
    if snapshot_id is None:
        return {}
    tasks = table.scan(snapshot_id=snapshot_id).plan_files()
    return {task.file.file_path: task.file.record_count for task in tasks}


def rows_in(table: Table, location: str) -> int:
    """Number of rows of a Parquet file."""
    import pyarrow.parquet as pq

    with table.io.new_input(location).open() as stream:
        rows: int = pq.read_metadata(stream).num_rows
    return rows


def write(location: str, rows: pa.Table) -> None:
    """Writes a Parquet file, and the folder that it lies in."""
    import pyarrow.parquet as pq

    system, path = resolve(location)
    system.create_dir(path.rpartition("/")[0], recursive=True)
    pq.write_table(rows, path, filesystem=system)


def batches(
    table: Table, locations: Sequence[str], schema: pa.Schema, size: int
) -> Iterator[pa.RecordBatch]:
    """Rows of data files, with hardly more than one batch in memory at a time.

    Args:
        table: Whose files they are.
        locations: The files.
        schema: The wanted columns; one that a file has not is null.
        size: Most rows of a batch.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    for location in locations:
        with table.io.new_input(location).open() as stream:
            # Buffered: otherwise a whole row group is read before its first row.
            file = pq.ParquetFile(stream, buffer_size=READ_BUFFER, pre_buffer=False)
            there = [name for name in schema.names if name in file.schema_arrow.names]
            for batch in file.iter_batches(batch_size=size, columns=there):
                columns = [
                    batch.column(field.name).cast(field.type)
                    if field.name in there
                    else pa.nulls(len(batch), field.type)
                    for field in schema
                ]
                yield pa.RecordBatch.from_arrays(columns, schema=schema)


def holds(table: Table, location: str, column: str, values: Collection[str]) -> bool:
    """Whether a data file has a row with one of the values."""
    import pyarrow as pa

    schema = pa.schema([(column, pa.string())])
    wanted = frozenset(values)
    return any(
        value in wanted
        for batch in batches(table, [location], schema, 100_000)
        for value in batch.column(0).to_pylist()
    )


def parquet_in(table: Table, folder: str) -> dict[str, int]:
    """Rows per Parquet file of a folder, for the files that have any."""
    import pyarrow.fs as fs
    import pyarrow.parquet as pq

    system, path = _resolve(table, folder)
    rows = {
        f"{folder}/{info.base_name}": pq.read_metadata(info.path, filesystem=system).num_rows
        for info in system.get_file_info(fs.FileSelector(path, allow_not_found=True))
        if info.extension == "parquet"
    }
    return {location: count for location, count in sorted(rows.items()) if count}


def abandoned(table: Table, moment: dt.datetime) -> list[str]:
    """Files and folders that no snapshot names and that nobody touched since a moment.

    Args:
        table: The table; refreshed here, after its files have been listed, so that what is
            committed in between does not look abandoned.
        moment: Whatever is younger may have a writer at work.

    Returns:
        Locations. A folder stands for all it holds.
    """
    data, metadata = f"{table.location()}/data", f"{table.location()}/metadata"
    listed = {place: _listed(table, place) for place in (data, metadata)}
    table.refresh()
    used = referenced(table)
    unused: list[str] = []
    entries: dict[str, list[tuple[str, FileInfo]]] = {}
    for location, info in listed[data].items():
        entries.setdefault(location[len(data) + 1 :].split("/")[0], []).append((location, info))
    for name, inside in entries.items():
        if not any(location in used for location, _ in inside):
            if all(info.mtime < moment for _, info in inside):
                unused.append(f"{data}/{name}")
            continue
        unused += [
            location
            for location, info in inside
            if info.extension == "parquet" and location not in used and info.mtime < moment
        ]
    unused += [
        location
        for location, info in listed[metadata].items()
        if info.extension == "avro" and location not in used and info.mtime < moment
    ]
    return unused


def referenced(table: Table) -> set[str]:
    """Locations of all data files, manifests and manifest lists that some snapshot refers to."""
    manifests = {
        manifest.manifest_path: manifest
        for snapshot in table.snapshots()
        for manifest in snapshot.manifests(table.io)
    }
    data = {
        entry.data_file.file_path
        for manifest in manifests.values()
        for entry in manifest.fetch_manifest_entry(table.io)
    }
    return data.union(manifests, (snapshot.manifest_list for snapshot in table.snapshots()))


def delete(table: Table, location: str) -> None:
    """Deletes a file or a folder with all it holds."""
    import pyarrow.fs as fs

    system, path = _resolve(table, location)
    if system.get_file_info(path).type is fs.FileType.Directory:
        system.delete_dir(path)
    else:
        system.delete_file(path)


def delete_if_there(table: Table, location: str) -> None:
    """Deletes a file, unless that has happened already."""
    import pyarrow.fs as fs

    system, path = _resolve(table, location)
    if system.get_file_info(path).type is fs.FileType.File:
        system.delete_file(path)


def resolve(location: str) -> tuple[FileSystem, str]:
    """Arrow's file system of a location, and the path in it, without PyIceberg's import."""
    import pyarrow.fs as fs

    if location.startswith(_LOCAL):
        # As it is: nothing in a location of the warehouse is percent-encoded.
        return fs.LocalFileSystem(), location[len(_LOCAL) :]
    from pyiceberg.io.pyarrow import PyArrowFileIO

    scheme, netloc, path = PyArrowFileIO.parse_location(location)
    return PyArrowFileIO().fs_by_scheme(scheme, netloc), path


def _listed(table: Table, folder: str) -> dict[str, FileInfo]:
    import pyarrow.fs as fs

    system, path = _resolve(table, folder)
    found = system.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True))
    files = (info for info in found if info.type is fs.FileType.File)
    return {f"{folder}/{info.path[len(path) :].strip('/')}": info for info in files}


def _sequence_numbers(table: Table, snapshot_id: int | None) -> dict[str, int]:
    snapshot = table.snapshot_by_id(snapshot_id) if snapshot_id else table.current_snapshot()
    if snapshot is None:
        return {}
    return {
        entry.data_file.file_path: entry.sequence_number or 0
        for manifest in snapshot.manifests(table.io)
        for entry in manifest.fetch_manifest_entry(table.io)
    }


def _resolve(table: Table, location: str) -> tuple[FileSystem, str]:
    """The file system that PyIceberg itself would use, and the path in it."""
    from pyiceberg.io.pyarrow import PyArrowFileIO

    if not isinstance(table.io, PyArrowFileIO):
        raise TypeError(f"the tables need PyArrow's file systems, not {type(table.io).__name__}")
    scheme, netloc, path = PyArrowFileIO.parse_location(location)
    return table.io.fs_by_scheme(scheme, netloc), path
