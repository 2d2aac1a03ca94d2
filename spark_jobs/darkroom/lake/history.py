"""Old snapshots and abandoned files: who still holds what, and how it goes for good."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from darkroom.lake import files
from darkroom.lake.commits import RUN, current_id

if TYPE_CHECKING:
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.table import Table


@dataclass(frozen=True)
class OldSnapshot:
    """A snapshot that is not the current one.

    Attributes:
        table: The table's name.
        snapshot_id: Its id.
        at: When it was committed, UTC.
        replaced_at: When the next one was: until then it was what everybody read.
        tags: Names that protect it from expiry.
    """

    table: str
    snapshot_id: int
    at: dt.datetime
    replaced_at: dt.datetime
    tags: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One line."""
        tagged = f", tagged {', '.join(self.tags)}" if self.tags else ""
        return f"{self.table} {self.snapshot_id} of {self.at:%Y-%m-%d %H:%M:%S} UTC{tagged}"


@dataclass(frozen=True)
class Expired:
    """What an expiry removed.

    Attributes:
        snapshots: Those that are gone.
        files: Number of data and manifest files deleted with them.
        protected: Those that stay because a tag names them.
    """

    snapshots: tuple[OldSnapshot, ...]
    files: int
    protected: tuple[OldSnapshot, ...]


def old_snapshots(table: Table) -> list[OldSnapshot]:
    """All snapshots but the current one, oldest first."""
    name, current = table.name()[-1], table.current_snapshot()
    tags: dict[int, list[str]] = {}
    for tag, ref in table.refs().items():
        tags.setdefault(ref.snapshot_id, []).append(tag)
    known = sorted(table.snapshots(), key=lambda snapshot: snapshot.timestamp_ms)
    return [
        OldSnapshot(
            name,
            snapshot.snapshot_id,
            _moment(snapshot.timestamp_ms),
            _moment(following.timestamp_ms),
            tuple(sorted(tags.get(snapshot.snapshot_id, ()))),
        )
        for snapshot, following in zip(known, [*known[1:], *known[-1:]], strict=True)
        if current is None or snapshot.snapshot_id != current.snapshot_id
    ]


def first_commits(table: Table) -> dict[str, dt.datetime]:
    """When each run first changed the table, UTC, by run id."""
    known = sorted(table.snapshots(), key=lambda snapshot: snapshot.timestamp_ms, reverse=True)
    return {
        run: _moment(snapshot.timestamp_ms)
        for snapshot in known
        if snapshot.summary and (run := snapshot.summary.get(RUN))
    }


def _moment(milliseconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)


def holders(table: Table, column: str, values: Collection[str]) -> list[OldSnapshot]:
    """The old snapshots that hold a row with one of the values.

    Args:
        table: The table.
        column: A column of texts.
        values: What to look for.
    """
    known: dict[str, bool] = {}

    def holds(location: str) -> bool:
        if location not in known:
            known[location] = files.holds(table, location, column, values)
        return known[location]

    return [
        snapshot
        for snapshot in old_snapshots(table)
        if any(holds(location) for location in files.of_snapshot(table, snapshot.snapshot_id))
    ]


def is_current(table: Table, column: str, values: Collection[str]) -> bool:
    """Whether the current snapshot has a row with one of the values."""
    locations = files.row_counts(table, current_id(table))
    return any(files.holds(table, location, column, values) for location in locations)


def expire(table: Table, chosen: Iterable[OldSnapshot], *, tagged: bool = False) -> Expired:
    """Removes snapshots, and the files that no other snapshot names.

    Args:
        table: The table.
        chosen: Which ones.
        tagged: Whether those with a tag go as well, and their tags with them.

    Returns:
        What was removed.
    """
    chosen = list(chosen)
    going = [snapshot for snapshot in chosen if tagged or not snapshot.tags]
    protected = tuple(snapshot for snapshot in chosen if snapshot not in going)
    if not going:
        return Expired((), 0, protected)
    before = files.referenced(table)
    for tag in {tag for snapshot in going for tag in snapshot.tags}:
        table.manage_snapshots().remove_tag(tag).commit()
    table.maintenance.expire_snapshots().by_ids([one.snapshot_id for one in going]).commit()
    table.refresh()
    unnamed = before - files.referenced(table)
    for location in unnamed:
        files.delete_if_there(table, location)
    return Expired(tuple(going), len(unnamed), protected)


def delete_rows(
    table: Table, column: str, values: Collection[str], properties: Mapping[str, str]
) -> int:
    """Removes rows from the current snapshot without Spark; earlier snapshots keep them.

    Args:
        table: The table.
        column: A column of texts.
        values: Rows with one of these go.
        properties: Kept in the snapshot.

    Returns:
        Number of rows removed; 0 makes no snapshot.
    """
    from pyiceberg.expressions import In

    if not is_current(table, column, values):
        return 0
    before = sum(files.row_counts(table, current_id(table)).values())
    found: BooleanExpression = In(column, values)  # type: ignore[call-arg,arg-type]
    table.delete(found, snapshot_properties=dict(properties))
    return before - sum(files.row_counts(table, current_id(table)).values())
