"""What is known of some images, as arrays on the driver: bounded samples that Spark draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from darkroom.contract import columns as c

Floats = NDArray[np.float64]

TRUTH: Final = "truth"
"""Column: an image's true label where it is known."""

SIZE: Final = "size"
"""Name of the square root of an image's pixels."""

MOST_IMAGES: Final = 2_000
"""Images of a side that distributions are compared on."""

MOST_VECTORS: Final = 500
"""Images among them whose feature vectors are compared: all pairs of both sides are."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Some images of one side.

    Attributes:
        ids: Of the images.
        labels: Predicted label per image; None where the model could not be given it.
        confidence: Probability (0-1) of that label per image; NaN without one.
        measures: Per number of `darkroom.monitoring.signals.MEASURES` its value per image; NaN
            where the table has none.
        right: Whether the prediction is right, of the images whose true label is known; bool.
        vector_ids: Ids of the images that ``vectors`` are of.
        vectors: Feature vectors, (images, width).
    """

    ids: Sequence[str]
    labels: Sequence[str | None]
    confidence: Floats
    measures: Mapping[str, Floats]
    right: NDArray[np.bool_]
    vector_ids: Sequence[str]
    vectors: Floats

    def __len__(self) -> int:
        return len(self.ids)


def sample_of(rows: Sequence[Mapping[str, Any]], vectors: Mapping[str, Any]) -> Sample:
    """Gathers rows.

    Args:
        rows: With image_id, label, probability, truth, width, height, brightness, contrast and
            sharpness; null is None.
        vectors: Feature vector by image_id, of some of them.

    Returns:
        The sample, in the order of the rows.
    """
    measures = {name: _numbers(rows, name) for name in (c.BRIGHTNESS, c.CONTRAST, c.SHARPNESS)}
    measures[SIZE] = np.sqrt(_numbers(rows, c.WIDTH) * _numbers(rows, c.HEIGHT))
    ids = [row[c.IMAGE_ID] for row in rows if row[c.IMAGE_ID] in vectors]
    labelled = [row for row in rows if row[TRUTH] is not None]
    return Sample(
        ids=[row[c.IMAGE_ID] for row in rows],
        labels=[row[c.LABEL] for row in rows],
        confidence=_numbers(rows, c.PROBABILITY),
        measures=measures,
        right=np.array([row[c.LABEL] == row[TRUTH] for row in labelled], bool),
        vector_ids=ids,
        vectors=np.array([vectors[image_id] for image_id in ids], float),
    )


def _numbers(rows: Sequence[Mapping[str, Any]], name: str) -> Floats:
    return np.array([np.nan if row[name] is None else row[name] for row in rows], float)
