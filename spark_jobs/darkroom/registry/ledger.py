"""The append-only record of every change of a champion."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from darkroom.contract import Stage
from darkroom.contract import columns as c


class Tables(Protocol):
    """What the ledger needs of `darkroom.lake.Lake`."""

    def rows(self, namespace: str, table: str) -> list[dict[str, Any]]:
        """All rows of a small table; oldest commit first."""

    def append_rows(
        self,
        rows: list[dict[str, Any]],
        namespace: str,
        table: str,
        *,
        run_id: str,
        stage: Stage,
    ) -> object:
        """Appends rows in one commit."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row of the ledger; the fields are its columns.

    Attributes:
        pipeline: Whose champion changed.
        who: The person who approved it.
        at: When, in UTC.
        why: Their reason.
        from_version: The champion before, or None for the first.
        to_version: The champion after.
        model_digest: SHA-256 of the new champion's model file.
        decision_digest: SHA-256 of the gate decision that was approved.
        run_id: The promotion's run.
    """

    pipeline: str
    who: str
    at: dt.datetime
    why: str
    from_version: str | None
    to_version: str
    model_digest: str
    decision_digest: str
    run_id: str

    @property
    def identity(self) -> tuple[str, ...]:
        """What a retry of the same promotion has in common with its first try."""
        return (self.run_id, self.to_version, self.model_digest, self.decision_digest)


class Ledger:
    """The ledger of one pipeline."""

    def __init__(self, tables: Tables, pipeline: str) -> None:
        """Args: tables: the lake; pipeline: whose champion the rows are about."""
        self._tables = tables
        self._pipeline = pipeline

    def entries(self) -> list[Entry]:
        """All entries, oldest first."""
        rows = self._tables.rows(self._pipeline, c.LEDGER)
        return sorted((Entry(**row) for row in rows), key=lambda entry: entry.at)

    def append(self, entry: Entry) -> None:
        """Adds an entry."""
        self._tables.append_rows(
            [asdict(entry)], self._pipeline, c.LEDGER, run_id=entry.run_id, stage=Stage.PROMOTE
        )
