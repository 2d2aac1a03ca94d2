"""Numbers of files by what is known of them, and by what became of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple


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
