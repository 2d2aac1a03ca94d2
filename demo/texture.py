"""Procedural noise and colour mixing: the raw material of scenery, dirt and light."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Size = tuple[int, int]
"""(width, height) in pixels, as Pillow has it."""


def fractal(random: np.random.Generator, size: Size, cells: float, octaves: int = 4) -> Floats:
    """Smooth noise with detail on several scales.

    Args:
        random: Source of randomness.
        size: (width, height) in pixels.
        cells: Blobs of the coarsest octave along the longer side; each octave doubles it.
        octaves: Number of octaves; each has half the weight of the one before.

    Returns:
        Array of shape (height, width), range 0-1, mean about 0.5.
    """
    width, height = size
    noise = np.zeros((height, width), dtype=np.float32)
    per_pixel = cells / max(size)
    for octave in range(octaves):
        scale = per_pixel * 2**octave
        shape = (max(2, round(height * scale)), max(2, round(width * scale)))
        grid = random.random(shape, dtype=np.float32)
        noise += 0.5**octave * enlarge(grid, size)
    noise /= np.float32(2 - 2 * 0.5**octaves)
    return np.clip(noise, 0, 1, out=noise)


def enlarge(grid: Floats, size: Size) -> Floats:
    """Interpolates an array of shape (rows, columns) to shape (height, width)."""
    return np.asarray(Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC))


def ramp(values: Floats, start: float, end: float) -> Floats:
    """Maps start..end to 0..1 with soft ends and clips beyond; start may be the larger."""
    share: Floats = np.clip((values - np.float32(start)) / np.float32(end - start), 0, 1)
    curve: Floats = share * share * (3 - 2 * share)
    return curve


def palette(values: Floats, colours: Sequence[Sequence[float]]) -> Floats:
    """Colours an array of shape (h, w), range 0-1, by evenly spaced RGB stops: (h, w, 3), 0-255."""
    stops = np.linspace(0, 1, len(colours))
    steps = np.linspace(0, 1, 256)
    table = np.stack(
        [np.interp(steps, stops, channel) for channel in zip(*colours, strict=True)], 1
    )
    return table.astype(np.float32)[np.clip(values * 255, 0, 255).astype(np.uint8)]


def mix(below: Floats, above: Floats | Sequence[float], share: Floats) -> Floats:
    """Blends (h, w, 3) colours, or one RGB colour, over (h, w, 3) by a share of shape (h, w)."""
    weight = share[..., np.newaxis]
    return below + (np.asarray(above, dtype=np.float32) - below) * weight


def grid_of(size: Size) -> tuple[Floats, Floats]:
    """Coordinates of a frame: x of shape (1, width) and y of shape (height, 1), both 0-1."""
    width, height = size
    across = np.linspace(0, 1, width, dtype=np.float32)[np.newaxis, :]
    down = np.linspace(0, 1, height, dtype=np.float32)[:, np.newaxis]
    return across, down


def picture(colours: Floats) -> Image.Image:
    """Turns (h, w, 3) colours, 0-255, into an RGB picture."""
    return Image.fromarray(np.clip(colours, 0, 255).astype(np.uint8))
