"""How expectations put numbers into words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

NAMED_PAIRS: Final = 3
"""Up to so many pairs of files are; the page shows more of them."""


def count(number: int, one: str, several: str | None = None) -> str:
    """A number of things: ``1 image``, ``2,000 images``; ``several`` is an odd plural."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def at_most(number: int, what: str) -> str:
    """An upper limit; 0 is ``no image``."""
    return f"at most {count(number, what)}" if number else f"no {what}"


def between(least: int | None, most: int | None, what: str) -> str:
    """A range of which either end may be open."""
    if least is not None and most is not None:
        return f"{least:,} to {count(most, what)}"
    if most is not None:
        return f"at most {count(most, what)}"
    return f"at least {count(least or 0, what)}"


def span(numbers: Iterable[int]) -> str:
    """The smallest and the largest number; one where they are equal."""
    known = list(numbers)
    low, high = min(known), max(known)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def percent(share: float) -> str:
    """A share, 0..1."""
    return f"{100 * share:.4g} %"
