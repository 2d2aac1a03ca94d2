"""Wording that the reasons of several checks share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from darkroom.contract.names import named

NAMED: Final = 5
"""At most so many names in a reason; the report has them all."""


def some_of(names: Sequence[str]) -> str:
    """The first names of a list, and how many more there are."""
    return named(names, most=NAMED)
