"""Bytes to RGB uint8, and one resize.

Channel order is RGB everywhere in this package; Spark's image struct is BGR and is converted at
its own border, not here.
"""

from __future__ import annotations

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from darkroom.contract.reasons import RejectReason

PIXEL_PATH_VERSION = "1"
"""Part of every feature key: raise it when a change below alters any pixel."""

MAX_PIXELS = 89_478_485
"""Decompression-bomb limit in pixels (Pillow's own default: a 256 MiB RGB picture)."""

_SIXTEEN_BIT_MODES = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I"})


class ImageRejectedError(ValueError):
    """An image that must not be used.

    Attributes:
        reason: The reason code.
        detail: One line for a person, without a traceback.
    """

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def open_image(data: bytes) -> Image.Image:
    """Opens encoded bytes and reads the header only.

    Args:
        data: An encoded picture in any format that Pillow knows.

    Returns:
        A lazily decoded Pillow image, positioned on its first frame.

    Raises:
        ImageRejectedError: EMPTY, NOT_AN_IMAGE, CORRUPT or TOO_LARGE.
    """
    if not data:
        raise ImageRejectedError(RejectReason.EMPTY, "the file holds no bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        start = data[:12].hex(" ")
        raise ImageRejectedError(
            RejectReason.NOT_AN_IMAGE, f"no known image format starts with bytes {start}"
        ) from None
    except Image.DecompressionBombError as error:
        raise ImageRejectedError(RejectReason.TOO_LARGE, _one_line(error)) from None
    except Exception as error:
        raise ImageRejectedError(RejectReason.CORRUPT, _one_line(error)) from None
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageRejectedError(
            RejectReason.TOO_LARGE, f"{width}x{height} pixels, the limit is {MAX_PIXELS}"
        )
    return image


def decode_rgb(data: bytes) -> NDArray[np.uint8]:
    """Decodes encoded bytes to RGB.

    EXIF orientation is applied; CMYK and YCCK are converted; 16-bit grey keeps its high byte;
    palettes are expanded; transparency is composited over white; grey is repeated over three
    channels; of an animation the first frame is taken.

    Args:
        data: An encoded picture.

    Returns:
        Array of shape (height, width, 3), dtype uint8, range 0-255, channel order RGB.

    Raises:
        ImageRejectedError: The picture is empty, unknown, truncated, corrupt or too large.
    """
    return load_rgb(open_image(data))


def load_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Decodes an opened image completely; see `decode_rgb` for what becomes of each mode.

    Args:
        image: What `open_image` returned.

    Returns:
        Array of shape (height, width, 3), dtype uint8, range 0-255, channel order RGB.

    Raises:
        ImageRejectedError: TRUNCATED or CORRUPT.
    """
    try:
        image.load()
        upright = ImageOps.exif_transpose(image)
        return np.asarray(_to_rgb(upright), dtype=np.uint8)
    except Exception as error:
        raise ImageRejectedError(_failure_reason(error), _one_line(error)) from None


def resize_rgb(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Resizes with Pillow's bilinear filter (antialiased when shrinking), ignoring aspect ratio.

    Args:
        pixels: Array of shape (h, w, 3), dtype uint8.
        height: Target height in pixels.
        width: Target width in pixels.

    Returns:
        Array of shape (height, width, 3), dtype uint8; the input itself when it has that size.
    """
    if pixels.shape[:2] == (height, width):
        return pixels
    resized = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.uint8)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in _SIXTEEN_BIT_MODES:
        # Pillow's own conversion clips at 255 instead of scaling.
        wide = np.asarray(image).astype(np.int64)
        return Image.fromarray((np.clip(wide, 0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layer).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _failure_reason(error: Exception) -> RejectReason:
    text = str(error).lower()
    cut = isinstance(error, EOFError) or "truncated" in text or "unexpected end" in text
    return RejectReason.TRUNCATED if cut else RejectReason.CORRUPT


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
