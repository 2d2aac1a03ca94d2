"""What goes into a table's commit and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Commit:
    """What an append left behind.

    Attributes:
        snapshot_id: The new snapshot; after an append of nothing the current one, or None for a
            table that never had a row.
        rows: Number of rows appended.
    """

    snapshot_id: int | None
    rows: int


@dataclass(frozen=True)
class Change:
    """What a change of a table's rows left behind.

    Attributes:
        snapshot_id: The snapshot now; None for a table that never had a row.
        rows_before: Rows of the snapshot that the change was worked out from.
        rows_after: Rows of the snapshot now.
    """

    snapshot_id: int | None
    rows_before: int
    rows_after: int


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Which rows come and which go, in one change.

    Attributes:
        add: Frames with the table's columns.
        files: Locations of Parquet files below the table, already written and in no snapshot.
        dropped: Locations of files of the table that leave with all their rows.
        gone: Frame whose columns ``keys`` name rows that leave; null equals null.
        keys: Names of these columns.
        mend: Makes the rows that come instead out of those that leave.
        growth: How many more rows the table must have afterwards; None to leave that open.
    """

    add: Sequence[DataFrame] = ()
    files: Sequence[str] = ()
    dropped: Sequence[str] = ()
    gone: DataFrame | None = None
    keys: Sequence[str] = ()
    mend: Callable[[DataFrame], DataFrame] | None = None
    growth: int | None = None
