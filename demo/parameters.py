"""What a demonstration set is made of, and the error every part of the package raises."""

from __future__ import annotations

import math
from dataclasses import dataclass

from demo.signs import SIGN_CLASSES

MAX_DIFFICULTY = 3.0


class DemoError(ValueError):
    """The set cannot be made; the message is one line for the person who asked for it."""


@dataclass(frozen=True)
class DemoParameters:
    """Everything that decides the bytes of a set; equal parameters, equal bytes.

    Attributes:
        images: Photographs without the planted defects; at least one per class.
        seed: Any integer from 0.
        difficulty: Scales every perturbation, 0 to 3: 0 is plain and frontal, 1 hard.
        defects: Whether the files of `demo.defects.PLANTED` are added.

    Raises:
        DemoError: A value is out of its range.
    """

    images: int = 1200
    seed: int = 7
    difficulty: float = 0.25
    defects: bool = True

    def __post_init__(self) -> None:
        """Refuses values out of range."""
        if self.images < len(SIGN_CLASSES):
            raise DemoError(
                f"images is {self.images}: give at least {len(SIGN_CLASSES)}, one per sign class"
            )
        if self.seed < 0:
            raise DemoError(f"seed is {self.seed}: give 0 or more")
        if not (math.isfinite(self.difficulty) and 0 <= self.difficulty <= MAX_DIFFICULTY):
            raise DemoError(
                f"difficulty is {self.difficulty}: give a number from 0 to {MAX_DIFFICULTY:g}"
            )
