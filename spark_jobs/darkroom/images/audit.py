"""What is known of a picture once it has been read and fully decoded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from darkroom.contract.reasons import RejectReason
from darkroom.images.pixels import ImageRejectedError, load_rgb, open_image

AUDIT_VERSION = "1"
"""Part of what an ingestion depends on: raise it when a change below alters any value."""


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """Facts about one usable picture.

    Attributes:
        format: As Pillow names it, for example ``JPEG``.
        mode: Pixel mode as stored, before anything is converted, for example ``CMYK`` or ``I;16``.
        width: Columns of pixels, after the EXIF orientation.
        height: Rows of pixels, after the EXIF orientation.
        brightness: Mean luma (ITU-R 601), 0 for black to 255 for white.
        perceptual_hash: 64-bit pHash as 16 hexadecimal digits; pictures that look alike share it.
    """

    format: str
    mode: str
    width: int
    height: int
    brightness: float
    perceptual_hash: str


def image_id_of(data: bytes) -> str:
    """SHA-256 of the encoded bytes, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def audit_image(data: bytes, min_side: int = 1) -> ImageFacts:
    """Decodes a picture completely and describes it.

    Args:
        data: The encoded bytes.
        min_side: Fewest pixels that either side must have.

    Returns:
        The facts.

    Raises:
        ImageRejectedError: EMPTY, NOT_AN_IMAGE, TRUNCATED, CORRUPT, TOO_LARGE or TOO_SMALL.
    """
    image = open_image(data)
    stored_format, stored_mode = image.format or "", image.mode
    if min(image.size) < min_side:
        width, height = image.size
        raise ImageRejectedError(
            RejectReason.TOO_SMALL, f"{width}x{height} pixels, each side needs at least {min_side}"
        )
    pixels = load_rgb(image)
    return ImageFacts(
        format=stored_format,
        mode=stored_mode,
        width=pixels.shape[1],
        height=pixels.shape[0],
        brightness=_brightness(pixels),
        perceptual_hash=perceptual_hash(pixels),
    )


def perceptual_hash(pixels: NDArray[np.uint8]) -> str:
    """Hashes what a picture looks like, with imagehash's pHash.

    Args:
        pixels: Array of shape (height, width, 3), dtype uint8, RGB.

    Returns:
        16 hexadecimal digits.
    """
    import imagehash

    return str(imagehash.phash(Image.fromarray(pixels)))


def _brightness(pixels: NDArray[np.uint8]) -> float:
    return float(np.asarray(Image.fromarray(pixels).convert("L")).mean())
