"""The images that a model has to answer alike wherever it is asked."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from darkroom.evaluation.serving import golden_places, largest_gap


def test_golden_images_are_of_every_class() -> None:
    assert golden_places(list("aaabbc"), most=4) == [0, 3, 5, 1]
    assert golden_places([]) == []


def test_a_gap_is_the_largest_difference_and_a_missing_answer_none() -> None:
    stored = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    assert largest_gap([[0.9, 0.1], [0.25, 0.75]], stored) == pytest.approx(0.05)
    wrong: list[tuple[list[Any], str]] = [
        ([[0.9, 0.1]], "1 answers to 2 images"),
        ([[0.9, 0.1], None], "an image was answered with none of 2 probabilities"),
        ([[0.9], [0.2, 0.8]], "an image was answered with 1 of 2 probabilities"),
        ([[0.9, math.nan], [0.2, 0.8]], "an answer is not a number"),
    ]
    for answers, text in wrong:
        with pytest.raises(ValueError, match=f"^{text}$"):
            largest_gap(answers, stored)
