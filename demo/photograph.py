"""Takes one photograph: a weathered sign on its post, in a scene, through a camera."""

from __future__ import annotations

import math
import zlib

import numpy as np
from PIL import Image, ImageDraw

from demo import camera
from demo.camera import View
from demo.scenery import scene
from demo.signs import FACE_SIDES, STYLES, sign_face
from demo.texture import Size
from demo.wear import occlude, weather

LONG_SIDES = (60, 800)
"""Smallest and largest long side of a photograph in pixels."""

_ASPECTS = (1.0, 1.0, 1.0, 5 / 4, 4 / 3, 4 / 3, 3 / 2, 4 / 5, 3 / 4)
_SMALL_BIAS = 1.9
"""Above 1, more photographs are small than a logarithmic distribution of sizes has."""


def photograph_random(seed: int, label: str, index: int) -> np.random.Generator:
    """The generator that everything in one photograph is drawn from.

    The label enters by its CRC, so that a class's photographs stay when other classes change.
    """
    return np.random.default_rng([seed, zlib.crc32(label.encode()), index])


def photograph(label: str, random: np.random.Generator, difficulty: float) -> Image.Image:
    """Takes a photograph of a sign.

    Args:
        label: One of `demo.signs.SIGN_CLASSES`.
        random: Source of everything random in it.
        difficulty: 0 for a plain frontal picture, 1 for the usual range of perturbations.

    Returns:
        RGB picture whose long side is within `LONG_SIDES`.
    """
    size = _choose_size(random)
    view = camera.choose_view(random, size, difficulty)
    frame = scene(random, size, blur=view.diameter * random.uniform(0.004, 0.05))
    _plant_post(frame, random, view)
    face = weather(_face_for(label, random, view), random, difficulty)
    sign, corner = camera.project(face, view)
    frame.paste(sign, corner, sign)
    occlude(frame, random, view.centre, view.diameter, difficulty)
    return _expose(frame, random, view, difficulty)


def _choose_size(random: np.random.Generator) -> Size:
    smallest, largest = LONG_SIDES
    share = random.random() ** _SMALL_BIAS
    long_side = round(smallest * (largest / smallest) ** share)
    aspect = _ASPECTS[random.integers(len(_ASPECTS))]
    if aspect >= 1:
        return long_side, round(long_side / aspect)
    return round(long_side * aspect), long_side


def _face_for(label: str, random: np.random.Generator, view: View) -> Image.Image:
    style = int(random.integers(len(STYLES)))
    large_enough = [side for side in FACE_SIDES if side >= view.diameter]
    return sign_face(label, style, min(large_enough, default=FACE_SIDES[0]))


def _plant_post(frame: Image.Image, random: np.random.Generator, view: View) -> None:
    """Draws the post from behind the sign to below the frame, lighter in its middle."""
    draw = ImageDraw.Draw(frame)
    half = view.diameter * random.uniform(0.025, 0.05)
    grey = random.uniform(90, 175)
    x, y = view.centre
    foot = x - math.tan(view.roll) * (frame.height - y)
    for share, shade in ((1.0, 0.72), (0.7, 0.88), (0.35, 1.0)):
        level = round(grey * shade)
        draw.line(
            (x, y, foot, frame.height),
            fill=(level, level, min(255, level + 4)),
            width=max(1, round(2 * half * share)),
        )


def _expose(
    frame: Image.Image, random: np.random.Generator, view: View, difficulty: float
) -> Image.Image:
    blur = view.diameter * random.beta(1.0, 3.5) * 0.040 * difficulty
    frame = camera.defocus(frame, blur)
    if random.random() < 0.2 * difficulty:
        length = view.diameter * random.uniform(0.02, 0.11) * difficulty
        frame = camera.shake(frame, length, random.normal(0, 0.5))
    if random.random() < 0.2 * difficulty:
        finest = view.diameter / 26
        frame = camera.coarsen(frame, min(finest, 1 + random.random() * 5 * difficulty))
    return camera.expose(frame, random, view, difficulty)
