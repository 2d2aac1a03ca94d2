"""The one place where a champion changes.

A change is a row of the ledger, then the aliases, then a mark in the registry that names the row.
The row decides: it is added only if the ledger is still what the change was worked out from, so
that of two changes at once one is made, and the other is worked out anew. Whoever comes next
finishes what a killed process has begun: the mark tells such a change from an alias that somebody
moved by other means.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace

from darkroom.contract import ConflictError, GateFailedError
from darkroom.contract.stages import CHALLENGER, CHAMPION, PREVIOUS
from darkroom.registry.ledger import Action, Entry, Ledger
from darkroom.registry.versions import Registry


@dataclass(frozen=True)
class Position:
    """Where a pipeline's champion stands.

    Attributes:
        model: The registered model.
        alias: The version that the alias `champion` points to, or None.
        entries: The ledger, oldest first.
    """

    model: str
    alias: str | None
    entries: tuple[Entry, ...]

    @property
    def recorded(self) -> str | None:
        """The champion as the ledger has it; as the alias says while there is no entry."""
        return self.entries[-1].to_version if self.entries else self.alias

    @property
    def moved(self) -> bool:
        """Whether the alias was moved past the ledger."""
        return self.alias != self.recorded

    def check(self) -> None:
        """Refuses a champion that nobody has approved.

        Raises:
            GateFailedError: The alias was moved past the ledger.
        """
        if self.moved:
            newest = self.entries[-1]
            raise GateFailedError(
                f"the champion of {self.model} is {_shown(self.alias)}, but by the ledger it is "
                f"version {newest.to_version} since {newest.at:%Y-%m-%d %H:%M} UTC: somebody moved "
                f"the alias; put it back with: make rollback PIPELINE={self.model} "
                f"VERSION={newest.to_version} REASON=..."
            )

    @property
    def earlier(self) -> str | None:
        """The champion before this one; past rollbacks are not counted as steps forward."""
        champions: list[str] = []
        for entry in self.entries:
            if not champions and entry.from_version is not None:
                champions.append(entry.from_version)
            if entry.action is not Action.PROMOTE and entry.to_version in champions:
                while champions[-1] != entry.to_version:
                    champions.pop()
            else:
                champions.append(entry.to_version)
        return champions[-2] if len(champions) > 1 else None


def change(
    registry: Registry,
    ledger: Ledger,
    *,
    is_own: Callable[[Entry], bool],
    propose: Callable[[Position], Entry | None],
) -> Entry | None:
    """Changes the champion, on the record; safe to repeat, and beside others.

    Args:
        registry: Holds the aliases.
        ledger: Gets the row.
        is_own: Whether an entry is what an earlier try of this change has written.
        propose: Works out the row, or refuses; None where nothing is to be changed. It is asked
            again if another change came first.

    Returns:
        The row, this try's or an earlier one's.

    Raises:
        GateFailedError: An earlier try has made the change, and another one followed.
    """
    while True:
        base = ledger.snapshot
        position = settle(registry, ledger)
        own = [entry for entry in position.entries if is_own(entry)]
        if own:
            _check_newest(own[-1], position)
            return own[-1]
        entry = propose(position)
        if entry is None:
            return None
        entry = _after(entry, position)
        try:
            ledger.append(entry, base)
        except ConflictError:
            continue  # The row of another change is there now.
        settle(registry, ledger)
        return entry


def settle(registry: Registry, ledger: Ledger) -> Position:
    """Finishes a change whose row is written; an alias moved by other means is left alone.

    Returns:
        Where the champion stands.
    """
    while True:
        entries = tuple(ledger.entries())
        # Looked at again after the aliases: another change may have been recorded meanwhile.
        if not entries or registry.followed_entry() == entries[-1].key:
            champion = registry.at(CHAMPION)
            return Position(registry.name, champion.version if champion else None, entries)
        _move_aliases(registry, entries)
        registry.follow_entry(entries[-1].key)


def _move_aliases(registry: Registry, entries: tuple[Entry, ...]) -> None:
    newest = entries[-1]
    before = entries[-2].to_version if len(entries) > 1 else newest.from_version
    # What somebody had moved the alias to was no champion.
    if newest.from_version is not None and newest.from_version == before:
        registry.point(PREVIOUS, newest.from_version)
    registry.point(CHAMPION, newest.to_version)
    registry.clear(CHALLENGER, newest.to_version)


def _after(entry: Entry, position: Position) -> Entry:
    """The rows' times are their order, whatever the clocks of several machines say."""
    if not position.entries:
        return entry
    earliest = position.entries[-1].at + dt.timedelta(microseconds=1)
    return replace(entry, at=max(entry.at, earliest))


def _check_newest(own: Entry, position: Position) -> None:
    newest = position.entries[-1]
    if newest is not own:
        raise GateFailedError(
            f"run {own.run_id} made version {own.to_version} champion, but was overtaken: version "
            f"{newest.to_version} followed at {newest.at:%Y-%m-%d %H:%M} UTC; start a new run"
        )


def _shown(version: str | None) -> str:
    return f"version {version}" if version else "none"
