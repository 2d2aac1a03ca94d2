"""Numbers of files by what is known of them, and by what became of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from darkroom.contract import columns as c
from darkroom.ingestion.duplicates import ACCEPTED, REJECTED
from darkroom.ingestion.reading import FILES, STAGED


class State(NamedTuple):
    """What the comparison says of a number of files; `stale` as `incremental.STALE_REFUSAL`."""

    table: str | None
    state: str
    reason: str | None
    stale: bool = False


@dataclass(frozen=True)
class Amount:
    """Files, and their bytes together."""

    files: int
    size: int


class Outcome(NamedTuple):
    """What became of a number of opened files."""

    outcome: str
    reason: str | None
    table: str | None
    staged: str | None


def total(outcomes: Counter[Outcome], *wanted: str) -> int:
    """Number of opened files that came to one of these outcomes."""
    return sum(n for one, n in outcomes.items() if one.outcome in wanted)


def outcomes_alone(tally: Iterable[Mapping[str, Any]]) -> Counter[Outcome]:
    """What `darkroom.ingestion.duplicates.decide_alone` comes to.

    Args:
        tally: See `darkroom.ingestion.reading.Audited.tally`.
    """
    outcomes: Counter[Outcome] = Counter()
    for row in tally:
        outcome = ACCEPTED if row[c.REASON] is None else REJECTED
        outcomes[Outcome(outcome, row[c.REASON], None, row[STAGED])] = row[FILES]
    return outcomes
