"""What a model says of the held-out images, as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SMALLEST_PROBABILITY: Final = 1e-7
"""Float32's resolution below 1; a probability of 0 would make the log loss infinite."""


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """The test images.

    Attributes:
        image_ids: SHA-256 of each image's bytes; each once.
        paths: Where they came from, relative to their source.
        truths: Their classes.
        groups: What near-duplicates have in common; () where nothing is known of any.
        facets: Per dimension of slices (``source``, ``brightness``, ...) each image's slice.
    """

    image_ids: tuple[str, ...]
    paths: tuple[str, ...]
    truths: tuple[str, ...]
    groups: tuple[str, ...] = ()
    facets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.image_ids)

    def __post_init__(self) -> None:
        columns = [self.paths, self.truths, *self.facets.values()]
        columns += [self.groups] if self.groups else []
        if any(len(column) != len(self) for column in columns):
            raise ValueError("every image needs a path, a class, and a value of each facet")

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Classes that have test images, sorted."""
        return tuple(sorted(set(self.truths)))

    @cached_property
    def truth_indices(self) -> NDArray[np.int64]:
        """Place of each image's class among `classes`."""
        return _places(self.truths, self.classes)


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """A model's answers.

    Attributes:
        images: What it was asked about.
        labels: The model's classes, in the order of its outputs.
        probabilities: float32 (images, labels), 0-1.
    """

    images: HeldOut
    labels: tuple[str, ...]
    probabilities: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.probabilities.shape != (len(self.images), len(self.labels)):
            raise ValueError(
                f"{len(self.images)} images and {len(self.labels)} labels need as many "
                f"probabilities, not {self.probabilities.shape}"
            )

    @cached_property
    def best(self) -> NDArray[np.int64]:
        """Place of the likeliest label; of equals the first."""
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)

    @cached_property
    def predicted(self) -> tuple[str, ...]:
        """The likeliest label of each image."""
        return tuple(self.labels[place] for place in self.best)

    @cached_property
    def predicted_indices(self) -> NDArray[np.int64]:
        """Place of the likeliest label among the images' classes; -1 for one that has no image."""
        return _places(self.labels, self.images.classes)[self.best]

    @cached_property
    def confidence(self) -> NDArray[np.float64]:
        """Probability of the likeliest label, 0-1."""
        return np.asarray(self.probabilities.max(axis=1), np.float64)

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Whether the likeliest label is the image's class."""
        return np.asarray(self.predicted_indices == self.images.truth_indices, np.bool_)

    @cached_property
    def class_scores(self) -> NDArray[np.float64]:
        """Probabilities (images, classes with test images); 0 for a class the model has not."""
        scores = np.zeros((len(self.images), len(self.images.classes)))
        for place, target in enumerate(_places(self.labels, self.images.classes)):
            if target >= 0:
                scores[:, target] = self.probabilities[:, place]
        return scores

    @cached_property
    def losses(self) -> NDArray[np.float64]:
        """Negative natural logarithm of the true class' probability, per image."""
        of_truth = self.class_scores[np.arange(len(self.images)), self.images.truth_indices]
        losses: NDArray[np.float64] = -np.log(np.clip(of_truth, SMALLEST_PROBABILITY, 1.0))
        return losses


def _places(values: tuple[str, ...], known: tuple[str, ...]) -> NDArray[np.int64]:
    places: dict[Any, int] = {name: place for place, name in enumerate(known)}
    return np.array([places.get(value, -1) for value in values], dtype=np.int64)
