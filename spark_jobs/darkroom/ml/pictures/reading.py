"""Files to pictures in Spark's image struct, lazily and in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from darkroom.contract import ConfigError, DataError, RejectReason
from darkroom.files.uris import UnreadableFileError, read_uri
from darkroom.images import (
    ImageRejectedError,
    ImageStruct,
    arrayToImageStruct,
    decode_rgb,
    resizeImage,
)
from darkroom.ml.answers import IMAGE_STORAGE
from darkroom.ml.pictures.column import image_type
from darkroom.ml.pictures.manifests import is_manifest, read_manifest, unknown_path

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import DataType

ORIGIN: Final = "origin"
IMAGE: Final = "image"
CONTENT: Final = "content"
REASON: Final = "reason"
DETAIL: Final = "detail"

BATCH_BYTES: Final = 32 * 1024**2
"""Decoded bytes that a worker gathers before it hands rows to the JVM."""


class ReadMode(StrEnum):
    """What becomes of a file that is no usable picture; Spark's own words."""

    PERMISSIVE = "permissive"
    """Its row stays: image is null, reason and detail say why."""
    DROPMALFORMED = "dropmalformed"
    """Its row is left out."""
    FAILFAST = "failfast"
    """The query fails, naming the file and the reason."""


def readImages(
    path: str | PurePath | Sequence[str | PurePath],
    *,
    recursive: bool = False,
    sampleRatio: float = 1.0,
    seed: int = 0,
    numPartitions: int | None = None,
    mode: str = ReadMode.PERMISSIVE,
    withContent: bool = False,
    spark: SparkSession | None = None,
) -> DataFrame:
    """Reads pictures into Spark's image struct; nothing is opened before the result is used.

    Args:
        path: A folder, a glob, a file, a manifest (``.csv`` with a header, ``.json`` or ``.jsonl``
            with one object a line, ``.parquet``) with a column ``path``, or a list of these. A
            manifest's relative paths start at its folder; its other columns are kept.
        recursive: Whether to look into the sub-folders of a folder. Spark leaves out files
            without any bytes and names that begin with ``_`` or ``.``; a manifest may name them.
        sampleRatio: Share of the files to read, above 0 and at most 1. Which ones depends on
            their paths and on ``seed`` alone.
        seed: Chooses another sample.
        numPartitions: Partitions of the result; None leaves that to Spark.
        mode: ``permissive``, ``dropmalformed`` or ``failfast``, see `ReadMode`.
        withContent: Whether to keep the encoded bytes, in the column ``content``.
        spark: The session; None for the active one.

    Returns:
        Columns origin (string), image (Spark's struct: uint8, three channels, BGR), content
        (binary) if asked for, reason and detail (string) in mode ``permissive``, and a manifest's
        other columns or the partition columns of a folder.

    Raises:
        ConfigError: An argument is unusable, or nothing is there.
        DataError: Inside the query, in mode ``failfast``: the first unusable file.

    Example:
        >>> images = readImages("photos", recursive=True, mode="dropmalformed")
        >>> images.select("origin", "image.height").show()  # doctest: +SKIP
    """
    paths = _paths(path)
    chosen = _read_mode(mode)
    _check_numbers(sampleRatio, seed, numPartitions)
    session = spark or _active_session()
    frames = [_sample(frame, sampleRatio, seed) for frame in _sources(session, paths, recursive)]
    if numPartitions is not None:
        frames = [frame.repartition(numPartitions) for frame in frames]
    images = [decodeImages(frame, mode=chosen, withContent=withContent) for frame in frames]
    result = images[0]
    for more in images[1:]:
        result = result.unionByName(more, allowMissingColumns=True)
    several = numPartitions is not None and len(images) > 1
    return result.coalesce(numPartitions) if several and numPartitions else result


def decodeImages(
    frame: DataFrame,
    *,
    pathCol: str = "path",
    contentCol: str = CONTENT,
    mode: str = ReadMode.PERMISSIVE,
    withContent: bool = False,
) -> DataFrame:
    """Decodes files that are listed or already read; streaming DataFrames work as well.

    Args:
        frame: Reads ``pathCol`` (string) and ``contentCol`` (binary) as Spark's ``binaryFile``
            source makes them. Without ``contentCol`` the workers open the paths, which may be URIs.
        pathCol: Becomes the column origin.
        contentCol: The encoded bytes.
        mode: ``permissive``, ``dropmalformed`` or ``failfast``, see `ReadMode`.
        withContent: Whether to keep the encoded bytes, in the column ``content``.

    Returns:
        Columns origin, image, content if asked for, reason and detail in mode ``permissive``, then
        the others of ``frame``. Rows keep their order; a null path with null content gives a null
        image and no reason.

    Raises:
        ConfigError: ``mode`` is unknown, or the columns do not fit.
        DataError: Inside the query, in mode ``failfast``: the first unusable file.

    Example:
        >>> files = spark.readStream.format("binaryFile").schema(
        ...     "path string, modificationTime timestamp, length long, content binary"
        ... ).load("incoming")  # doctest: +SKIP
        >>> images = decodeImages(files)  # doctest: +SKIP
    """
    from pyspark.sql.types import StructField, StructType

    chosen = _read_mode(mode)
    fields = {field.name: field for field in frame.schema.fields}
    _check_column(fields, "pathCol", pathCol, "string")
    has_content = contentCol in fields
    if has_content:
        _check_column(fields, "contentCol", contentCol, "binary")
    added = _added_columns(chosen, withContent)
    kept = [name for name in fields if name not in {pathCol, contentCol}]
    for name in kept:
        if name in added:
            raise ConfigError("frame", name, "this column is added: rename the one there is")
    new = [StructField(name, kind) for name, kind in added.items()]
    schema = StructType(new + [fields[name] for name in kept])
    source = _Source(pathCol, contentCol if has_content else None, chosen, tuple(schema.names))
    return frame.mapInArrow(_decoder(source), schema)


def createResizeImageUDF(
    size: Sequence[int],
) -> Callable[..., Any]:
    """Makes a function on columns that resizes Spark's image structs.

    Args:
        size: Target (height, width) in pixels.

    Returns:
        A UDF from an image struct to one of the same origin, mode and number of channels; null
        in, null out. A struct that contradicts itself fails the query.

    Raises:
        ConfigError: ``size`` is not two whole numbers above 0.

    Example:
        >>> small = createResizeImageUDF((64, 64))
        >>> images.select(small("image").alias("image"))  # doctest: +SKIP
    """
    from pyspark.sql.functions import udf

    usable = isinstance(size, Sequence) and len(size) == 2
    if not usable or any(type(side) is not int or side < 1 for side in size):
        raise ConfigError("size", size, "give (height, width), whole numbers above 0")
    height, width = size
    return udf(lambda image: resizeImage(image, height, width), image_type())


@dataclass(frozen=True)
class _Source:
    """Where a worker finds pictures in a batch, and what it makes of them."""

    path_col: str
    content_col: str | None
    mode: ReadMode
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Decoded:
    """What came of one file."""

    image: ImageStruct | None = None
    content: bytes | None = None
    reason: str | None = None
    detail: str | None = None

    @property
    def size(self) -> int:
        return len(self.content or b"") + (len(self.image.data) if self.image else 0)


def _decoder(
    source: _Source,
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def decode(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            start, rows, gathered = 0, [], 0
            for decoded in _decode_batch(batch, source):
                rows.append(decoded)
                gathered += decoded.size
                if gathered >= BATCH_BYTES:
                    yield _assemble(batch.slice(start, len(rows)), rows, source)
                    start, rows, gathered = start + len(rows), [], 0
            if rows:
                yield _assemble(batch.slice(start, len(rows)), rows, source)

    return decode


def _decode_batch(batch: pa.RecordBatch, source: _Source) -> Iterator[_Decoded]:
    paths = batch.column(source.path_col)
    contents: Iterable[Any] = [None] * len(paths)
    if source.content_col:
        contents = batch.column(source.content_col)
    keep = CONTENT in source.columns
    for path, content in zip(paths, contents, strict=True):
        origin = path.as_py()
        try:
            data = content.as_py() if source.content_col else _read(origin)
            yield _decode(origin, data, keep)
        except ImageRejectedError as rejected:
            if source.mode is ReadMode.FAILFAST:
                raise DataError(f"{origin}: {rejected}") from None
            kept = data if keep and rejected.reason != RejectReason.UNREADABLE_FILE else None
            yield _Decoded(None, kept, str(rejected.reason), rejected.detail)


def _decode(origin: str | None, data: bytes | None, keep: bool) -> _Decoded:
    if data is None:
        return _Decoded()
    image = arrayToImageStruct(decode_rgb(data), origin or "", channelOrder="RGB")
    return _Decoded(image, data if keep else None)


def _read(uri: str | None) -> bytes | None:
    try:
        return None if uri is None else read_uri(uri)
    except UnreadableFileError as error:
        raise ImageRejectedError(RejectReason.UNREADABLE_FILE, str(error)) from None


def _assemble(batch: pa.RecordBatch, rows: list[_Decoded], source: _Source) -> pa.RecordBatch:
    made = {
        ORIGIN: batch.column(source.path_col),
        IMAGE: pa.array([row.image and row.image._asdict() for row in rows], IMAGE_STORAGE),
        CONTENT: pa.array([row.content for row in rows], pa.binary()),
        REASON: pa.array([row.reason for row in rows], pa.string()),
        DETAIL: pa.array([row.detail for row in rows], pa.string()),
    }
    columns = [made[name] if name in made else batch.column(name) for name in source.columns]
    whole = pa.RecordBatch.from_arrays(columns, names=list(source.columns))
    if source.mode is ReadMode.DROPMALFORMED:
        return whole.filter(pa.array([row.image is not None for row in rows]))
    return whole


def _added_columns(mode: ReadMode, with_content: bool) -> dict[str, DataType]:
    from pyspark.sql.types import BinaryType, StringType

    added: dict[str, DataType] = {ORIGIN: StringType(), IMAGE: image_type()}
    if with_content:
        added[CONTENT] = BinaryType()
    if mode is ReadMode.PERMISSIVE:
        added |= {REASON: StringType(), DETAIL: StringType()}
    return added


def _sources(spark: SparkSession, paths: list[str], recursive: bool) -> list[DataFrame]:
    """One DataFrame for all folders, globs and files together, and one for each manifest."""
    plain = [path for path in paths if not is_manifest(path)]
    frames = [_read_files(spark, plain, recursive)] if plain else []
    return frames + [read_manifest(spark, path) for path in paths if is_manifest(path)]


def _read_files(spark: SparkSession, paths: list[str], recursive: bool) -> DataFrame:
    reader = spark.read.format("binaryFile").option("recursiveFileLookup", recursive)
    try:
        frame = reader.load(paths).drop("modificationTime", "length")
        frame.schema  # noqa: B018 - Spark Connect looks at the paths no sooner
    except Exception as error:
        raise unknown_path(error, paths) from None
    return frame


def _sample(frame: DataFrame, ratio: float, seed: int) -> DataFrame:
    from pyspark.sql import functions as f

    if ratio == 1:
        return frame
    # Of the path and not of the row, so that a sample is the same however Spark splits the files.
    place = f.pmod(f.xxhash64(f.lit(seed), f.col("path")), f.lit(1_000_000))
    return frame.where(place < round(ratio * 1_000_000))


def _active_session() -> SparkSession:
    from pyspark.sql import SparkSession

    return SparkSession.builder.getOrCreate()


def _paths(path: Any) -> list[str]:
    items = [path] if isinstance(path, str | PurePath) else path
    if isinstance(items, list | tuple) and items:
        texts = [os.fspath(item) if isinstance(item, PurePath) else item for item in items]
        if all(isinstance(text, str) and text for text in texts):
            return texts
    raise ConfigError("path", path, "give a folder, a glob, a manifest, or a list of these")


def _read_mode(mode: Any) -> ReadMode:
    try:
        return ReadMode(mode.lower() if isinstance(mode, str) else mode)
    except ValueError:
        raise ConfigError("mode", mode, f"use one of {', '.join(ReadMode)}") from None


def _check_numbers(ratio: Any, seed: Any, partitions: Any) -> None:
    if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 0 < ratio <= 1:
        raise ConfigError("sampleRatio", ratio, "give a number above 0 and at most 1")
    if type(seed) is not int:
        raise ConfigError("seed", seed, "give a whole number")
    if partitions is not None and (type(partitions) is not int or partitions < 1):
        raise ConfigError("numPartitions", partitions, "give a whole number above 0, or None")


def _check_column(fields: dict[str, Any], field: str, name: str, kind: str) -> None:
    if name not in fields:
        raise ConfigError(field, name, f"no such column, there are {list(fields)}")
    found = fields[name].dataType.simpleString()
    if found != kind:
        raise ConfigError(field, name, f"its type is {found}: it must be {kind}")
