"""Draws the faces of the traffic signs.

A face is an RGBA picture, transparent around the plate. Coordinates while drawing are those of the
plate: x to the right and y downwards, both from -1 to 1. Lettering uses the font that Pillow
bundles, so a face does not depend on the fonts of the machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial

from PIL import Image, ImageDraw, ImageFont

FACE_SIDES = (512, 384, 256, 192, 128, 96, 64)
"""Sides in pixels in which a face is kept; a photograph starts from the next larger one."""

_SUPERSAMPLING = 2
_FONT_SIZE = 400

Point = tuple[float, float]
Colour = tuple[int, int, int]

WHITE: Colour = (240, 240, 236)
BLACK: Colour = (24, 24, 26)
METAL: Colour = (150, 152, 154)


@dataclass(frozen=True)
class SignStyle:
    """One maker's way to print signs.

    Attributes:
        border: Width of a coloured ring or frame, as a share of the plate's half side.
        weight: Thickness of lettering strokes, as a share of the lettering's height.
        red: Red of this maker; likewise `blue` and `yellow`. RGB, 0-255.
    """

    border: float
    weight: float
    red: Colour
    blue: Colour
    yellow: Colour


STYLES = (
    SignStyle(0.20, 0.034, (196, 22, 34), (16, 78, 158), (248, 196, 22)),
    SignStyle(0.24, 0.048, (176, 26, 30), (24, 92, 176), (240, 180, 30)),
    SignStyle(0.17, 0.022, (214, 38, 40), (8, 62, 140), (252, 206, 48)),
)
"""Every face exists in each of these."""


class _Plate:
    """A drawing surface in plate coordinates."""

    def __init__(self) -> None:
        self.side = FACE_SIDES[0] * _SUPERSAMPLING
        self.image = Image.new("RGBA", (self.side, self.side))
        self._draw = ImageDraw.Draw(self.image)

    def _pixels(self, points: Sequence[Point]) -> list[Point]:
        half = self.side / 2
        return [(half + x * half * 0.97, half + y * half * 0.97) for x, y in points]

    def _length(self, length: float) -> int:
        return max(1, round(length * self.side / 2 * 0.97))

    def disc(self, radius: float, fill: Colour, at: Point = (0.0, 0.0)) -> None:
        x, y = at
        corners = self._pixels([(x - radius, y - radius), (x + radius, y + radius)])
        self._draw.ellipse([*corners[0], *corners[1]], fill=fill)

    def polygon(self, points: Sequence[Point], fill: Colour, rounding: float = 0.0) -> None:
        """Fills a polygon whose corners are rounded outwards by `rounding`."""
        self._draw.polygon(self._pixels(points), fill=fill)
        if rounding:
            self.stroke([*points, points[0]], 2 * rounding, fill)

    def stroke(self, points: Sequence[Point], width: float, fill: Colour) -> None:
        """Draws a line with round joints and ends."""
        self._draw.line(self._pixels(points), fill=fill, width=self._length(width))
        for point in points:
            self.disc(width / 2, fill, at=point)

    def lettering(
        self, text: str, width: float, height: float, weight: float, fill: Colour
    ) -> None:
        """Writes text centred on the plate: equal cells in a box of the given half sides."""
        gap = 0.24 * width / len(text)
        cell = (2 * width + gap) / len(text) - gap
        size = (self._length(cell), self._length(2 * height))
        for position, character in enumerate(text):
            stencil = _stencil(character, weight).resize(size)
            left, top = self._pixels([(-width + position * (cell + gap), -height)])[0]
            corner = (round(left), round(top))
            self.image.paste(fill, (*corner, corner[0] + size[0], corner[1] + size[1]), stencil)


def _stencil(character: str, weight: float) -> Image.Image:
    font = ImageFont.load_default(_FONT_SIZE)
    bold = weight * _FONT_SIZE
    left, top, right, bottom = font.getbbox(character, stroke_width=bold)
    stencil = Image.new("L", (math.ceil(right - left), math.ceil(bottom - top)))
    ImageDraw.Draw(stencil).text((-left, -top), character, fill=255, font=font, stroke_width=bold)
    return stencil


def _regular(corners: int, radius: float, turn: float) -> list[Point]:
    angles = [turn + 2 * math.pi * corner / corners for corner in range(corners)]
    return [(radius * math.cos(angle), radius * math.sin(angle)) for angle in angles]


def _stop(plate: _Plate, style: SignStyle) -> None:
    turn = math.pi / 8
    plate.polygon(_regular(8, 1.0, turn), METAL)
    plate.polygon(_regular(8, 0.98, turn), WHITE)
    plate.polygon(_regular(8, 0.91, turn), style.red)
    plate.lettering("STOP", 0.72, 0.33, style.weight, WHITE)


def _yield(plate: _Plate, style: SignStyle) -> None:
    triangle = [(-0.86, -0.72), (0.86, -0.72), (0.0, 0.77)]
    plate.polygon(triangle, METAL, rounding=0.13)
    plate.polygon(triangle, style.red, rounding=0.115)
    inner = 0.80 - 1.35 * style.border
    centre_y = -0.225
    inside = [(x * inner, centre_y + (y - centre_y) * inner) for x, y in triangle]
    plate.polygon(inside, WHITE, rounding=0.05)


def _no_entry(plate: _Plate, style: SignStyle) -> None:
    plate.disc(1.0, METAL)
    plate.disc(0.98, WHITE)
    plate.disc(0.93, style.red)
    high = 0.5 * style.border + 0.06
    plate.polygon([(-0.70, -high), (0.70, -high), (0.70, high), (-0.70, high)], WHITE)


def _priority_road(plate: _Plate, style: SignStyle) -> None:
    plate.polygon(_regular(4, 0.94, 0.0), BLACK, rounding=0.05)
    plate.polygon(_regular(4, 0.92, 0.0), WHITE, rounding=0.04)
    plate.polygon(_regular(4, 0.88 - style.border, 0.0), BLACK, rounding=0.035)
    plate.polygon(_regular(4, 0.86 - style.border, 0.0), style.yellow, rounding=0.03)


def _pedestrian_crossing(plate: _Plate, style: SignStyle) -> None:
    square = [(-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)]
    plate.polygon(square, WHITE, rounding=0.10)
    plate.polygon(square, style.blue, rounding=0.06)
    plate.polygon([(0.0, -0.70), (0.76, 0.62), (-0.76, 0.62)], WHITE, rounding=0.04)
    for left in (-0.52, -0.22, 0.08, 0.38):
        stripe = [(left, 0.46), (left + 0.14, 0.46), (left + 0.20, 0.58), (left + 0.06, 0.58)]
        plate.polygon(stripe, BLACK)
    _walker(plate, limb=0.07 + style.weight)


def _walker(plate: _Plate, limb: float) -> None:
    plate.disc(0.085, BLACK, at=(0.03, -0.40))
    plate.stroke([(0.0, -0.22), (-0.02, 0.08)], 1.5 * limb, BLACK)
    plate.stroke([(-0.02, 0.08), (0.12, 0.24), (0.16, 0.42)], limb, BLACK)
    plate.stroke([(-0.02, 0.08), (-0.10, 0.26), (-0.24, 0.40)], limb, BLACK)
    plate.stroke([(0.0, -0.22), (0.14, -0.06), (0.26, -0.04)], 0.7 * limb, BLACK)
    plate.stroke([(0.0, -0.22), (-0.14, -0.06), (-0.20, 0.08)], 0.7 * limb, BLACK)


def _roundabout(plate: _Plate, style: SignStyle) -> None:
    plate.disc(1.0, METAL)
    plate.disc(0.98, WHITE)
    plate.disc(0.93, style.blue)
    wide = 0.6 * style.border + 0.04
    for start in (math.pi / 2, math.pi * 7 / 6, math.pi * 11 / 6):
        angles = [start - math.radians(step) for step in range(0, 76, 5)]
        plate.stroke([_polar(0.54, angle) for angle in angles], wide, WHITE)
        tip = angles[-1] - math.radians(34)
        head = [_polar(0.54 - 1.25 * wide, angles[-1]), _polar(0.54 + 1.25 * wide, angles[-1])]
        plate.polygon([*head, _polar(0.54, tip)], WHITE)


def _polar(radius: float, angle: float) -> Point:
    return radius * math.cos(angle), radius * math.sin(angle)


def _prohibition(plate: _Plate, style: SignStyle) -> None:
    plate.disc(1.0, METAL)
    plate.disc(0.98, style.red)
    plate.disc(0.98 - style.border, WHITE)


def _no_overtaking(plate: _Plate, style: SignStyle) -> None:
    _prohibition(plate, style)
    _car(plate, -0.33, style.red)
    _car(plate, 0.33, BLACK)


def _car(plate: _Plate, centre: float, paint: Colour) -> None:
    def shifted(points: Sequence[Point]) -> list[Point]:
        return [(centre + x, y) for x, y in points]

    plate.polygon(shifted([(-0.15, -0.24), (0.15, -0.24), (0.22, 0.0), (-0.22, 0.0)]), paint, 0.03)
    plate.polygon(shifted([(-0.12, -0.17), (0.12, -0.17), (0.17, -0.02), (-0.17, -0.02)]), WHITE)
    plate.polygon(shifted([(-0.24, 0.02), (0.24, 0.02), (0.24, 0.18), (-0.24, 0.18)]), paint, 0.03)
    for side in (-0.17, 0.17):
        wheel = [(side - 0.05, 0.2), (side + 0.05, 0.2), (side + 0.05, 0.32), (side - 0.05, 0.32)]
        plate.polygon(shifted(wheel), paint, 0.015)
        plate.disc(0.035, WHITE, at=(centre + side, 0.10))


def _speed_limit(plate: _Plate, style: SignStyle, limit: int) -> None:
    _prohibition(plate, style)
    plate.lettering(str(limit), 0.55 - 0.5 * (style.border - 0.2), 0.42, style.weight, BLACK)


_PAINTERS: dict[str, Callable[[_Plate, SignStyle], None]] = {
    "no_entry": _no_entry,
    "no_overtaking": _no_overtaking,
    "pedestrian_crossing": _pedestrian_crossing,
    "priority_road": _priority_road,
    "roundabout": _roundabout,
    "speed_limit_30": partial(_speed_limit, limit=30),
    "speed_limit_50": partial(_speed_limit, limit=50),
    "speed_limit_80": partial(_speed_limit, limit=80),
    "stop": _stop,
    "yield": _yield,
}

SIGN_CLASSES = tuple(_PAINTERS)
"""Names of the sign classes, in alphabetical order; also the names of their folders."""


@cache
def sign_face(label: str, style: int, side: int) -> Image.Image:
    """Draws the face of one sign; the result is shared, copy it before you change it.

    Args:
        label: One of `SIGN_CLASSES`.
        style: Index into `STYLES`.
        side: One of `FACE_SIDES`, in pixels.

    Returns:
        RGBA picture of side x side pixels, alpha 0 outside the plate.
    """
    if side == FACE_SIDES[0]:
        plate = _Plate()
        _PAINTERS[label](plate, STYLES[style])
        return plate.image.reduce(_SUPERSAMPLING)
    largest = sign_face(label, style, FACE_SIDES[0])
    return largest.resize((side, side), Image.Resampling.BOX)
