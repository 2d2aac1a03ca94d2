"""Paints what is behind the sign: sky, foliage, walls, streets and roads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from demo.texture import Floats, Size, fractal, grid_of, mix, palette, picture, ramp

_CANVAS_SIDES = (96, 192)
"""Smallest and largest long side a scene is painted at; it is out of focus anyway."""

_SKIES = (
    ((88, 140, 205), (196, 216, 234)),
    ((120, 165, 215), (222, 232, 238)),
    ((150, 158, 168), (205, 208, 212)),
    ((176, 182, 190), (232, 232, 230)),
    ((96, 110, 150), (238, 186, 140)),
)
_GREENS = (
    ((18, 30, 14), (52, 82, 32), (104, 132, 58), (170, 184, 104)),
    ((26, 34, 18), (64, 84, 40), (120, 134, 70), (186, 182, 120)),
    ((40, 26, 14), (110, 70, 28), (178, 120, 44), (220, 176, 92)),
    ((14, 26, 20), (34, 62, 44), (70, 104, 74), (128, 156, 122)),
)
_WALLS = ((150, 74, 56), (128, 60, 50), (172, 104, 78), (150, 138, 126), (186, 160, 128))
_PLASTERS = ((196, 190, 178), (214, 200, 164), (168, 172, 176), (190, 158, 140), (146, 150, 152))
_PAINTS = (
    (170, 24, 28),
    (28, 62, 130),
    (210, 210, 212),
    (34, 36, 40),
    (206, 160, 40),
    (90, 96, 104),
)


def scene(random: np.random.Generator, size: Size, blur: float) -> Image.Image:
    """Paints a random scene, out of focus.

    Args:
        random: Source of randomness.
        size: (width, height) in pixels.
        blur: Radius of the blur in pixels.

    Returns:
        RGB picture of that size.
    """
    shrink = float(np.clip(max(size), *_CANVAS_SIDES) / max(size))
    canvas = (max(32, round(size[0] * shrink)), max(32, round(size[1] * shrink)))
    painter = _SCENES[random.choice(len(_SCENES), p=_SCENE_SHARES)]
    # Blurred before it is enlarged: the same look for a fraction of the work.
    painted = picture(painter(random, canvas)).filter(ImageFilter.GaussianBlur(blur * shrink))
    return painted.resize(size, Image.Resampling.BICUBIC)


def _pick(
    random: np.random.Generator, colours: Sequence[tuple[int, int, int]], spread: float = 10
) -> Floats:
    colour = np.array(colours[int(random.integers(len(colours)))])
    return (colour + random.normal(0, spread, 3)).astype(np.float32)


def _sky(random: np.random.Generator, size: Size) -> Floats:
    zenith, horizon = _SKIES[random.integers(len(_SKIES))]
    _, down = grid_of(size)
    colours = palette(np.broadcast_to(down, size[::-1]).astype(np.float32), [zenith, horizon])
    cover = random.uniform(0.35, 0.75)
    clouds = ramp(fractal(random, size, 3, octaves=5), cover - 0.12, cover + 0.18)
    return mix(colours, (238, 238, 240), clouds * random.uniform(0.2, 0.9))


def _foliage(random: np.random.Generator, size: Size) -> Floats:
    greens = _GREENS[random.integers(len(_GREENS))]
    masses = fractal(random, size, random.uniform(3, 7), octaves=3)
    leaves = fractal(random, size, random.uniform(24, 48), octaves=2)
    light = np.clip((0.6 * masses + 0.55 * leaves - 0.56) * 2.2 + 0.5, 0, 1)
    colours = palette(light.astype(np.float32), greens)
    gaps = ramp(fractal(random, size, 16, octaves=3), 0.60, 0.68)
    return mix(colours, _SKIES[random.integers(len(_SKIES))][1], gaps * random.uniform(0, 0.9))


def _branches(random: np.random.Generator, size: Size) -> Floats:
    image = picture(_sky(random, size))
    draw = ImageDraw.Draw(image)
    greens = _GREENS[random.integers(len(_GREENS))]
    crown = fractal(random, size, random.uniform(2.5, 5), octaves=2)
    width, height = size
    threshold = random.uniform(0.42, 0.56)
    for x, y, length, slant, shade in random.random((700, 5)):
        if crown[int(y * height), int(x * width)] < threshold:
            continue
        left, top = x * width, y * height
        reach = (0.01 + 0.035 * length) * max(size)
        box = (left, top, left + reach * (0.4 + slant), top + reach * (1.2 - slant))
        draw.ellipse(box, fill=greens[int(shade * len(greens))])
    return np.asarray(image, dtype=np.float32)


def _brick(random: np.random.Generator, size: Size) -> Floats:
    width, height = size
    brick_height = max(4, round(max(size) * random.uniform(0.035, 0.10)))
    brick_width = round(brick_height * random.uniform(2.0, 3.0))
    rows, columns = height // brick_height + 1, width // brick_width + 2
    tint = random.normal(0, 14, (rows, columns, 1)) + random.normal(0, 5, (rows, columns, 3))
    bricks = (_pick(random, _WALLS) + tint).astype(np.float32)
    y, x = np.arange(height)[:, np.newaxis], np.arange(width)[np.newaxis, :]
    row = y // brick_height
    offset = x + (row % 2) * (brick_width // 2)
    mortar = max(1, brick_height // 8)
    joints = (y % brick_height < mortar) | (offset % brick_width < mortar)
    colours = bricks[np.broadcast_to(row, joints.shape), offset // brick_width]
    colours = mix(colours, _pick(random, _PLASTERS), joints.astype(np.float32))
    return colours * _stains(random, size)


def _stains(random: np.random.Generator, size: Size, depth: float = 0.5) -> Floats:
    coarse, fine = fractal(random, size, 3), fractal(random, size, 60, octaves=2)
    return (1 + depth * (coarse - 0.5) + 0.6 * depth * (fine - 0.5))[..., np.newaxis]


def _plaster(random: np.random.Generator, size: Size) -> Floats:
    width, height = size
    colours = np.broadcast_to(_pick(random, _PLASTERS), (height, width, 3))
    return colours * _stains(random, size, depth=random.uniform(0.2, 0.6))


def _street(random: np.random.Generator, size: Size) -> Floats:
    """Facades with windows under a strip of sky."""
    image = picture(_sky(random, size))
    draw = ImageDraw.Draw(image)
    width, height = size
    left = 0.0
    while left < width:
        right = left + width * random.uniform(0.25, 0.6)
        top = height * random.uniform(-0.1, 0.4)
        _facade(random, draw, (left, top, right, float(height)))
        left = right
    colours = np.asarray(image, dtype=np.float32) * _stains(random, size, depth=0.3)
    return _with_cars(random, size, colours, ground=random.uniform(0.75, 0.95))


def _facade(
    random: np.random.Generator,
    draw: ImageDraw.ImageDraw,
    box: tuple[float, float, float, float],
) -> None:
    left, top, right, bottom = box
    draw.rectangle(box, fill=_rgb(_pick(random, _PLASTERS + _WALLS)))
    columns = int(random.integers(2, 5))
    step = (right - left) / columns
    glass = _rgb(_pick(random, ((54, 62, 74), (92, 104, 118), (180, 190, 196)), spread=14))
    frame = _rgb(_pick(random, _PLASTERS, spread=18))
    tall = random.uniform(0.9, 1.4)
    level = top + 0.3 * step
    while level < bottom:
        for column in range(columns):
            x = left + (column + 0.28) * step
            draw.rectangle((x, level, x + 0.46 * step, level + 0.5 * tall * step), fill=glass)
            draw.line((x, level, x + 0.46 * step, level), fill=frame, width=2)
        level += tall * step


def _rgb(colour: Floats) -> tuple[int, int, int]:
    red, green, blue = (int(channel) for channel in np.clip(colour, 0, 255))
    return red, green, blue


def _road(random: np.random.Generator, size: Size) -> Floats:
    """Sky, a line of trees, a verge and asphalt with markings, in perspective."""
    across, down = grid_of(size)
    horizon = random.uniform(0.4, 0.8)
    colours = _sky(random, size)
    ridge = fractal(random, (size[0], 2), 6)[:1]
    trees = horizon - ridge * random.uniform(0.1, 0.6)
    green = _foliage(random, size)
    colours = mix(colours, green, ramp(down - trees, 0, 0.03))
    depth = np.clip((down - horizon) / (1 - horizon), 0, 1)
    ground = green[:, ::-1] * 0.5 + np.array([50, 52, 34], dtype=np.float32)
    colours = mix(colours, ground, ramp(down, horizon, horizon + 0.01) * np.ones_like(across))
    vanishing = random.uniform(-0.3, 1.3)
    half_width = depth * random.uniform(0.5, 1.2)
    sideways = np.abs(across - (vanishing + depth * (0.5 - vanishing)))
    asphalt = _pick(random, ((92, 92, 96), (118, 116, 114), (70, 72, 78))) * _stains(random, size)
    colours = mix(colours, asphalt, (sideways < half_width).astype(np.float32))
    edge = np.abs(sideways - 0.9 * half_width) < 0.025 * depth
    dashes = (sideways < 0.02 * depth) & (np.sin(12 / (depth + 0.12)) > 0)
    colours = mix(colours, (214, 212, 204), (edge | dashes).astype(np.float32) * 0.9)
    return _with_cars(random, size, colours, ground=min(0.97, horizon + 0.1))


def _with_cars(random: np.random.Generator, size: Size, colours: Floats, ground: float) -> Floats:
    image = picture(colours)
    draw = ImageDraw.Draw(image)
    width, height = size
    for _ in range(random.integers(0, 3)):
        length = random.uniform(0.12, 0.35) * width
        left, bottom = random.uniform(-0.1, 0.95) * width, height * ground
        paint = _rgb(_pick(random, _PAINTS))
        tall = 0.42 * length
        draw.rounded_rectangle(
            (left, bottom - 0.6 * tall, left + length, bottom), radius=0.12 * length, fill=paint
        )
        cabin = (left + 0.2 * length, bottom - tall, left + 0.8 * length, bottom - 0.35 * tall)
        draw.rounded_rectangle(cabin, radius=0.12 * length, fill=paint)
        glass = (
            left + 0.26 * length,
            bottom - 0.9 * tall,
            left + 0.74 * length,
            bottom - 0.6 * tall,
        )
        draw.rectangle(glass, fill=(40, 46, 54))
        for wheel in (0.12, 0.68):
            x = left + wheel * length
            draw.ellipse((x, bottom - 0.2 * length, x + 0.2 * length, bottom), fill=(22, 22, 24))
    return np.asarray(image, dtype=np.float32)


_SCENES: tuple[Callable[[np.random.Generator, Size], Floats], ...] = (
    _sky,
    _foliage,
    _branches,
    _brick,
    _plaster,
    _street,
    _road,
)
_SCENE_SHARES = (0.10, 0.15, 0.14, 0.11, 0.06, 0.20, 0.24)
