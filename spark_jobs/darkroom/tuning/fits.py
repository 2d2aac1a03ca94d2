"""What a search asks of whatever fits heads, and how it tells one fit from another."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from darkroom.contract import TuningConfig, class_and_text
from darkroom.tuning.head import Head, TunedNetwork
from darkroom.tuning.points import Point
from darkroom.tuning.results import FitResult, ResultStore, content_key
from darkroom.tuning.rows import TrainRows


class Fit(NamedTuple):
    """One head to fit.

    Attributes:
        point: Which, and how.
        fold: The fold to leave out.
        until: The epoch after which a network stops for now; 0: that of the point.
    """

    point: Point
    fold: int
    until: int = 0

    @property
    def epochs(self) -> int:
        """How many a network has, at most."""
        return self.until or self.point.epochs


Results = dict[Fit, FitResult]


@dataclass(frozen=True)
class Kept:
    """The stored results of one way to fit the heads of one search.

    Attributes:
        store: Where they are.
        rows: What is trained on.
        config: Folds, bound of iterations, seed.
        way: Who fits: the numbers differ in their last digits.
    """

    store: ResultStore
    rows: TrainRows
    config: TuningConfig
    way: str

    def key(self, point: Point, fold: int | None, until: int = 0) -> str:
        """Key of a fit; without a fold, of the one on all rows."""
        return content_key(
            rows=self.rows.identity,
            way=self.way,
            point=point._asdict(),
            fold=fold,
            until=until,
            max_iterations=self.config.max_iterations,
            seed=self.config.seed,
        )

    def results(self, fits: Collection[Fit]) -> Results:
        """What is known of some fits."""
        found = {fit: self.store.get(self.key(*fit)) for fit in fits}
        return {fit: result for fit, result in found.items() if result is not None}

    def note(self) -> str:
        """What else is to be said while fits are made; empty for nothing."""
        return ""

    def forget_failures(self, fits: Collection[Fit]) -> None:
        """Lets failed ones be tried again."""
        for fit in fits:
            self.store.forget_failure(self.key(*fit))


class Fits(Protocol):
    """A way to fit heads on the rows of one backbone."""

    @property
    def images(self) -> int:
        """Number of rows."""

    @property
    def kept(self) -> Kept:
        """What is stored of it."""

    def run(self, fits: Sequence[Fit]) -> Results:
        """Fits and stores; a fit that fails has a result that says why."""

    def refit(self, point: Point) -> Head | TunedNetwork:
        """Fits a head on all rows."""

    def vectors(self, image_ids: Sequence[str]) -> Mapping[str, NDArray[np.float32]]:
        """Vectors of those of the images that are trained on."""

    def close(self) -> None:
        """Lets go of what the workers hold; `vectors` still answers."""


def attempted(score: Callable[[], Mapping[str, float]]) -> FitResult:
    """Fits and scores; what is raised meanwhile is the result, for it fails this fit alone."""
    begun = time.perf_counter()
    try:
        result = FitResult(scores=score())
    except Exception as error:
        result = FitResult(error=class_and_text(error))
    return checked(replace(result, seconds=time.perf_counter() - begun))


def checked(result: FitResult) -> FitResult:
    """A result whose scores are numbers, or the failure that it is otherwise."""
    bad = [name for name, value in result.scores.items() if not np.isfinite(value)]
    if not bad:
        return result
    return replace(result, scores={}, error=f"{bad[0]} is {result.scores[bad[0]]}")
