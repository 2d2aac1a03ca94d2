"""Bytes to RGB uint8, and one resize.

Channel order is RGB everywhere in this package; Spark's image struct is BGR and is converted at
its own border, not here.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from darkroom.contract.errors import one_line
from darkroom.contract.reasons import RejectReason
from darkroom.images.signatures import known_format, unsupported_kind
from darkroom.images.stored import orientation, raw_mode

PIXEL_PATH_VERSION = "2"
"""Part of every feature key: raise it when a change below alters any pixel."""

MAX_PIXELS = 89_478_485
"""Decompression-bomb limit in pixels (Pillow's own default: a 256 MiB RGB picture)."""

SPARE_SIZE = 2
"""How many times the wanted size a JPEG decoder that shrinks must leave; docs/performance.md."""

_SIXTEEN_BIT_MODES = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I"})

_COMMON_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""Tried first, so that a worker seldom imports the other thirty."""

_NOT_PIXELS = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
"""Pillow knows these by their first bytes only, or by running another program on them (EPS)."""

_WORDS_OF_A_CUT = (
    "truncated",
    "unexpected end",
    "only got",
    "requires a buffer",
    "incomplete checksum",
    "no more images",
)
"""How Pillow's decoders say that a file ends too early."""

_WORDS_OF_A_LACK = ("unsupported", "not supported", "not available")
"""How they say that they know the format, but not this kind of it."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each EXIF orientation."""

_SWAPS_SIDES = frozenset(turn for orientation, turn in _UPRIGHT.items() if orientation >= 5)

_TIFF_PHOTOMETRIC = 262
_WHITE_IS_ZERO = 0


Size = tuple[int, int]
"""(width, height), as Pillow has it."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""


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
        ImageRejectedError: EMPTY, NOT_AN_IMAGE, TRUNCATED, CORRUPT or TOO_LARGE.
    """
    if not data:
        raise ImageRejectedError(RejectReason.EMPTY, "the file holds no bytes")
    try:
        image = _open(data)
    except UnidentifiedImageError:
        raise _unidentified(data) from None
    except Exception as error:
        raise ImageRejectedError(_failure_reason(error, data), one_line(error)) from None
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageRejectedError(
            RejectReason.TOO_LARGE, f"{width}x{height} pixels, the limit is {MAX_PIXELS}"
        )
    return image


def decode_rgb(data: bytes) -> NDArray[np.uint8]:
    """Decodes encoded bytes to RGB.

    EXIF orientation is applied; CMYK and YCCK are converted; 16-bit channels keep their high byte;
    floating-point grey in 0-1 is scaled to 0-255; palettes are expanded; transparency is
    composited over white; grey is repeated over three channels; of an animation the first frame
    is taken. Embedded colour profiles are not applied. docs/images.md has every case.

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
    return np.asarray(load_picture(image), dtype=np.uint8)


def load_picture(image: Image.Image) -> Image.Image:
    """What `load_rgb` does, before the pixels are handed to NumPy.

    Args:
        image: What `open_image` returned.

    Returns:
        A loaded Pillow image of mode RGB, upright.

    Raises:
        ImageRejectedError: TRUNCATED, CORRUPT or UNSUPPORTED_FORMAT.
    """
    try:
        return _turned(*_decode(image))
    except Exception as error:
        raise ImageRejectedError(_failure_reason(error), one_line(error)) from None


def read_rgb(data: bytes, height: int, width: int) -> NDArray[np.uint8]:
    """Decodes encoded bytes at the size that a network sees; how every network is given files.

    It is `resize_rgb` of `decode_rgb` but for large JPEG pictures: these are decoded at a half, a
    quarter or an eighth of their size, in the decoder's own frequency domain and several times as
    quickly, as long as that leaves `SPARE_SIZE` times the wanted size to resize from.

    Args:
        data: An encoded picture.
        height: Wanted height in pixels.
        width: Wanted width in pixels.

    Returns:
        Array of shape (height, width, 3), dtype uint8, range 0-255, channel order RGB.

    Raises:
        ImageRejectedError: The picture is empty, unknown, truncated, corrupt or too large.
    """
    image = open_image(data)
    try:
        size = (width, height)
        part = _shrink_while_decoding(image, size)
        picture, turn = _decode(image)
        if part is not None:
            stored = size if turn not in _SWAPS_SIDES else size[::-1]
            picture = picture.resize(stored, Image.Resampling.BILINEAR, box=part)
        picture = _turned(picture, turn)
        if picture.size != size:
            picture = picture.resize(size, Image.Resampling.BILINEAR)
        return np.asarray(picture, dtype=np.uint8)
    except Exception as error:
        raise ImageRejectedError(_failure_reason(error), one_line(error)) from None


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


def _shrink_while_decoding(image: Image.Image, size: Size) -> Box | None:
    """Has a large JPEG picture decoded smaller; the part of the result that shows all of it.

    A side that is no multiple of the scale leaves a last row or column that is only partly true.
    """
    if not isinstance(image, JpegImageFile):
        return None
    least = (SPARE_SIZE * size[0], SPARE_SIZE * size[1])
    # The orientation is undone after decoding: until then the sides may be swapped.
    swapped = _UPRIGHT.get(orientation(image)) in _SWAPS_SIDES
    stored = image.size
    drafted = image.draft(None, least[::-1] if swapped else least)
    return None if drafted is None or image.size == stored else drafted[1]


def _decode(image: Image.Image) -> tuple[Image.Image, Image.Transpose | None]:
    """Decodes an opened image to mode RGB as it is stored, and what turns it upright."""
    stored_as = raw_mode(image)
    _keep_uncovered_canvas(image)
    image.load()
    turn = _UPRIGHT.get(orientation(image))
    picture = _to_rgb(image, stored_as)
    return picture, turn


def _turned(picture: Image.Image, turn: Image.Transpose | None) -> Image.Image:
    return picture if turn is None else picture.transpose(turn)


def flatten_rgba(image: Image.Image) -> Image.Image:
    """Lays a picture of mode RGBA over white; the result is RGB."""
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image).convert("RGB")


def float_to_uint8(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Rounds floating-point pixels to 0-255; those that all lie in 0-1 are scaled first.

    Args:
        values: Array of any shape; NaN counts as 0, what is out of range is clipped.

    Returns:
        Array of the same shape, dtype uint8.
    """
    known = np.nan_to_num(values, nan=0.0)
    # Either convention of floating-point pictures; read as 0-255, 0-1 would be black throughout.
    scale = 255.0 if known.size and known.max() <= 1 else 1.0
    rounded: NDArray[np.uint8] = np.rint(np.clip(known * scale, 0, 255)).astype(np.uint8)
    return rounded


def _open(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=_COMMON_FORMATS)
    except UnidentifiedImageError:
        if known_format(data):
            raise
    Image.init()
    others = [name for name in Image.ID if name not in _NOT_PIXELS.union(_COMMON_FORMATS)]
    return Image.open(io.BytesIO(data), formats=others)


def _unidentified(data: bytes) -> ImageRejectedError:
    """Tells damage right behind a known signature from bytes that are no picture."""
    name = known_format(data)
    if name is None and (kind := unsupported_kind(data)):
        detail = f"{kind} files are not decoded here: save the picture as JPEG or PNG"
        return ImageRejectedError(RejectReason.UNSUPPORTED_FORMAT, detail)
    if name is None:
        start = data[:12].hex(" ")
        return ImageRejectedError(
            RejectReason.NOT_AN_IMAGE, f"no known image format starts with bytes {start}"
        )
    try:
        # Image.open keeps the plugin's own words to itself.
        Image.OPEN[name][0](io.BytesIO(data), "")
    except Exception as error:
        detail = f"the {name} header cannot be read: {error}"
        return ImageRejectedError(_failure_reason(error, data), one_line(detail))
    return ImageRejectedError(RejectReason.CORRUPT, f"the {name} header cannot be read")


def _keep_uncovered_canvas(image: Image.Image) -> None:
    """Lets an animated WebP keep its alpha: frames without any may leave canvas uncovered."""
    if image.format == "WEBP" and image.mode == "RGB" and getattr(image, "is_animated", False):
        image._mode = "RGBA"
        image.rawmode = "RGBA"  # type: ignore[attr-defined]


def _to_rgb(image: Image.Image, raw_mode: str) -> Image.Image:
    if image.mode in _SIXTEEN_BIT_MODES:
        return Image.fromarray(_high_byte(image, raw_mode)).convert("RGB")
    if image.mode == "F":
        return Image.fromarray(float_to_uint8(np.asarray(image))).convert("RGB")
    if raw_mode.startswith("RGB;16"):
        # The transparent colour is given in 16 bits and the pixels have 8 left.
        image.info.pop("transparency", None)
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        return flatten_rgba(image.convert("RGBA"))
    return image if image.mode == "RGB" else image.convert("RGB")


def _high_byte(image: Image.Image, raw_mode: str) -> NDArray[np.uint8]:
    # Pillow's own conversion clips at 255 instead of scaling.
    wide = np.asarray(image).astype(np.int64)
    shift = 4 if raw_mode == "I;12" else 8
    grey = (np.clip(wide, 0, (256 << shift) - 1) >> shift).astype(np.uint8)
    tags = getattr(image, "tag_v2", {})
    if tags.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO:
        grey = 255 - grey
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[wide == transparent] = 255
    return grey


def _failure_reason(error: Exception, data: bytes = b"") -> RejectReason:
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return RejectReason.TOO_LARGE
    text = str(error).lower()
    cut = isinstance(error, EOFError) or any(words in text for words in _WORDS_OF_A_CUT)
    if cut or _is_cut(data):
        return RejectReason.TRUNCATED
    lacks = any(words in text for words in _WORDS_OF_A_LACK)
    return RejectReason.UNSUPPORTED_FORMAT if lacks else RejectReason.CORRUPT


def _is_cut(data: bytes) -> bool:
    """Whether a WebP or TIFF file is shorter than it says itself; their decoders do not tell."""
    if data.startswith((b"II*\0", b"MM\0*")):
        return len(data) <= int.from_bytes(data[4:8], "little" if data[:1] == b"I" else "big")
    return data[:4] == b"RIFF" and len(data) < 8 + int.from_bytes(data[4:8], "little")
