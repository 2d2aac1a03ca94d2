"""The planted defects: files a real collection has, and what must become of each."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from darkroom.contract.reasons import RejectReason
from demo.photograph import photograph, photograph_random

_FIRST_INDEX = 1_000_000
"""Planted photographs are drawn from indices that no ordinary photograph has."""
_EXIF_ORIENTATION = 0x0112
_TURN_CLOCKWISE_TO_VIEW = 6


@dataclass(frozen=True)
class PlantedFile:
    """One planted file.

    Attributes:
        path: Path below the set's root, with ``/``.
        reason: Why it must be rejected; None where it must be accepted.
        what: What is odd about it, for a person.
    """

    path: str
    reason: RejectReason | None
    what: str

    @property
    def label(self) -> str:
        """The class folder it lies in."""
        return self.path.split("/")[0]


TRUNCATED = PlantedFile(
    "stop/planted_truncated.jpg", RejectReason.TRUNCATED, "a JPEG that ends half-way"
)
EMPTY = PlantedFile("yield/planted_empty.jpg", RejectReason.EMPTY, "no bytes at all")
TEXT = PlantedFile("roundabout/planted_text.jpg", RejectReason.NOT_AN_IMAGE, "text named .jpg")
ORIGINAL = PlantedFile("no_entry/planted_twice.jpg", None, "a photograph that exists twice")
COPY = PlantedFile(
    "no_entry/planted_twice_copy.jpg", RejectReason.DUPLICATE, "its exact copy, same label"
)
ONE_LABEL = PlantedFile(
    "speed_limit_30/planted_two_labels.jpg", RejectReason.LABEL_CONFLICT, "labelled 30 here"
)
OTHER_LABEL = PlantedFile(
    "speed_limit_50/planted_two_labels.jpg", RejectReason.LABEL_CONFLICT, "the same labelled 50"
)
GREY_16_BIT = PlantedFile("priority_road/planted_16_bit_grey.png", None, "a 16-bit grey PNG")
CMYK = PlantedFile("pedestrian_crossing/planted_cmyk.jpg", None, "a CMYK JPEG")
EXIF_ROTATED = PlantedFile(
    "no_overtaking/planted_exif_rotated.jpg", None, "stored lying, EXIF orientation 6"
)
ANIMATED = PlantedFile("speed_limit_80/planted_animated.gif", None, "an animated GIF")

PLANTED = (
    TRUNCATED,
    EMPTY,
    TEXT,
    ORIGINAL,
    COPY,
    ONE_LABEL,
    OTHER_LABEL,
    GREY_16_BIT,
    CMYK,
    EXIF_ROTATED,
    ANIMATED,
)
"""Every planted file; the duplicate's original comes first in the order of paths as well."""


def planted_bytes(seed: int, difficulty: float) -> dict[str, bytes]:
    """Makes every planted file.

    Args:
        seed: Seed of the set.
        difficulty: Difficulty of the set.

    Returns:
        Path below the set's root -> the file's bytes, one entry for each of `PLANTED`.
    """

    def shot(planted: PlantedFile) -> Image.Image:
        index = _FIRST_INDEX + PLANTED.index(planted)
        random = photograph_random(seed, planted.label, index)
        return photograph(planted.label, random, difficulty)

    whole = _jpeg(shot(TRUNCATED))
    twice = _jpeg(shot(ORIGINAL))
    two_labels = _jpeg(shot(ONE_LABEL))
    return {
        TRUNCATED.path: whole[: len(whole) // 2],
        EMPTY.path: b"",
        TEXT.path: b"This is a note about a photograph, not the photograph.\n",
        ORIGINAL.path: twice,
        COPY.path: twice,
        ONE_LABEL.path: two_labels,
        OTHER_LABEL.path: two_labels,
        GREY_16_BIT.path: _grey_16_bit(shot(GREY_16_BIT)),
        CMYK.path: _jpeg(shot(CMYK).convert("CMYK")),
        EXIF_ROTATED.path: _lying(shot(EXIF_ROTATED)),
        ANIMATED.path: _animation(shot(ANIMATED)),
    }


def _jpeg(image: Image.Image, exif: Image.Exif | None = None) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88, exif=exif or Image.Exif())
    return buffer.getvalue()


def _grey_16_bit(image: Image.Image) -> bytes:
    grey = np.asarray(image.convert("L")).astype(np.uint16)
    buffer = io.BytesIO()
    # 257 maps 0-255 onto the whole of 0-65535.
    Image.fromarray(grey * np.uint16(257)).save(buffer, "PNG")
    return buffer.getvalue()


def _lying(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[_EXIF_ORIENTATION] = _TURN_CLOCKWISE_TO_VIEW
    return _jpeg(image.transpose(Image.Transpose.ROTATE_90), exif)


def _animation(image: Image.Image) -> bytes:
    frames = [
        image.point([round(level * gain) for level in range(256)] * 3) for gain in (1, 0.8, 0.6)
    ]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=200, loop=0)
    return buffer.getvalue()
