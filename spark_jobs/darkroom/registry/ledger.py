"""The append-only record of every change of a champion, and of what may not answer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, Self

from darkroom.contract import ConflictError, Stage
from darkroom.contract import columns as c

if TYPE_CHECKING:
    import pyarrow as pa


class Tables(Protocol):
    """What the ledger needs of `darkroom.lake.Lake`."""

    def snapshot(self, namespace: str, table: str) -> int | None:
        """Id of the table's current snapshot."""

    def rows(self, namespace: str, table: str) -> list[dict[str, Any]]:
        """All rows of a small table; oldest commit first."""

    def put(
        self,
        namespace: str,
        table: str,
        rows: pa.Table,
        *,
        replace: bool,
        base: int | None,
        run_id: str,
        stage: Stage,
    ) -> int | None:
        """Adds rows in one commit, unless the table has changed since ``base``."""


class Action(StrEnum):
    """What a row of the ledger tells."""

    PROMOTE = "promote"
    """A challenger was approved."""
    ROLLBACK = "rollback"
    """A person went back to an earlier champion."""
    REVERT = "revert"
    """The alias had been moved by other means, and was put back."""
    REFUSE = "refuse"
    """The champion does not load or answer: the version before it goes on answering."""

    @property
    def stage(self) -> Stage:
        """The stage that does it."""
        return _STAGES[self]


_STAGES = {
    Action.PROMOTE: Stage.PROMOTE,
    Action.ROLLBACK: Stage.ROLLBACK,
    Action.REVERT: Stage.WATCH,
    Action.REFUSE: Stage.DEPLOY,
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row of the ledger; the fields are its columns.

    Attributes:
        pipeline: Whose champion changed.
        who: The person who approved it or asked for it; several are separated by commas.
        at: When, in UTC; later than that of all rows before.
        why: Their reason.
        from_version: The champion before, or None for the first.
        to_version: The champion after.
        model_digest: SHA-256 of the new champion's model file.
        decision_digest: SHA-256 of the gate decision that was approved.
        run_id: The run that changed it.
        action: What kind of change; of a refusal ``from_version`` goes on answering, and
            ``decision_digest`` is empty.
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
    action: Action = Action.PROMOTE

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Reads a row of the table; those of earlier versions are all promotions."""
        return cls(**{**row, c.ACTION: Action(row[c.ACTION] or Action.PROMOTE)})

    @property
    def key(self) -> str:
        """Names this row among all of its pipeline."""
        return f"{self.at.isoformat()} {self.run_id}"


class Ledger:
    """The ledger of one pipeline."""

    def __init__(self, tables: Tables, pipeline: str) -> None:
        """Args: tables: the lake; pipeline: whose champion the rows are about."""
        self._tables = tables
        self._pipeline = pipeline

    @property
    def snapshot(self) -> int | None:
        """Changes with every new row; None while there is none."""
        return self._tables.snapshot(self._pipeline, c.LEDGER)

    def entries(self) -> list[Entry]:
        """All changes of the champion, oldest first."""
        return [entry for entry in self.rows() if entry.action is not Action.REFUSE]

    def refusals(self) -> list[Entry]:
        """All versions that could not answer, oldest first."""
        return [entry for entry in self.rows() if entry.action is Action.REFUSE]

    def rows(self) -> list[Entry]:
        """Changes and refusals, oldest first."""
        rows = self._tables.rows(self._pipeline, c.LEDGER)
        return sorted(map(Entry.from_row, rows), key=lambda entry: entry.at)

    def append(self, entry: Entry, base: int | None) -> None:
        """Adds an entry, unless another process was faster.

        Args:
            entry: The entry.
            base: The `snapshot` that it was worked out from.

        Raises:
            ConflictError: The ledger has changed since; nothing is written.
        """
        import pyarrow as pa

        self._tables.put(
            self._pipeline,
            c.LEDGER,
            pa.Table.from_pylist([asdict(entry)]),
            replace=False,
            base=base,
            run_id=entry.run_id,
            stage=entry.action.stage,
        )

    def refuse(
        self,
        *,
        who: str,
        why: str,
        serving: str | None,
        version: str,
        model_digest: str,
        run_id: str,
    ) -> None:
        """Records that a version cannot answer; the same reason is recorded once.

        Args:
            who: What found out.
            why: The reason, one line.
            serving: The version that goes on answering, or None.
            version: The refused version.
            model_digest: SHA-256 of its model file.
            run_id: The run that deployed it.
        """
        entry = Entry(
            pipeline=self._pipeline,
            who=who,
            at=dt.datetime.now(dt.UTC),
            why=why,
            from_version=serving,
            to_version=version,
            model_digest=model_digest,
            decision_digest="",
            run_id=run_id,
            action=Action.REFUSE,
        )
        while True:
            base = self.snapshot
            known = {(one.to_version, one.model_digest, one.why) for one in self.refusals()}
            if (version, model_digest, why) in known:
                return
            try:
                return self.append(entry, base)
            except ConflictError:
                continue  # Another process has written; perhaps this very row.
