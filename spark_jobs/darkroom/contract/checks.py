"""Checks that several groups of the configuration share; each names field, value and remedy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from darkroom.contract.errors import ConfigError
from darkroom.contract.names import near_matches


def at_least(name: str, value: float, least: float) -> None:
    """Refuses a number below ``least``, and what is no number.

    Raises:
        ConfigError: It is smaller, or NaN.
    """
    if not value >= least:
        raise ConfigError(name, value, f"must be at least {least}")


def share(name: str, value: float) -> None:
    """Refuses a number outside 0..1.

    Raises:
        ConfigError: It is outside.
    """
    if not 0 <= value <= 1:
        raise ConfigError(name, value, "must lie between 0 and 1")


def no_repeats(name: str, values: Sequence[Any]) -> None:
    """Refuses a list that names something twice.

    Raises:
        ConfigError: The first value that is repeated.
    """
    repeated = [value for value, count in Counter(values).items() if count > 1]
    if repeated:
        raise ConfigError(name, repeated[0], "is given twice: remove one")


def one_of(name: str, value: str, known: Sequence[str]) -> None:
    """Refuses a name that is not known.

    Raises:
        ConfigError: It is not among ``known``; the message lists what resembles it.
    """
    if value not in known:
        raise ConfigError(name, value, f"there is no such choice, {near_matches(value, known)}")
