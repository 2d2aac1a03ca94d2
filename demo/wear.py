"""Weathers a sign's face and puts things in front of the sign."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from demo.texture import Floats, Size, fractal, grid_of, mix, picture, ramp

_OCCLUDER_SIDE = 256
"""Longest side that things in front are drawn at: they are out of focus."""

_STICKERS = ((238, 236, 230), (30, 30, 34), (226, 190, 30), (60, 130, 70), (200, 70, 130))
_LEAVES = ((44, 74, 30), (78, 108, 44), (112, 132, 60), (132, 96, 40), (34, 52, 28))


def weather(face: Image.Image, random: np.random.Generator, difficulty: float) -> Image.Image:
    """Fades, dirties, scratches and stickers a face.

    Args:
        face: RGBA picture of a plate; left as it is.
        random: Source of randomness.
        difficulty: 0 for a new plate, 1 for the usual range of wear.

    Returns:
        A new RGBA picture of the same size with the same outline.
    """
    alpha = face.getchannel("A")
    colours = np.asarray(face.convert("RGB"), dtype=np.float32)
    colours = _faded(colours, random.beta(1.2, 3) * 0.7 * min(difficulty, 1.4))
    colours = colours * _sheen(random, face.size, difficulty)
    if random.random() < 0.35 * difficulty:
        colours = _dirty(colours, random, difficulty)
    worn = picture(colours)
    if random.random() < 0.12 * difficulty:
        _stick(worn, random)
    if random.random() < 0.08 * difficulty:
        _scratch(worn, random)
    worn.putalpha(alpha)
    return worn


def occlude(
    frame: Image.Image,
    random: np.random.Generator,
    centre: tuple[float, float],
    diameter: float,
    difficulty: float,
) -> None:
    """Puts leaves or a pole in front of part of the sign, in place.

    Args:
        frame: RGB picture that holds the sign.
        random: Source of randomness.
        centre: Centre of the sign in pixels.
        diameter: Diameter of the sign in pixels.
        difficulty: 0 for a free view, 1 for the usual share of hidden signs.
    """
    chance = random.random()
    shrink = min(1.0, _OCCLUDER_SIDE / max(frame.size))
    layer = Image.new("RGBA", (round(frame.width * shrink), round(frame.height * shrink)))
    place = ((centre[0] * shrink, centre[1] * shrink), diameter * shrink)
    if chance < 0.18 * difficulty:
        _hang_leaves(layer, random, *place, difficulty)
    elif chance < 0.26 * difficulty:
        _cross_pole(layer, random, *place)
    else:
        return
    blur = ImageFilter.GaussianBlur(place[1] * random.uniform(0.003, 0.02))
    soft = layer.filter(blur).resize(frame.size, Image.Resampling.BICUBIC)
    frame.paste(soft, (0, 0), soft)


def _faded(colours: Floats, amount: float) -> Floats:
    grey = colours.mean(axis=2, keepdims=True)
    bleached = 0.55 * grey + 0.45 * np.float32(205)
    faded: Floats = colours + (bleached - colours) * np.float32(amount)
    return faded


def _sheen(random: np.random.Generator, size: Size, difficulty: float) -> Floats:
    across, down = grid_of(size)
    angle = random.uniform(0, 2 * math.pi)
    slope = (across - 0.5) * math.cos(angle) + (down - 0.5) * math.sin(angle)
    sheen: Floats = 1 + slope * np.float32(random.uniform(0.05, 0.4) * difficulty)
    return sheen[..., np.newaxis]


def _dirty(colours: Floats, random: np.random.Generator, difficulty: float) -> Floats:
    size = (colours.shape[1], colours.shape[0])
    _, down = grid_of(size)
    spots = fractal(random, size, random.uniform(3, 9)) + random.uniform(-0.1, 0.15) * (
        2 * down - 1
    )
    limit = random.uniform(0.56, 0.68)
    colour = np.array([92, 82, 66]) + random.normal(0, 12, 3)
    share = ramp(spots.astype(np.float32), limit, limit + 0.2)
    return mix(colours, colour.astype(np.float32), share * min(0.9, 0.75 * difficulty))


def _stick(face: Image.Image, random: np.random.Generator) -> None:
    draw = ImageDraw.Draw(face)
    for _ in range(random.integers(1, 4)):
        x, y = random.uniform(0.15, 0.85, 2) * face.width
        half = random.uniform(0.03, 0.08) * face.width
        wide, turn = half * random.uniform(0.7, 1.6), random.uniform(0, math.pi)
        fill = _STICKERS[random.integers(len(_STICKERS))]
        if random.random() < 0.4:
            draw.ellipse((x - half, y - half, x + half, y + half), fill=fill)
            continue
        draw.polygon(
            [
                (
                    x + across * wide * math.cos(turn) - down * half * math.sin(turn),
                    y + across * wide * math.sin(turn) + down * half * math.cos(turn),
                )
                for across, down in ((-1, -1), (1, -1), (1, 1), (-1, 1))
            ],
            fill=fill,
        )


def _scratch(face: Image.Image, random: np.random.Generator) -> None:
    draw = ImageDraw.Draw(face)
    fill = _STICKERS[random.integers(2)]
    width = max(1, round(face.width * random.uniform(0.006, 0.018)))
    points = random.uniform(0.15, 0.85, (random.integers(3, 7), 2)) * face.width
    draw.line([(float(x), float(y)) for x, y in points], fill=fill, width=width, joint="curve")


def _hang_leaves(
    layer: Image.Image,
    random: np.random.Generator,
    centre: tuple[float, float],
    diameter: float,
    difficulty: float,
) -> None:
    """Draws a twig that reaches over the sign's edge from above or from a side."""
    draw = ImageDraw.Draw(layer)
    side = random.uniform(-math.pi, 0.3)
    reach = diameter * random.uniform(0.34, 0.5) / max(0.6, min(difficulty, 1.6))
    tip = (centre[0] + reach * math.cos(side), centre[1] + reach * math.sin(side))
    root = (
        centre[0] + diameter * 1.5 * math.cos(side),
        centre[1] + diameter * 1.5 * math.sin(side),
    )
    draw.line((*root, *tip), fill=(58, 44, 30, 255), width=max(1, round(diameter * 0.015)))
    for share in random.uniform(0.0, 0.7, 26):
        x = tip[0] + (root[0] - tip[0]) * share + random.normal(0, 0.06) * diameter
        y = tip[1] + (root[1] - tip[1]) * share + random.normal(0, 0.06) * diameter
        _leaf(draw, random, (x, y), diameter * random.uniform(0.06, 0.12))


def _leaf(
    draw: ImageDraw.ImageDraw,
    random: np.random.Generator,
    at: tuple[float, float],
    length: float,
) -> None:
    turn = random.uniform(0, 2 * math.pi)
    outline = []
    for step in range(12):
        angle = 2 * math.pi * step / 12
        along, beside = math.cos(angle) * length, math.sin(angle) * length * 0.45
        outline.append(
            (
                at[0] + along * math.cos(turn) - beside * math.sin(turn),
                at[1] + along * math.sin(turn) + beside * math.cos(turn),
            )
        )
    colour = np.array(_LEAVES[random.integers(len(_LEAVES))]) + random.normal(0, 10, 3)
    red, green, blue = (int(channel) for channel in np.clip(colour, 0, 255))
    draw.polygon(outline, fill=(red, green, blue, 255))


def _cross_pole(
    layer: Image.Image,
    random: np.random.Generator,
    centre: tuple[float, float],
    diameter: float,
) -> None:
    draw = ImageDraw.Draw(layer)
    x = centre[0] + random.uniform(-0.4, 0.4) * diameter
    lean = random.uniform(-0.08, 0.08) * layer.height
    grey = int(random.integers(40, 150))
    width = max(1, round(diameter * random.uniform(0.06, 0.15)))
    ends = (x - lean, -width, x + lean, layer.height + width)
    draw.line(ends, fill=(grey, grey, grey + 4, 255), width=width)
