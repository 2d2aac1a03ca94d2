"""What is known of a picture once it has been read and fully decoded."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from darkroom.contract.reasons import RejectReason
from darkroom.images.measures import Luma, measure
from darkroom.images.pixels import ImageRejectedError, load_picture, open_image
from darkroom.images.stored import bit_depth, is_animated, orientation

AUDIT_VERSION = "2"
"""Part of what an ingestion depends on: raise it when a change below alters any value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFacts:
    """Facts about one usable picture.

    Attributes:
        format: As Pillow names it, for example ``JPEG``; by the bytes, not by the file's name.
        mode: Pixel mode as stored, before anything is converted, for example ``CMYK`` or ``I;16``.
        bit_depth: Bits of a channel as stored.
        orientation: EXIF orientation, 1-8; 1 where the file has none.
        animated: Whether the file has more frames or pages than the first, which alone is used.
        width: Columns of pixels, after the EXIF orientation.
        height: Rows of pixels, after the EXIF orientation.
        brightness: Mean luma (ITU-R 601), 0 for black to 255 for white.
        contrast: Standard deviation of the luma, 0 to 127.5.
        sharpness: Variance of the luma's Laplacian (the four neighbours less four times the
            pixel), at a size of at most 512 pixels a side; 0 for a picture below 3 pixels a side.
        perceptual_hash: 64-bit pHash as 16 hexadecimal digits: low frequencies of the picture.
        difference_hash: 64-bit dHash as 16 hexadecimal digits: which of two neighbours is lighter.
    """

    format: str
    mode: str
    bit_depth: int
    orientation: int
    animated: bool
    width: int
    height: int
    brightness: float
    contrast: float
    sharpness: float
    perceptual_hash: str
    difference_hash: str


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
        ImageRejectedError: EMPTY, NOT_AN_IMAGE, UNSUPPORTED_FORMAT, TRUNCATED, CORRUPT, TOO_LARGE
            or TOO_SMALL.
    """
    [found] = audit_images([data], min_side)
    if isinstance(found, ImageRejectedError):
        raise found
    return found


def audit_images(
    files: Sequence[bytes], min_side: int = 1
) -> list[ImageFacts | ImageRejectedError]:
    """`audit_image` of several pictures, of which small ones take half the time.

    Args:
        files: The encoded bytes. Of each picture at most 256 KiB of pixels are in memory together.
        min_side: Fewest pixels that either side must have.

    Returns:
        The facts, or why there are none, in the order of the files.
    """
    seen = [_look(data, min_side) for data in files]
    lumas = [one.luma for one in seen if isinstance(one, _Seen)]
    measured = iter(measure(lumas) if lumas else ())
    return [
        ImageFacts(**one.stored, **next(measured)._asdict()) if isinstance(one, _Seen) else one
        for one in seen
    ]


def perceptual_hash(pixels: NDArray[np.uint8]) -> str:
    """Hashes what a picture looks like, with imagehash's pHash.

    Args:
        pixels: Array of shape (height, width, 3), dtype uint8, RGB.

    Returns:
        16 hexadecimal digits.
    """
    [measures] = measure([Luma.of(Image.fromarray(pixels))])
    return measures.perceptual_hash


@dataclass(frozen=True, slots=True)
class _Seen:
    """A picture that was decoded: the facts that need no arithmetic, and what the others need."""

    stored: dict[str, Any]
    luma: Luma


def _look(data: bytes, min_side: int) -> _Seen | ImageRejectedError:
    try:
        image = open_image(data)
        if min(image.size) < min_side:
            width, height = image.size
            raise ImageRejectedError(
                RejectReason.TOO_SMALL,
                f"{width}x{height} pixels, each side needs at least {min_side}",
            )
        # Loading forgets how the file stored the pixels.
        stored: dict[str, Any] = {
            "format": image.format or "",
            "mode": image.mode,
            "bit_depth": bit_depth(image),
            "animated": is_animated(image),
        }
        picture = load_picture(image)
    except ImageRejectedError as rejected:
        # Anew: by way of its frames, what was raised keeps the picture in memory.
        return ImageRejectedError(rejected.reason, rejected.detail)
    # Asked for any earlier, Pillow would load a PNG file and swallow what it says of damage.
    stored |= {"orientation": orientation(image), "width": picture.width, "height": picture.height}
    return _Seen(stored, Luma.of(picture))
