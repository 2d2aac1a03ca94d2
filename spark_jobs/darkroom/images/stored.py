"""What a file says of its picture before any pixel is converted."""

from __future__ import annotations

import re
from typing import Final

from PIL import ExifTags, Image

_DIGITS = re.compile(r";(\d+)")

_PACKED: Final = {"BGR;15": 5, "BGR;16": 6, "RGB;15": 5, "RGB;16": 6}
"""Raw modes that name the bits of a pixel, not of a channel; the widest channel counts."""

_BITS_OF_MODE: Final = {"1": 1, "I": 32, "F": 32, "I;16": 16, "I;16L": 16, "I;16B": 16}
_USUAL_BITS: Final = 8


def raw_mode(image: Image.Image) -> str:
    """How the file stores its pixels, in Pillow's words; known until the picture is loaded."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else None
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1-8; 1 (upright) where there is none or an impossible one."""
    try:
        value = int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        # Damaged metadata: the pixels are whole, and every viewer shows them as they are stored.
        return 1
    return value if 1 <= value <= 8 else 1


def bit_depth(image: Image.Image) -> int:
    """Bits of a channel as stored, before the picture is loaded: 1, 2, 4, 8, 12, 16, 32."""
    raw = raw_mode(image)
    if raw in _PACKED:
        return _PACKED[raw]
    named = _DIGITS.search(raw)
    return int(named[1]) if named else _BITS_OF_MODE.get(image.mode, _USUAL_BITS)


def is_animated(image: Image.Image) -> bool:
    """Whether the file has more than one frame or page; only the first is ever used."""
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:
        # What follows the first frame is damaged, and nobody looks at it.
        return False
