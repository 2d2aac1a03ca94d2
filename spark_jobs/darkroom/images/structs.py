"""Spark's image struct and arrays: the border where BGR becomes RGB.

The struct is ``pyspark.ml.image.ImageSchema``'s: origin, height, width, nChannels, mode (an OpenCV
type), data (rows from the top, without padding; of three or four channels blue comes first).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from darkroom.contract import RejectReason
from darkroom.images.pixels import ImageRejectedError, decode_rgb, flatten_rgba, float_to_uint8

IMAGE_FIELDS: Final = ("origin", "height", "width", "nChannels", "mode", "data")
"""Fields of Spark's image struct, in its order."""

CHANNEL_ORDERS: Final = ("BGR", "RGB", "L")
"""BGR and RGB stand for BGRA and RGBA as well; L is one channel of grey."""

OPENCV_MODES: Final[Mapping[int, tuple[str, int]]] = {
    0: ("uint8", 1),
    16: ("uint8", 3),
    24: ("uint8", 4),
    5: ("float32", 1),
    21: ("float32", 3),
    29: ("float32", 4),
}
"""OpenCV type -> dtype and channels: CV_8UC1, 8UC3, 8UC4, 32FC1, 32FC3, 32FC4."""

_MODE_OF: Final = {kind: mode for mode, kind in OPENCV_MODES.items()}

_USABLE = ", ".join(f"{mode} ({dtype} x {n})" for mode, (dtype, n) in OPENCV_MODES.items())


class ImageStruct(NamedTuple):
    """One value of Spark's image struct; `createDataFrame` and UDFs take it as it is.

    Attributes:
        origin: Where the picture comes from.
        height: Rows of pixels.
        width: Columns of pixels.
        nChannels: 1, 3 or 4.
        mode: OpenCV type, a key of `OPENCV_MODES`.
        data: height x width x nChannels values, row by row; blue first; float32 little-endian.
    """

    origin: str
    height: int
    width: int
    nChannels: int  # noqa: N815 - Spark's name
    mode: int
    data: bytes


def imageStructToArray(  # noqa: N802 - sparkdl's name
    image: Any,
    channelOrder: str = "BGR",  # noqa: N803
) -> NDArray[Any]:
    """Turns Spark's image struct into an array.

    Args:
        image: `ImageStruct`, ``pyspark.sql.Row``, dict or Arrow struct scalar.
        channelOrder: Order of the array's channels: ``BGR`` (as stored), ``RGB``, or ``L``, which
            takes one-channel pictures only. A fourth channel, alpha, stays last; one channel is
            the same in every order.

    Returns:
        Writable array of shape (height, width, nChannels); uint8, or float32 as stored.

    Raises:
        TypeError: ``image`` is no image struct.
        ValueError: Its fields contradict each other, or ``channelOrder`` does not fit.

    Example:
        >>> struct = arrayToImageStruct(np.zeros((2, 3, 3), dtype=np.uint8))
        >>> imageStructToArray(struct, channelOrder="RGB").shape
        (2, 3, 3)
    """
    stored = _view(image)
    _check_order(channelOrder, stored.shape[2])
    return _reordered(stored, channelOrder).copy()


def arrayToImageStruct(  # noqa: N802 - sparkdl's name
    array: NDArray[Any],
    origin: str = "",
    channelOrder: str = "BGR",  # noqa: N803
) -> ImageStruct:
    """Turns an array into Spark's image struct, without loss.

    Args:
        array: Shape (height, width) or (height, width, channels) with 1, 3 or 4 channels; uint8
            or float32.
        origin: Where the picture comes from.
        channelOrder: Order of the array's channels: ``BGR``, ``RGB`` or ``L``; the struct is BGR
            in any case.

    Returns:
        The struct.

    Raises:
        TypeError: ``array`` is no NumPy array of uint8 or float32.
        ValueError: Its shape or ``channelOrder`` does not fit.
    """
    pixels = _checked(array)
    height, width, channels = pixels.shape
    _check_order(channelOrder, channels)
    data = _reordered(pixels, channelOrder).astype(pixels.dtype.newbyteorder("<"), copy=False)
    mode = _MODE_OF[pixels.dtype.name, channels]
    return ImageStruct(origin, height, width, channels, mode, data.tobytes())


def imageStructToRGB(image: Any) -> NDArray[np.uint8]:  # noqa: N802 - as its neighbours
    """Turns Spark's image struct into what `decode_rgb` makes of a file.

    Grey is repeated, alpha is laid over white, float32 in 0-1 is scaled to 0-255 and other float32
    values are rounded and clipped.

    Args:
        image: `ImageStruct`, ``pyspark.sql.Row``, dict or Arrow struct scalar.

    Returns:
        Array of shape (height, width, 3), dtype uint8, range 0-255, channel order RGB; it may be
        read-only.

    Raises:
        TypeError: ``image`` is no image struct.
        ValueError: Its fields contradict each other.
    """
    stored = _view(image)
    if stored.dtype != np.uint8:
        stored = float_to_uint8(stored)
    if stored.shape[2] == 1:
        return np.repeat(stored, 3, axis=2)
    pixels = np.ascontiguousarray(_reordered(stored, "RGB"))
    if stored.shape[2] == 4:
        return np.asarray(flatten_rgba(Image.fromarray(pixels)), dtype=np.uint8)
    return pixels


def resizeImage(  # noqa: N802 - sparkdl's style
    image: Any, height: int, width: int
) -> Any:
    """Resizes a picture with the filter of `resize_rgb`, ignoring its aspect ratio.

    Args:
        image: An array as `arrayToImageStruct` takes it, or an image struct; None stays None.
        height: Target height in pixels.
        width: Target width in pixels.

    Returns:
        What was given: an array of shape (height, width, channels), or an `ImageStruct` of the same
        origin and mode.

    Raises:
        TypeError: ``image`` is neither.
        ValueError: ``height`` or ``width`` is below 1, or ``image`` contradicts itself.
    """
    for name, value in (("height", height), ("width", width)):
        if type(value) is not int or value < 1:
            raise ValueError(f"{name} = {value!r}: give a whole number of at least 1")
    if image is None:
        return None
    if isinstance(image, np.ndarray):
        return _resized(_checked(image), height, width)
    resized = _resized(_view(image), height, width)
    return arrayToImageStruct(resized, origin=_fields(image)["origin"] or "")


def rgb_of(value: Any) -> NDArray[np.uint8]:
    """Pixels of a picture in any form that a column holds.

    Args:
        value: Encoded bytes (bytes, bytearray, memoryview, Arrow binary scalar) or an image struct
            (`ImageStruct`, ``Row``, dict, Arrow struct scalar, whose data are not copied).

    Returns:
        Array of shape (height, width, 3), dtype uint8, range 0-255, channel order RGB; it may be
        read-only.

    Raises:
        ImageRejectedError: The bytes or the struct hold no usable picture.
        TypeError: ``value`` is neither, which is a wrong column and not a bad picture.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        return decode_rgb(bytes(value))
    if hasattr(value, "as_buffer"):
        return decode_rgb(value.as_py())
    try:
        return imageStructToRGB(value)
    except ImageRejectedError:
        raise
    except ValueError as error:
        raise ImageRejectedError(RejectReason.CORRUPT, str(error)) from None


def _fields(image: Any) -> dict[str, Any]:
    try:
        if isinstance(image, ImageStruct):
            return image._asdict()
        return {name: _plain(image[name]) for name in IMAGE_FIELDS}
    except (TypeError, KeyError, IndexError, ValueError):
        raise TypeError(
            f"image of type {type(image).__name__}: give Spark's image struct with the fields "
            f"{', '.join(IMAGE_FIELDS)}"
        ) from None


def _plain(value: Any) -> Any:
    # Arrow scalars: the pixels stay where they are.
    if hasattr(value, "as_buffer"):
        return value.as_buffer()
    return value.as_py() if hasattr(value, "as_py") else value


def _view(image: Any) -> NDArray[Any]:
    """The stored values, (height, width, nChannels), read-only and not copied."""
    fields = _fields(image)
    shape = tuple(fields[name] for name in ("height", "width", "nChannels"))
    mode, data = fields["mode"], fields["data"]
    if mode is None or mode < 0 or data is None:
        # What Spark's own image source makes of a file that it cannot read.
        raise ImageRejectedError(
            RejectReason.NOT_AN_IMAGE, f"the struct holds no picture (mode = {mode})"
        )
    if mode not in OPENCV_MODES:
        raise ValueError(f"mode = {mode}: no such OpenCV type here, use one of {_USABLE}")
    name, channels = OPENCV_MODES[mode]
    if shape[2] != channels:
        raise ValueError(f"nChannels = {shape[2]}: mode {mode} ({name}) has {channels}")
    if any(side is None or side < 1 for side in shape):
        raise ValueError(f"height x width = {shape[0]} x {shape[1]}: each must be at least 1")
    kind = np.dtype(name).newbyteorder("<")
    needed, found = math.prod(shape) * kind.itemsize, memoryview(data).nbytes
    if needed != found:
        raise ValueError(
            f"data of {found} bytes: {shape[0]} x {shape[1]} x {channels} of {name} need {needed}"
        )
    view = np.frombuffer(data, dtype=kind).reshape(shape)
    return view if sys.byteorder == "little" else view.astype(kind.newbyteorder("="))


def _checked(array: Any) -> NDArray[Any]:
    if not isinstance(array, np.ndarray):
        raise TypeError(f"array of type {type(array).__name__}: give a NumPy array")
    if array.dtype.name not in {"uint8", "float32"}:
        raise TypeError(
            f"array of dtype {array.dtype}: give uint8 (0-255) or float32, for example "
            "array.astype('float32')"
        )
    pixels = array[:, :, np.newaxis] if array.ndim == 2 else array
    if pixels.ndim != 3 or pixels.shape[2] not in {1, 3, 4} or 0 in pixels.shape:
        raise ValueError(
            f"array of shape {array.shape}: give (height, width) or (height, width, channels) "
            "with 1, 3 or 4 channels, none of them 0"
        )
    return pixels


def _check_order(order: str, channels: int) -> None:
    if order not in CHANNEL_ORDERS:
        raise ValueError(f"channelOrder = {order!r}: use one of {', '.join(CHANNEL_ORDERS)}")
    if order == "L" and channels != 1:
        raise ValueError(f"channelOrder = 'L': the picture has {channels} channels, use BGR or RGB")


def _reordered(pixels: NDArray[Any], order: str) -> NDArray[Any]:
    """Swaps red and blue where the order asks for it; its own inverse."""
    if order != "RGB" or pixels.shape[2] == 1:
        return pixels
    return pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]


def _resized(pixels: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    if pixels.shape[:2] == (height, width):
        return pixels
    size = (width, height)
    if pixels.dtype == np.uint8:
        whole = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        resized = np.asarray(whole.resize(size, Image.Resampling.BILINEAR))
    else:
        layers = [
            Image.fromarray(np.ascontiguousarray(layer)) for layer in np.moveaxis(pixels, 2, 0)
        ]
        resized = np.stack(
            [np.asarray(layer.resize(size, Image.Resampling.BILINEAR)) for layer in layers], axis=2
        )
    return resized.reshape(height, width, pixels.shape[2])
