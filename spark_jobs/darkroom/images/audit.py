"""What is known of a picture once it has been read and fully decoded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from darkroom.contract.reasons import RejectReason
from darkroom.images.pixels import ImageRejectedError, load_picture, open_image
from darkroom.images.stored import bit_depth, is_animated, orientation

AUDIT_VERSION = "2"
"""Part of what an ingestion depends on: raise it when a change below alters any value."""


_HASH_SIDE = 32
"""Both hashes look at the luma at this size, so that it is shrunk once."""

_HASH_BITS = 8
"""Either hash has so many rows of so many bits."""

_SHARPNESS_SIDE = 512
"""A longer side is shrunk below it first: sharpness is then about what one sees, and cheap."""

_LEVELS = np.arange(256, dtype=np.float64)


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
    image = open_image(data)
    stored_format, stored_mode = image.format or "", image.mode
    if min(image.size) < min_side:
        width, height = image.size
        raise ImageRejectedError(
            RejectReason.TOO_SMALL, f"{width}x{height} pixels, each side needs at least {min_side}"
        )
    # Loading forgets how the file stored the pixels.
    depth, animated = bit_depth(image), is_animated(image)
    picture = load_picture(image)
    luma = picture.convert("L")
    brightness, contrast = _moments(luma)
    small = _for_hashing(luma)
    return ImageFacts(
        format=stored_format,
        mode=stored_mode,
        bit_depth=depth,
        # Asked for any earlier, Pillow would load a PNG file and swallow what it says of damage.
        orientation=orientation(image),
        animated=animated,
        width=picture.width,
        height=picture.height,
        brightness=brightness,
        contrast=contrast,
        sharpness=_sharpness(luma),
        perceptual_hash=_perceptual_hash(small),
        difference_hash=_difference_hash(small),
    )


def perceptual_hash(pixels: NDArray[np.uint8]) -> str:
    """Hashes what a picture looks like, with imagehash's pHash.

    Args:
        pixels: Array of shape (height, width, 3), dtype uint8, RGB.

    Returns:
        16 hexadecimal digits.
    """
    return _perceptual_hash(_for_hashing(Image.fromarray(pixels).convert("L")))


def _for_hashing(luma: Image.Image) -> Image.Image:
    """What imagehash's pHash does first; given this size, it leaves a picture as it is."""
    return luma.resize((_HASH_SIDE, _HASH_SIDE), Image.Resampling.LANCZOS)


def _perceptual_hash(small: Image.Image) -> str:
    """Bit for bit imagehash's, which takes twice as long."""
    from scipy.fftpack import dct

    low = dct(dct(np.asarray(small), axis=0)[:_HASH_BITS], axis=1)[:, :_HASH_BITS]
    middle = np.sort(low, axis=None)[_HASH_BITS**2 // 2 - 1 : _HASH_BITS**2 // 2 + 1]
    return _hexadecimal(low > (middle[0] + middle[1]) / 2)


def _difference_hash(small: Image.Image) -> str:
    """Bit for bit imagehash's."""
    side = (_HASH_BITS + 1, _HASH_BITS)
    pixels = np.asarray(small.resize(side, Image.Resampling.LANCZOS))
    return _hexadecimal(pixels[:, 1:] > pixels[:, :-1])


def _hexadecimal(bits: NDArray[np.bool_]) -> str:
    """As imagehash prints a hash, and several times as fast."""
    return np.packbits(bits).tobytes().hex()


def _moments(luma: Image.Image) -> tuple[float, float]:
    """Mean and standard deviation, exactly, from the histogram."""
    counts = np.array(luma.histogram(), dtype=np.float64)
    total = counts.sum()
    mean = float(counts @ _LEVELS / total)
    return mean, float(np.sqrt(counts @ np.square(_LEVELS - mean) / total))


def _sharpness(luma: Image.Image) -> float:
    factor = -(-max(luma.size) // _SHARPNESS_SIDE)
    grey = np.asarray(luma.reduce(factor) if factor > 1 else luma).astype(np.int64)
    if min(grey.shape) < 3:
        return 0.0
    neighbours = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    edges = (neighbours - 4 * grey[1:-1, 1:-1]).ravel()
    # In whole numbers: exact, and quicker than numpy.var.
    total, squares = int(edges.sum()), int(edges @ edges)
    return (squares - total * total / edges.size) / edges.size
