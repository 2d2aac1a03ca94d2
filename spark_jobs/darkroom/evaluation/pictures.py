"""Which test images the report shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from darkroom.evaluation.predictions import Predictions

MOST_CONFIDENT: Final = 8
DISAGREEMENTS: Final = 6
"""Of each kind: those that only the champion gets right, those that only the candidate does."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A test image, and what it was taken for.

    Attributes:
        path: Where it came from, relative to its source.
        truth: Its class.
        predicted: The candidate's likeliest label.
        probability: The candidate's probability of it, 0-1.
        champion: The champion's likeliest label, if there is a champion.
        image: The encoded picture.
    """

    path: str
    truth: str
    predicted: str
    probability: float
    champion: str | None
    image: bytes


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Places of the test images that the report shows.

    Attributes:
        mistakes: The candidate's most confident mistakes.
        lost: Those that only the champion gets right.
        gained: Those that only the candidate gets right.
    """

    mistakes: tuple[int, ...]
    lost: tuple[int, ...] = ()
    gained: tuple[int, ...] = ()

    @property
    def places(self) -> tuple[int, ...]:
        """All of them, each once."""
        return tuple(dict.fromkeys((*self.mistakes, *self.lost, *self.gained)))


def choose(candidate: Predictions, champion: Predictions | None) -> Chosen:
    """The images that say most: those the candidate is surest about; ties by image id."""
    wrong = np.flatnonzero(~candidate.right)
    mistakes = _surest(candidate, wrong, MOST_CONFIDENT)
    if champion is None:
        return Chosen(mistakes=mistakes)
    lost = np.flatnonzero(champion.right & ~candidate.right)
    gained = np.flatnonzero(candidate.right & ~champion.right)
    return Chosen(
        mistakes=mistakes,
        lost=_surest(candidate, lost, DISAGREEMENTS),
        gained=_surest(candidate, gained, DISAGREEMENTS),
    )


def _surest(said: Predictions, places: Iterable[int], most: int) -> tuple[int, ...]:
    ids: Sequence[str] = said.images.image_ids
    order = sorted(places, key=lambda place: (-said.confidence[place], ids[place]))
    return tuple(int(place) for place in order[:most])
