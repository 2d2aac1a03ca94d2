"""Columns of pictures: encoded bytes, Spark's image struct, or paths and URIs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from darkroom.contract import ConfigError
from darkroom.files.uris import read_uri
from darkroom.images import rgb_of
from darkroom.images.structs import IMAGE_FIELDS
from darkroom.ml.base.attaching import column_type
from darkroom.ml.inference import ImageSource

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

USABLE: Final = (
    "BINARY (an encoded picture), Spark's image struct, or STRING (the path or URI of a picture)"
)

Loader = Callable[[str], Any]
"""A user's function from a path or URI to an array."""


class ImageKind(StrEnum):
    """What a column of pictures holds."""

    BYTES = "bytes"
    STRUCT = "struct"
    URI = "uri"


def image_kind(frame: DataFrame, column: str) -> ImageKind:
    """Tells from its type what a column of pictures holds.

    Raises:
        ConfigError: There is no such column, or its type cannot be a picture.
    """
    from pyspark.sql.types import BinaryType, StringType, StructType

    kind = column_type(frame, "inputCol", column)
    if isinstance(kind, BinaryType):
        return ImageKind.BYTES
    if isinstance(kind, StringType):
        return ImageKind.URI
    if isinstance(kind, StructType) and set(IMAGE_FIELDS) <= set(kind.names):
        return ImageKind.STRUCT
    raise ConfigError("inputCol", column, f"its type is {kind.simpleString()}: it must be {USABLE}")


def image_type() -> StructType:
    """Spark's image struct, as ``pyspark.ml.image.ImageSchema.columnSchema`` has it."""
    from pyspark.sql.types import BinaryType, IntegerType, StringType, StructType

    kind = StructType().add("origin", StringType())
    for name in ("height", "width", "nChannels", "mode"):
        kind = kind.add(name, IntegerType(), nullable=False)
    return kind.add("data", BinaryType(), nullable=False)


def images_of(array: pa.Array) -> Iterator[ImageSource]:
    """Pictures of an Arrow column, one at a time; what is slow is left to the decoding threads.

    Args:
        array: Binary, string, or structs with at least `IMAGE_FIELDS`.

    Yields:
        Encoded bytes, a function that reads or converts, or None for a null.

    Raises:
        TypeError: The column holds something else.
    """
    if pa.types.is_null(array.type):
        yield from [None] * len(array)
        return
    convert = converter_of(array.type)
    for value in array:
        yield partial(convert, value) if value.is_valid else None


def loaded_by(
    loader: Loader, shape: tuple[int | None, ...], array: pa.Array
) -> Iterator[ImageSource]:
    """Like `images_of`, for a column of URIs that a user's function reads.

    Args:
        loader: From URI to an array of ``shape``, or of (1, *shape).
        shape: Of the model's input, without the batch axis.
        array: Strings.

    Yields:
        A function that calls the loader and checks what it returns, or None for a null.
    """
    for value in array:
        yield partial(_load, loader, shape, value.as_py()) if value.is_valid else None


def fitting(answer: Any, shape: tuple[int | None, ...], source: str) -> NDArray[Any]:
    """Checks what a user's function returned.

    Args:
        answer: An array of ``shape`` or of (1, *shape), numbers.
        shape: Of the model's input, without the batch axis.
        source: What returned it, for the error.

    Returns:
        An array of ``shape``.

    Raises:
        ValueError: It is something else.
    """
    if answer is None:
        raise ValueError(f"{source} returned None")
    pixels = np.asarray(answer)
    if pixels.shape == (1, *shape):
        pixels = pixels[0]
    if pixels.shape != shape or pixels.dtype.kind not in "biuf":
        raise ValueError(
            f"{source} returned {pixels.shape} of {pixels.dtype}, the model takes numbers of "
            f"shape {shape}"
        )
    return pixels


def _load(loader: Loader, shape: tuple[int | None, ...], uri: str) -> NDArray[Any]:
    return fitting(loader(uri), shape, "imageLoader")


def converter_of(kind: Any, what: str = "a picture") -> Callable[[Any], bytes | NDArray[Any]]:
    """How a value of an Arrow column becomes encoded bytes or RGB pixels.

    Raises:
        TypeError: The column can hold no pictures; the message calls a value ``what``.
    """
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return _bytes
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _file
    if pa.types.is_struct(kind) and set(IMAGE_FIELDS) <= {field.name for field in kind}:
        return rgb_of
    raise TypeError(f"{what} must be {USABLE}, not {kind}")


def _bytes(value: Any) -> bytes:
    content: bytes = value.as_py()
    return content


def _file(value: Any) -> bytes:
    return read_uri(value.as_py())
