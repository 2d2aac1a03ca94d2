"""What stands between a sign and its file: viewpoint, focus, light, sensor and encoder.

Light is computed in linear intensities, 0-1, so that shadows and head lamps behave as such.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from demo.texture import Doubles, Floats, Size, enlarge, fractal, grid_of, ramp

_GAMMA = 2.2
_LEVELS = 65536
_TO_LINEAR = ((np.arange(256) / 255) ** _GAMMA).astype(np.float32)
_TO_BYTES = np.round(255 * (np.arange(_LEVELS) / (_LEVELS - 1)) ** (1 / _GAMMA)).astype(np.uint8)
_EYE_DISTANCE = 4.0
"""From the eye to the plate, in half sides of the plate: sets how strong perspective is."""

_WIDE_BLUR = 3.0
"""Radius in pixels from which a blur is done on half the pixels a side."""


@dataclass(frozen=True)
class View:
    """Where the sign stands in the frame and how it is turned.

    Attributes:
        centre: Centre of the sign, (x, y) in pixels.
        diameter: Side of the face seen from the front, in pixels.
        yaw: Turn about the vertical axis; likewise `pitch` and `roll`. Radians.
    """

    centre: tuple[float, float]
    diameter: float
    yaw: float
    pitch: float
    roll: float


def choose_view(random: np.random.Generator, size: Size, difficulty: float) -> View:
    """Frames a sign so that most of it stays in the picture; harder is smaller and more oblique."""
    width, height = size
    # Rises soon: where a sign stands is what real photographs differ in most.
    freedom = 1.4 * math.sqrt(difficulty)
    share = 0.96 - float(random.beta(1.6, 2.2)) * min(0.80, 0.40 * freedom)
    diameter = max(14.0, share * min(size))
    room_x, room_y = (width - 0.9 * diameter) / 2, (height - 0.9 * diameter) / 2
    shift_x, shift_y = np.clip(random.normal(0, 0.40, 2) * freedom, -1, 1)
    turn = random.normal(0, 1, 3) * np.array([0.26, 0.11, 0.07]) * freedom
    yaw, pitch, roll = np.clip(turn, -1.0, 1.0)
    centre = (width / 2 + shift_x * room_x, height / 2 + shift_y * room_y)
    return View((float(centre[0]), float(centre[1])), diameter, yaw, pitch, roll)


def project(face: Image.Image, view: View) -> tuple[Image.Image, tuple[int, int]]:
    """Draws a face as it is seen from a viewpoint.

    Args:
        face: Square RGBA picture.
        view: Where and how it stands.

    Returns:
        RGBA picture that just holds the sign, and where its corner (x, y) lies in the frame.
    """
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], dtype=float)
    depth_axes = _rotation(view)
    turned = corners @ depth_axes[:, :2].T
    scale = _EYE_DISTANCE / (_EYE_DISTANCE + turned[:, 2:])
    seen = turned[:, :2] * scale * view.diameter / 2 + np.array(view.centre)
    corner = np.floor(seen.min(axis=0)).astype(int)
    width, height = np.ceil(seen.max(axis=0)).astype(int) - corner
    coefficients = _homography(seen - corner, (corners + 1) * face.width / 2)
    drawn = face.transform(
        (int(width), int(height)),
        Image.Transform.PERSPECTIVE,
        coefficients,
        Image.Resampling.BILINEAR,
    )
    return drawn, (int(corner[0]), int(corner[1]))


def _rotation(view: View) -> Doubles:
    sin_yaw, cos_yaw = math.sin(view.yaw), math.cos(view.yaw)
    sin_pitch, cos_pitch = math.sin(view.pitch), math.cos(view.pitch)
    sin_roll, cos_roll = math.sin(view.roll), math.cos(view.roll)
    about_y = np.array([[cos_yaw, 0, sin_yaw], [0, 1, 0], [-sin_yaw, 0, cos_yaw]])
    about_x = np.array([[1, 0, 0], [0, cos_pitch, -sin_pitch], [0, sin_pitch, cos_pitch]])
    about_z = np.array([[cos_roll, -sin_roll, 0], [sin_roll, cos_roll, 0], [0, 0, 1]])
    turned: Doubles = about_z @ about_x @ about_y
    return turned


def _homography(points: Doubles, images: Doubles) -> list[float]:
    """Solves for the eight coefficients that take each point (4, 2) to its image (4, 2)."""
    rows, targets = [], []
    for (x, y), (u, v) in zip(points, images, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        targets += [u, v]
    return [float(value) for value in np.linalg.solve(np.array(rows), np.array(targets))]


def defocus(frame: Image.Image, radius: float) -> Image.Image:
    """Blurs evenly; radius in pixels, below a third of a pixel it does nothing."""
    if radius < 0.33:
        return frame
    if radius < _WIDE_BLUR:
        return frame.filter(ImageFilter.GaussianBlur(radius))
    # A strong blur leaves nothing that half the pixels could not hold, and is slow on all of them.
    half = frame.reduce(2)
    return defocus(half, radius / 2).resize(frame.size, Image.Resampling.BILINEAR)


def shake(frame: Image.Image, length: float, angle: float) -> Image.Image:
    """Blurs along a line of `length` pixels at `angle` radians, as a moving camera does."""
    taps = min(16, math.ceil(length))
    if taps < 2:
        return frame
    reach = math.ceil(length / 2)
    pixels = np.asarray(frame, dtype=np.float32)
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    total = np.zeros_like(pixels)
    for offset in np.linspace(-length / 2, length / 2, taps):
        left = reach + round(offset * math.cos(angle))
        top = reach + round(offset * math.sin(angle))
        total += padded[top : top + height, left : left + width]
    return Image.fromarray((total / taps).astype(np.uint8))


def coarsen(frame: Image.Image, factor: float) -> Image.Image:
    """Loses detail as a digital zoom by `factor` does; the size stays."""
    if factor < 1.05:
        return frame
    small = (max(8, round(frame.width / factor)), max(8, round(frame.height / factor)))
    return frame.resize(small, Image.Resampling.BILINEAR).resize(
        frame.size, Image.Resampling.BILINEAR
    )


def expose(
    frame: Image.Image, random: np.random.Generator, view: View, difficulty: float
) -> Image.Image:
    """Lights the scene, adds sensor noise and clips.

    Args:
        frame: RGB picture under even light.
        random: Source of randomness.
        view: Where the sign stands; at night the head lamps point there.
        difficulty: 0 for even light and no noise, 1 for the usual range.

    Returns:
        RGB picture of the same size.
    """
    linear = _TO_LINEAR[np.asarray(frame)]
    night = random.random() < 0.10 * difficulty
    light = _night_light if night else _day_light
    linear *= light(random, frame.size, view, difficulty)
    _add_haze(linear, random, difficulty)
    # Shot noise grows with the square root of the light; read noise does not.
    amount = random.gamma(2.0, 0.5) * difficulty * (1.8 if night else 1.0)
    spread = np.sqrt(linear)
    spread *= np.float32(0.022 * amount)
    spread += np.float32(0.003 * amount)
    spread *= _bell(random, linear.shape)
    linear += spread
    np.clip(linear, 0, 1, out=linear)
    levels = np.multiply(linear, _LEVELS - 1, out=linear).astype(np.uint16)
    return Image.fromarray(_TO_BYTES[levels])


def _day_light(random: np.random.Generator, size: Size, view: View, difficulty: float) -> Floats:
    gain = np.clip(math.exp(random.normal(-0.05, 0.38) * difficulty), 0.2, 2.6)
    cast = np.exp(random.normal(0, 0.10, 3) * difficulty).astype(np.float32)
    light = np.float32(gain) * cast * _slope(random, size, 0.5 * difficulty)[..., np.newaxis]
    if random.random() < 0.25 * difficulty:
        light = light * _shadow(random, size, view)[..., np.newaxis]
    if random.random() < 0.06 * difficulty:
        light = light + _spot(size, random.uniform(0, 1, 2) * size, 0.4 * max(size), 1.2)
    return light.astype(np.float32)


def _night_light(random: np.random.Generator, size: Size, view: View, difficulty: float) -> Floats:
    dark = 0.05 + 0.15 * random.random()
    ambient = np.array([0.8, 0.9, 1.25], dtype=np.float32) * np.float32(dark)
    towards = np.array(view.centre) + random.normal(0, 0.25, 2) * view.diameter * difficulty
    lamp = np.array([1.05, 1.0, 0.86], dtype=np.float32)
    reach = view.diameter * random.uniform(0.5, 1.1)
    return ambient + lamp * _spot(size, towards, reach, random.uniform(0.4, 1.3))


def _slope(random: np.random.Generator, size: Size, depth: float) -> Floats:
    across, down = grid_of(size)
    angle = random.uniform(0, 2 * math.pi)
    slope = (across - 0.5) * math.cos(angle) + (down - 0.5) * math.sin(angle)
    return np.maximum(1 + slope * np.float32(2 * random.random() * depth), 0.15).astype(np.float32)


def _shadow(random: np.random.Generator, size: Size, view: View) -> Floats:
    """Shade of trees or of a roof's edge, 0-1."""
    depth = random.uniform(0.35, 0.75)
    if random.random() < 0.5:
        leaves = fractal(random, size, max(2.0, 3 * max(size) / view.diameter), octaves=2)
        return 1 - np.float32(depth) * ramp(leaves, 0.45, 0.58)
    across, down = grid_of(size)
    angle = random.uniform(0, 2 * math.pi)
    x, y = view.centre[0] / size[0], view.centre[1] / size[1]
    edge = (across - x) * math.cos(angle) + (down - y) * math.sin(angle)
    return 1 - np.float32(depth) * ramp(edge + np.float32(random.normal(0, 0.08)), -0.02, 0.02)


def _spot(size: Size, at: Doubles, radius: float, strength: float) -> Floats:
    # Painted coarsely and enlarged: it is smooth, and exp() of every pixel is slow.
    coarse = (min(48, size[0]), min(48, size[1]))
    across, down = grid_of(coarse)
    squared = (across * size[0] - at[0]) ** 2 + (down * size[1] - at[1]) ** 2
    spot = strength * np.exp(-squared / (2 * radius**2))
    return enlarge(spot.astype(np.float32), size)[..., np.newaxis]


def _add_haze(linear: Floats, random: np.random.Generator, difficulty: float) -> None:
    amount = max(0.0, random.normal(-0.12, 0.2)) * difficulty
    veil = np.float32(min(0.75, amount))
    linear *= 1 - veil
    linear += veil * np.array([0.50, 0.53, 0.56], dtype=np.float32)


def _bell(random: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Nearly normal noise of unit variance: sums of four bytes, six times faster than normal()."""
    drawn = np.frombuffer(random.bytes(4 * math.prod(shape)), dtype=np.uint8)
    total = drawn.reshape(4, *shape).sum(axis=0, dtype=np.int16)
    mean, spread = 4 * 127.5, math.sqrt(4 * (256**2 - 1) / 12)
    noise: Floats = (total - np.float32(mean)) * np.float32(1 / spread)
    return noise


def encode(
    frame: Image.Image, extension: str, random: np.random.Generator, difficulty: float
) -> bytes:
    """Encodes a frame; JPEG quality falls as difficulty rises.

    Args:
        frame: RGB picture.
        extension: ``"jpg"`` or ``"png"``.
        random: Source of randomness.
        difficulty: 0 for the best quality, 1 for 30 to 95.

    Returns:
        The file's bytes.
    """
    buffer = io.BytesIO()
    if extension == "png":
        frame.save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()
    quality = round(95 - min(85, 65 * difficulty) * random.beta(1.2, 2.0))
    frame.save(buffer, "JPEG", quality=quality, subsampling=int(random.integers(0, 3)))
    return buffer.getvalue()
