"""Seeded pictures that compress and decode like photographs: texture on every scale."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from demo.texture import fractal, palette

SIZE = (500, 375)
"""(width, height) in pixels: what ImageNet's pictures have on average."""

QUALITY = 90
NOISE = 4.0
"""Standard deviation of the sensor's noise, of 255."""


def photograph(number: int) -> bytes:
    """One JPEG picture of about 45 kB; the same for the same number."""
    random = np.random.default_rng(number)
    stops = random.uniform(0, 255, (5, 3)).tolist()
    colours = palette(fractal(random, SIZE, 4, octaves=6), stops)
    light = np.stack([fractal(random, SIZE, 6 + number % 9, octaves=7) for _ in range(3)], axis=2)
    noise = random.normal(0, NOISE, (*SIZE[::-1], 1))
    pixels = np.clip(colours * (0.6 + 0.8 * light) + noise, 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()
