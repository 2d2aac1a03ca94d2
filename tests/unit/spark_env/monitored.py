"""Images of a small world, as arrays: five kinds of things, photographed by day."""

from __future__ import annotations

from typing import Any

import numpy as np

from darkroom.monitoring.sampling import Sample, sample_of
from darkroom.monitoring.signals import Files, Limits

LIMITS = Limits(tolerated=0.02, false_alarms=0.01, min_images=50)
EVEN = (0.2, 0.2, 0.2, 0.2, 0.2)
FILES = (Files(400, 8), Files(2_000, 40))
KINDS = ("bird", "boat", "car", "cat", "tree")
_CENTRES = 3 * np.eye(len(KINDS), 16)


def world(
    seed: int,
    images: int = 400,
    *,
    mix: tuple[float, ...] = EVEN,
    brighter: float = 0.0,
    elsewhere: float = 0.0,
    mistakes: float = 0.05,
    labelled: bool = True,
) -> Sample:
    """Draws images.

    Args:
        seed: Another one gives other images of the same world.
        images: How many.
        mix: Share of each kind.
        brighter: Added to the brightness.
        elsewhere: How far all feature vectors are moved: another domain.
        mistakes: Share of wrong predictions.
        labelled: Whether the true labels are known.
    """
    random = np.random.default_rng(seed)
    kinds = random.choice(len(KINDS), images, p=mix)
    wrong = random.random(images) < mistakes
    said = np.where(wrong, (kinds + 1) % len(KINDS), kinds)
    vectors = _CENTRES[kinds] + random.normal(size=(images, 16)) + elsewhere
    brightness = np.clip(random.normal(110, 30, images) + brighter, 0, 255)
    rows: list[dict[str, Any]] = [
        {
            "image_id": f"{seed}-{n}",
            "label": KINDS[said[n]],
            "truth": KINDS[kinds[n]] if labelled else None,
            "probability": 1 - 0.5 * random.random() ** 3,
            "brightness": brightness[n],
            "contrast": 20 + 30 * random.random(),
            "sharpness": random.lognormal(6, 1),
            "width": int(random.choice([64, 96, 128])),
            "height": 64,
        }
        for n in range(images)
    ]
    return sample_of(rows, {row["image_id"]: vectors[n] for n, row in enumerate(rows)})
