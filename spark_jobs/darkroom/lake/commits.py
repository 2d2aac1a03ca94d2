"""One commit: files in, files out, all of it or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from darkroom.contract import ConflictError

if TYPE_CHECKING:
    from pyiceberg.table import Table

RUN: Final = "run-id"
"""Property of a snapshot: the run that made it."""


def current_id(table: Table) -> int | None:
    """Id of the table's current snapshot, or None while there is none."""
    current = table.current_snapshot()
    return current.snapshot_id if current else None


def new_id(table: Table) -> int:
    """Id of the snapshot that has just been committed."""
    current = current_id(table)
    assert current is not None
    return current


def made_by(run_id: str, stage: str) -> dict[str, str]:
    """What a snapshot says of its maker."""
    return {RUN: run_id, "stage": str(stage)}


def commit_files(
    table: Table,
    *,
    add: Iterable[str],
    drop: Iterable[str],
    base: int | None,
    properties: Mapping[str, str],
) -> int | None:
    """Adds and removes data files in one snapshot, unless another writer was faster.

    Args:
        table: The table, as it is now.
        add: Locations of Parquet files that belong to no snapshot yet.
        drop: Locations of data files of the snapshot ``base``.
        base: The snapshot that the change was worked out from; None for an empty table.
        properties: Kept in the snapshot.

    Returns:
        Id of the new snapshot; ``base`` when there is nothing to change.

    Raises:
        ConflictError: The table has changed since ``base``; nothing is committed.
    """
    from pyiceberg.exceptions import CommitFailedException, ValidationException

    added, dropped = list(add), set(drop)
    if not added and not dropped:
        return base
    check_unchanged(table, base)
    try:
        # PyIceberg validates the snapshots that others commit from here on: with its isolation
        # level "serializable", the default, none may add or remove a file.
        _commit(table, added, dropped, properties)
    except (CommitFailedException, ValidationException) as error:
        raise _conflict(table) from error
    return current_id(table)


def _commit(
    table: Table, added: list[str], dropped: set[str], properties: Mapping[str, str]
) -> None:
    from pyiceberg.io.pyarrow import parquet_file_to_data_file
    from pyiceberg.table import TableProperties

    tasks = table.scan().plan_files() if dropped else []
    leaving = [task.file for task in tasks if task.file.file_path in dropped]
    with table.transaction() as transaction:
        metadata = transaction.table_metadata
        if metadata.name_mapping() is None:
            # Spark writes no field ids: other readers find the columns by their names.
            mapping = metadata.schema().name_mapping.model_dump_json()
            transaction.set_properties({TableProperties.DEFAULT_NAME_MAPPING: mapping})
        update = transaction.update_snapshot(snapshot_properties=dict(properties))
        with update.overwrite() as change:
            for location in added:
                file = parquet_file_to_data_file(table.io, transaction.table_metadata, location)
                change.append_data_file(file)
            for file in leaving:
                change.delete_data_file(file)


def check_unchanged(table: Table, base: int | None) -> None:
    """Looks whether the table is still what a change was worked out from.

    Raises:
        ConflictError: It has another snapshot than ``base`` now.
    """
    table.refresh()
    if current_id(table) != base:
        raise _conflict(table)


def _conflict(table: Table) -> ConflictError:
    name = ".".join(table.name())
    return ConflictError(f"{name} was changed by another process meanwhile: run this again")
