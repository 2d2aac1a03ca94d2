"""The data files of a table: which ones a snapshot names, and which ones none does."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem
    from pyiceberg.table import Table


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


def parquet_in(table: Table, folder: str) -> dict[str, int]:
    """Rows per Parquet file of a folder, for the files that have any."""
    import pyarrow.fs as fs
    import pyarrow.parquet as pq

    system, path = _resolve(table, folder)
    rows = {
        f"{folder}/{info.base_name}": pq.read_metadata(info.path, filesystem=system).num_rows
        for info in system.get_file_info(fs.FileSelector(path))
        if info.extension == "parquet"
    }
    return {location: count for location, count in sorted(rows.items()) if count}


def unchanged_since(table: Table, moment: dt.datetime) -> set[str]:
    """Names in the table's data folder below which nothing is younger than a moment."""
    import pyarrow.fs as fs

    system, path = _resolve(table, f"{table.location()}/data")
    listing = system.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True))
    newest: dict[str, dt.datetime] = {}
    for info in listing:
        name = info.path[len(path) :].strip("/").split("/")[0]
        newest[name] = max(newest.get(name, info.mtime), info.mtime)
    return {name for name, modified in newest.items() if modified < moment}


def entries_in_use(table: Table) -> set[str]:
    """Names in the table's data folder that some snapshot refers to."""
    prefix = f"{table.location()}/data/"
    manifests = {
        manifest.manifest_path: manifest
        for snapshot in table.snapshots()
        for manifest in snapshot.manifests(table.io)
    }
    return {
        entry.data_file.file_path.removeprefix(prefix).split("/")[0]
        for manifest in manifests.values()
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=False)
    }


def delete(table: Table, location: str) -> None:
    """Deletes a file or a folder with all it holds."""
    import pyarrow.fs as fs

    system, path = _resolve(table, location)
    if system.get_file_info(path).type is fs.FileType.Directory:
        system.delete_dir(path)
    else:
        system.delete_file(path)


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
