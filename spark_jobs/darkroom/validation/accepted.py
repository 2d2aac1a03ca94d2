"""What the snapshots were like that passed validation: the next one is compared with the last."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from darkroom.contract.workspace import write_atomically
from darkroom.validation.facts import DRIFTING, Fact, Facts

_AT: Final = "accepted_at"
_SNAPSHOT: Final = "images_snapshot"
_COUNTS: Final = "counts"


@dataclass(frozen=True)
class Reference:
    """The snapshot to compare with.

    Attributes:
        snapshot: Its id.
        counts: Its numbers per value, of the facts that are compared.
    """

    snapshot: int
    counts: Mapping[Fact, Mapping[str, int]]


@dataclass(frozen=True)
class Accepted:
    """The accepted snapshots of one pipeline: a small file each, which outlives the snapshot.

    Attributes:
        folder: Where the files are; made when the first is written.
    """

    folder: Path

    def reference(self, snapshot: int) -> Reference | None:
        """What to compare a snapshot with: the last one that was accepted before it.

        A snapshot that has been accepted itself keeps its reference, so that validating it again
        gives the same result.
        """
        found = sorted(map(_read, self.folder.glob("*.json")), key=lambda pair: pair[0])
        earlier: Reference | None = None
        for _, one in found:
            if one.snapshot == snapshot:
                break
            earlier = one
        return earlier

    def add(self, snapshot: int, facts: Facts) -> None:
        """Keeps what a snapshot is like; one that is known keeps its place in the order."""
        file = self.folder / f"{snapshot}.json"
        if file.exists():
            return
        counts = {str(fact): facts.of(fact) for fact in DRIFTING}
        now = dt.datetime.now(dt.UTC).isoformat()
        values = {_SNAPSHOT: snapshot, _AT: now, _COUNTS: counts}
        write_atomically(file, json.dumps(values, indent=2) + "\n")


def compared(facts: Facts, reference: Reference | None) -> Facts:
    """The facts with those of the reference beside them, where there is one."""
    if reference is None:
        return facts
    return facts.but({DRIFTING[fact]: counts for fact, counts in reference.counts.items()})


def _read(file: Path) -> tuple[str, Reference]:
    values = json.loads(file.read_text())
    counts = {Fact(fact): numbers for fact, numbers in values[_COUNTS].items()}
    return values[_AT], Reference(values[_SNAPSHOT], counts)
