"""What came of trying the candidate as its users will: loaded elsewhere, and asked in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from darkroom.evaluation.resampling import Estimate

GOLDEN_IMAGES: Final = 16
"""How many test images the candidate is asked about once more."""

LATENCY_QUERIES: Final = 20
"""Timed SQL queries of one image each: as few as have one that is slower than 95 %."""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """The candidate in a process of its own.

    Attributes:
        gap: Largest difference (0-1) of a probability from the stored one; None if it failed.
        seconds: To load the model and answer.
        memory_mb: The most memory that the process held, megabytes.
        error: Why it failed, one line.
    """

    gap: float | None = None
    seconds: float | None = None
    memory_mb: float | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The candidate as a SQL function.

    Attributes:
        gap: Largest difference (0-1) of a probability from the stored one; None if it failed.
        p50_ms: Milliseconds that half of the queries of one image take at most, start to answer;
            None where none was timed.
        p95_ms: Milliseconds that 95 % of them take at most.
        error: Why it failed, one line.
    """

    gap: float | None = None
    p50_ms: Estimate | None = None
    p95_ms: Estimate | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Serving:
    """Both trials.

    Attributes:
        images: How many images were asked about.
        loaded: In a process of its own.
        asked: In SQL.
    """

    images: int
    loaded: Loaded
    asked: Asked


def largest_gap(answers: Sequence[Any], stored: NDArray[np.float32]) -> float:
    """Largest difference between two models' probabilities.

    Args:
        answers: One list of probabilities per image, or None for one without an answer.
        stored: (images, labels).

    Returns:
        The difference, 0-1.

    Raises:
        ValueError: An image has no answer, or one for other labels.
    """
    if len(answers) != len(stored):
        raise ValueError(f"{len(answers)} answers to {len(stored)} images")
    for answer, row in zip(answers, stored, strict=True):
        if answer is None or len(answer) != len(row):
            found = "none" if answer is None else str(len(answer))
            raise ValueError(f"an image was answered with {found} of {len(row)} probabilities")
    table = np.asarray(answers, np.float64).reshape(stored.shape)
    gap = float(np.abs(table - stored).max(initial=0.0))
    if np.isnan(gap):
        raise ValueError("an answer is not a number")
    return gap


def golden_places(truths: Sequence[str], most: int = GOLDEN_IMAGES) -> list[int]:
    """Which images to ask about: the first of each class, then the second of each, and so on."""
    seen: dict[str, int] = {}
    ranked = []
    for place, truth in enumerate(truths):
        seen[truth] = seen.get(truth, 0) + 1
        ranked.append((seen[truth], truth, place))
    return [place for _, _, place in sorted(ranked)[:most]]
