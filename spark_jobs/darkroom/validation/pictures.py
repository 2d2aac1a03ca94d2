"""Small pictures for the page of a validation; Spark's workers make them, only they travel."""

from __future__ import annotations

import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from darkroom import pages
from darkroom.contract import RejectReason
from darkroom.contract import columns as c
from darkroom.contract.source import is_uri
from darkroom.images import ImageRejectedError, image_id_of

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

THUMBNAIL_PIXELS: Final = 96
MOST_SAMPLES: Final = 240
"""Pictures on the contact sheet; some 3 kB each."""

MOST_CLASSES: Final = MOST_SAMPLES
"""Classes on it: at least one picture each."""

MOST_PER_CLASS: Final = 8
FILES_PER_REASON: Final = 12
"""Rejected files that the page names; the table has them all."""

LARGEST_FILE: Final = 64 * 1024**2
"""A rejected file with more bytes is named but not opened again."""

DECODABLE: Final = (
    RejectReason.DUPLICATE,
    RejectReason.LABEL_CONFLICT,
    RejectReason.TOO_SMALL,
)
"""Reasons that say nothing against the picture itself. No other file is opened again; least of all
one outside of the sources, or one that somebody asked to forget."""

_FILE: Final = "file"
_RANK: Final = "rank"
_THUMBNAIL: Final = "thumbnail"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An accepted image, as the page shows it.

    Attributes:
        image_id: Its id.
        label: Its class; None without one.
        path: Below its source.
        thumbnail: A small JPEG file; None where the picture cannot be decoded.
    """

    image_id: str
    label: str | None
    path: str
    thumbnail: bytes | None


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A rejected file, as the page shows it.

    Attributes:
        reason: Its reason code.
        path: Below its source.
        detail: What was found.
        label: The class that it was found under, if any.
        thumbnail: A small JPEG file; None where it is not shown.
    """

    reason: str
    path: str
    detail: str
    label: str | None
    thumbnail: bytes | None


def samples_per_class(classes: int) -> int:
    """How many pictures of each class the contact sheet has."""
    return max(1, min(MOST_PER_CLASS, MOST_SAMPLES // max(classes, 1)))


def show_images(
    images: DataFrame, labels: Sequence[str], also: Collection[str] = ()
) -> list[Picture]:
    """Samples of each class, and some images by their id.

    A class's samples are those with the smallest ids, which are digests, in one of the table's
    files: at random, but the same every time, and no more files are read than there are classes.

    Args:
        images: A snapshot as `Lake.read` returns it, not empty; reads image_id, label, path,
            image, width, height.
        labels: The classes; of each of the first `MOST_CLASSES` come `samples_per_class` pictures.
        also: Ids of further images.

    Returns:
        The pictures by label and id.
    """
    from pyspark.sql import functions as f
    from pyspark.sql.window import Window

    in_class = Window.partitionBy(c.LABEL).orderBy(f.xxhash64(_FILE), c.IMAGE_ID)
    located = images.select(
        c.IMAGE_ID, c.LABEL, f.col("_metadata.file_path").alias(_FILE)
    ).withColumn(_RANK, f.row_number().over(in_class))
    sample = f.col(c.LABEL).isin(*labels[:MOST_CLASSES]) & (
        f.col(_RANK) <= samples_per_class(len(labels))
    )
    chosen: list[Any] = located.where(sample | f.col(c.IMAGE_ID).isin(*also)).collect()
    if not chosen:
        return []
    there = f.col("_metadata.file_path").isin(*sorted({row[_FILE] for row in chosen}))
    wanted = there & f.col(c.IMAGE_ID).isin(*sorted({row[c.IMAGE_ID] for row in chosen}))
    rows = images.where(wanted).select(c.IMAGE_ID, c.LABEL, c.PATH, c.WIDTH, c.HEIGHT, c.IMAGE)
    found = _with_thumbnails(rows, [c.IMAGE_ID, c.LABEL, c.PATH], _of_stored)
    once = {row[c.IMAGE_ID]: Picture(**row) for row in found}
    return sorted(once.values(), key=lambda one: (one.label or "", one.image_id))


def first_rejected(rejected: DataFrame) -> DataFrame:
    """The first files of each reason, held in memory: a few rows.

    Args:
        rejected: Reads root, path, reason, detail, label, image_id, length.
    """
    from pyspark.sql import functions as f
    from pyspark.sql.window import Window

    of_reason = Window.partitionBy(c.REASON).orderBy(c.PATH, c.ROOT)
    columns = (c.REASON, c.PATH, c.DETAIL, c.LABEL, c.ROOT, c.IMAGE_ID, c.LENGTH)
    ranked = rejected.select(*columns, f.row_number().over(of_reason).alias(_RANK))
    first: list[Any] = ranked.where(f.col(_RANK) <= FILES_PER_REASON).drop(_RANK).collect()
    return rejected.sparkSession.createDataFrame(first, rejected.select(*columns).schema)


def repeated(first: DataFrame) -> set[str]:
    """Ids of the accepted images that rejected files repeat; ``first`` is of `first_rejected`."""
    from pyspark.sql import functions as f

    copies = first.where(
        (f.col(c.REASON) == RejectReason.DUPLICATE) & f.col(c.IMAGE_ID).isNotNull()
    )
    return {str(row[0]) for row in copies.select(c.IMAGE_ID).collect()}


def show_rejected(first: DataFrame, known: Collection[Picture] = ()) -> list[Rejected]:
    """Rejected files with a picture where there is one to show.

    Only files in local folders are opened again, and only while they are what was rejected.

    Args:
        first: What `first_rejected` returned; Spark's workers see the sources.
        known: Pictures that need not be opened again.

    Returns:
        The files by reason and path.
    """
    cores = first.sparkSession.sparkContext.defaultParallelism
    shown = [c.REASON, c.PATH, c.DETAIL, c.LABEL]
    found = _with_thumbnails(first.repartition(cores), [*shown, c.IMAGE_ID], _of_rejected)
    by_id = {picture.image_id: picture.thumbnail for picture in known}
    files = [
        Rejected(
            **{name: row[name] for name in shown},
            thumbnail=row[_THUMBNAIL] or by_id.get(row[c.IMAGE_ID]),
        )
        for row in found
    ]
    return sorted(files, key=lambda one: (one.reason, one.path))


def _with_thumbnails(
    rows: DataFrame, kept: Sequence[str], thumbnail: Callable[[dict[str, Any]], bytes | None]
) -> list[dict[str, Any]]:
    """The kept columns (texts) and thumbnail of each row; the rest stays with the workers."""
    import pyarrow as pa

    def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            made = [thumbnail(row) for one in _single(batch) for row in one.to_pylist()]
            columns = [batch.column(name) for name in kept]
            yield pa.RecordBatch.from_arrays(
                [*columns, pa.array(made, pa.binary())], names=[*kept, _THUMBNAIL]
            )

    schema = ", ".join([*(f"{name} string" for name in kept), f"{_THUMBNAIL} binary"])
    found: list[Any] = rows.mapInArrow(work, schema).collect()
    return [
        {**row.asDict(), _THUMBNAIL: bytes(row[_THUMBNAIL]) if row[_THUMBNAIL] else None}
        for row in found
    ]


def _single(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The rows one by one, so that one encoded picture is in Python at a time."""
    for place in range(len(batch)):
        yield batch.slice(place, 1)


def _of_stored(row: dict[str, Any]) -> bytes | None:
    return _small(row[c.IMAGE], (row[c.WIDTH], row[c.HEIGHT]))


def _of_rejected(row: dict[str, Any]) -> bytes | None:
    data = _same_bytes(row)
    return None if data is None else _small(data)


def _same_bytes(row: dict[str, Any]) -> bytes | None:
    """A rejected file's content, unless it should not be opened or has changed since."""
    root, length = row[c.ROOT], row[c.LENGTH]
    if row[c.REASON] not in DECODABLE or not root or is_uri(root):
        return None
    if length is None or length > LARGEST_FILE:
        return None
    file = Path(root, row[c.PATH])
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            return None
        with file.open("rb") as stream:
            data = stream.read(length + 1)
    except OSError:
        # Gone or forbidden by now: the page names it, and the table says what it was.
        return None
    digest = row[c.IMAGE_ID]
    changed = len(data) != length or digest not in (None, image_id_of(data))
    return None if changed else data


def _small(data: bytes, size: tuple[int, int] | None = None) -> bytes | None:
    try:
        return pages.thumbnail(data, THUMBNAIL_PIXELS, size)
    except ImageRejectedError:
        return None
