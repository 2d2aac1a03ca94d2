"""Predictions of two models whose true difference is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from darkroom.evaluation.predictions import HeldOut, Predictions

CONFIDENT = 0.9


def held_out(
    truths: Sequence[str],
    facets: Mapping[str, tuple[str, ...]] | None = None,
    groups: tuple[str, ...] = (),
) -> HeldOut:
    """Test images of these classes, numbered."""
    return HeldOut(
        image_ids=tuple(f"id{n}" for n in range(len(truths))),
        paths=tuple(f"{truth}/{n}.png" for n, truth in enumerate(truths)),
        truths=tuple(truths),
        groups=groups,
        facets=facets or {},
    )


def says(
    images: HeldOut,
    predicted: Sequence[str],
    probabilities: Sequence[float] | float = CONFIDENT,
    labels: Sequence[str] = (),
) -> Predictions:
    """A model that gives these labels; the other labels share what probability is left."""
    known = tuple(labels) or tuple(sorted({*images.truths, *predicted}))
    given = np.broadcast_to(np.asarray(probabilities, np.float32), (len(predicted),))
    table = np.empty((len(predicted), len(known)), np.float32)
    table[:] = ((1 - given) / max(len(known) - 1, 1))[:, None]
    table[np.arange(len(predicted)), [known.index(one) for one in predicted]] = given
    return Predictions(images=images, labels=known, probabilities=table)


def spelled(pairs: str) -> Predictions:
    """``ab`` is an image of class a that was taken for b."""
    words = pairs.split()
    return says(held_out([word[0] for word in words]), [word[1] for word in words])


class Pairs:
    """Draws pairs of models on ``images`` images of each of several classes.

    A pair differs on a share ``differing`` of each class' images, and its candidate recognises
    ``gains[k]`` (a share) more images of class k than its champion, on the average.
    """

    def __init__(self, gains: Sequence[float], images: int, differing: float, seed: int) -> None:
        self._gains = np.repeat(gains, images)
        self._differing = np.maximum(differing, np.abs(self._gains))
        labels = [f"class {k:02}" for k in range(len(gains))]
        self.images = held_out(list(np.repeat(labels, images)))
        self._random = np.random.default_rng(seed)

    def draw(self) -> tuple[Predictions, Predictions]:
        """A candidate and a champion that is right on nine of ten images where both agree."""
        chance = self._random.random(len(self.images))
        gained = chance < (self._differing + self._gains) / 2
        lost = ~gained & (chance < self._differing)
        both = ~gained & ~lost & (self._random.random(len(self.images)) < 0.9)
        return self._says(both | gained), self._says(both | lost)

    def _says(self, right: NDArray[np.bool_]) -> Predictions:
        classes = len(self.images.classes)
        best = (self.images.truth_indices + ~right) % classes
        table = np.full((len(right), classes), (1 - CONFIDENT) / (classes - 1), np.float32)
        table[np.arange(len(right)), best] = CONFIDENT
        return Predictions(images=self.images, labels=self.images.classes, probabilities=table)
