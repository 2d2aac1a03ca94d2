"""The way of training images: once from a DataFrame to files, then from files to each training.

Workers decode every image once and write Parquet; a training streams those files through tf.data.
The driver sees counts only. Rows lie in an order that depends on nothing but their content: not on
partitions, cores or paths, so that the same data is trained on, and validated on, in the same way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from darkroom.contract import DataError
from darkroom.ml.training.labels import LabelError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    from darkroom.ml.inference import Read

SLICE_ROWS: Final = 32
"""Images that a worker holds decoded at once."""

ROWS_PER_FILE: Final = 1024
ROW_GROUP_BYTES: Final = 8 * 2**20
SHUFFLE_BYTES: Final = 256 * 2**20
"""Size of a training's shuffle buffer: smaller sets are shuffled as a whole."""

_TENSOR, _LABEL, _ORDER, _PROBLEM = "tensor", "label", "row_order", "problem"
_FOLD: Final = "fold"
_SCHEMA: Final = f"{_ORDER} binary, {_LABEL} long, {_TENSOR} binary, {_PROBLEM} string, {_FOLD} int"

Batch = tuple[NDArray[Any], NDArray[np.int64]]
"""Images (n, height, width, channels) and their class indices (n,)."""


@dataclass(frozen=True)
class Examples:
    """What of a DataFrame becomes training rows.

    Attributes:
        read: One image per row of the images' column.
        shape: Shape of the network's input, (height, width, channels).
        index: From a label to its class index.
    """

    read: Read
    shape: tuple[int, int, int]
    index: Callable[[Any], int]


@dataclass(frozen=True)
class Part:
    """Some of the training rows.

    Attributes:
        start: First of them, among those of ``folds`` and in their order.
        stop: The one after the last.
        folds: Of which folds; None for all rows.
    """

    start: int
    stop: int
    folds: frozenset[int] | None = None

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.stop - self.start


@dataclass(frozen=True)
class TrainingRows:
    """Decoded images and their class indices, as files.

    Attributes:
        folder: Parquet files; every worker must see it.
        folds: Number of usable rows by fold; a single one, None, where the rows have no folds.
        shape: (height, width, channels) of each image.
        dtype: ``uint8`` or ``float32``.
    """

    folder: str
    folds: Mapping[int | None, int]
    shape: tuple[int, int, int]
    dtype: str

    @property
    def rows(self) -> int:
        """Number of usable rows."""
        return sum(self.folds.values())

    @property
    def row_bytes(self) -> int:
        """Size of one image."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize

    def split(self, share: float) -> tuple[Part, Part]:
        """The rows to train on and those to validate on; the latter are the last ones.

        Raises:
            DataError: One of them would be empty though both are wanted.
        """
        held_out = int(self.rows * share)
        if share and not 0 < held_out < self.rows:
            raise DataError(
                f"validation_split = {share:g} of {self.rows} images leaves "
                f"{self.rows - held_out} to train on and {held_out} to validate on"
            )
        first = self.rows - held_out
        return Part(0, first), Part(first, self.rows)

    def without(self, fold: int) -> tuple[Part, Part]:
        """The rows to train on, those of all folds but one, and those of that one.

        Raises:
            DataError: One of them is empty.
        """
        others = frozenset(one for one in self.folds if one is not None and one != fold)
        parts = self._of(others), self._of(frozenset({fold}))
        if not all(part.rows for part in parts):
            raise DataError(
                f"fold {fold} has {parts[1].rows} of {self.rows} images: there must be some in "
                "it, and some in others"
            )
        return parts

    def batches(self, part: Part, size: int, seed: Sequence[int] | None = None) -> Iterator[Batch]:
        """Streams rows, batch by batch.

        Args:
            part: Which rows.
            size: Rows per batch; the last one may have fewer.
            seed: Of the order, in which no row moves further than `SHUFFLE_BYTES` of rows away;
                None for the files' order.

        Yields:
            Images of ``dtype`` and class indices.

        Raises:
            DataError: The files do not hold those rows here.
        """
        random = None if seed is None else np.random.default_rng(seed)
        wanted = size if random is None else min(part.rows, SHUFFLE_BYTES // self.row_bytes)
        capacity = -(-max(wanted, size) // size) * size
        images = np.empty((capacity, *self.shape), self.dtype)
        labels = np.empty(capacity, np.int64)

        def shuffled(count: int) -> Iterator[Batch]:
            order = np.arange(count) if random is None else random.permutation(count)
            for first in range(0, count, size):
                some = order[first : first + size]
                yield images[some], labels[some]

        held = 0
        for pixels, indices in self._blocks(part):
            taken = 0
            while taken < len(indices):
                count = min(capacity - held, len(indices) - taken)
                images[held : held + count] = pixels[taken : taken + count]
                labels[held : held + count] = indices[taken : taken + count]
                held, taken = held + count, taken + count
                if held == capacity:
                    yield from shuffled(held)
                    held = 0
        yield from shuffled(held)

    def _of(self, folds: frozenset[int]) -> Part:
        return Part(0, sum(self.folds.get(fold, 0) for fold in folds), folds)

    def _blocks(self, part: Part) -> Iterator[Batch]:
        """The rows of a part in the files' order, at most a row group at a time."""
        import pyarrow.parquet as pq

        first = 0
        for path in sorted(Path(self.folder).glob("*.parquet")):
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    # These columns are tiny, and most groups may be of no use here.
                    usable = _usable(file.read_row_group(group, [_PROBLEM, _FOLD]), part.folds)
                    low, high = max(part.start - first, 0), min(part.stop - first, len(usable))
                    first += len(usable)
                    if low < high:
                        yield self._arrays(file.read_row_group(group).take(usable[low:high]))
                    if first >= part.stop:
                        return
        if first < part.stop:
            raise DataError(
                f"{self.folder} holds {first} of {part.stop} training rows on this machine: set "
                "DARKROOM_CACHE to a folder that all workers and the driver share"
            )

    def _arrays(self, table: pa.Table) -> Batch:
        images = np.empty((table.num_rows, *self.shape), self.dtype)
        narrow = int(np.prod(self.shape))
        for row, tensor in zip(images, table.column(_TENSOR), strict=True):
            data = tensor.as_buffer()
            stored = np.uint8 if data.size == narrow else np.float32
            row[...] = np.frombuffer(data, stored).reshape(self.shape)
        return images, table.column(_LABEL).to_numpy()


def _usable(group: pa.Table, folds: frozenset[int] | None) -> NDArray[np.intp]:
    """Places of the rows of some folds that can be trained on: those without a problem."""
    wanted = group.column(_PROBLEM).is_null().to_numpy()
    if folds is not None:
        wanted &= np.isin(group.column(_FOLD).to_numpy(), list(folds))
    return np.flatnonzero(wanted)


def write_rows(
    frame: DataFrame, examples: Examples, folder: Path, rows: int, drop_bad: bool
) -> TrainingRows:
    """Decodes a DataFrame's images once and writes them with their labels.

    Args:
        frame: Three columns: images, labels, and folds (int), null for none.
        examples: What to make of them.
        folder: A new folder; the driver and all workers must see it.
        rows: Number of rows in the frame; decides how many files there are.
        drop_bad: Leave out rows without a readable image or a label, instead of failing.

    Returns:
        The rows.

    Raises:
        DataError: A row cannot be used, or none can.
    """
    from pyspark.sql import functions as F

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for start in range(0, batch.num_rows, SLICE_ROWS):
                yield _example_rows(batch.slice(start, SLICE_ROWS), examples)

    files = -(-rows // ROWS_PER_FILE)
    decoded = frame.mapInArrow(run, _SCHEMA)
    ordered = decoded.repartition(files, _ORDER).sortWithinPartitions(_ORDER, _LABEL)
    writer = ordered.write.option("parquet.block.size", str(ROW_GROUP_BYTES))
    writer.option("parquet.enable.dictionary", "false").parquet(_spark_path(folder))

    written = frame.sparkSession.read.schema(_SCHEMA).parquet(_spark_path(folder))
    found: list[Any] = (
        written.groupBy(_FOLD)
        .agg(
            F.count(F.lit(1)).alias("rows"),
            F.count(_PROBLEM).alias("bad"),
            F.min(_PROBLEM).alias("first"),
            F.max(F.length(_TENSOR)).alias("bytes"),
        )
        .collect()
    )
    count, bad = (sum(row[name] for row in found) for name in ("rows", "bad"))
    if count != rows:
        raise DataError(
            f"the data frame had {rows} rows and {count} were written to {folder}: cache it if it "
            "is not the same each time, and set DARKROOM_CACHE to a folder that all workers and "
            "the driver share"
        )
    first = min((row["first"] for row in found if row["bad"]), default="")
    if bad and not drop_bad:
        raise DataError(
            f"{bad} of {count} training rows cannot be used, the first: {first} "
            "(badImages='drop' leaves them out)"
        )
    if bad == count:
        raise DataError(f"no training row can be used, the first: {first}")
    largest = max(row["bytes"] for row in found if row["bytes"] is not None)
    return TrainingRows(
        folder=str(folder),
        folds={row[_FOLD]: row["rows"] - row["bad"] for row in found},
        shape=examples.shape,
        dtype="uint8" if largest == int(np.prod(examples.shape)) else "float32",
    )


def _spark_path(folder: Path) -> str:
    """A folder for Spark, which takes ``%20`` in a URI as it stands and not as a blank."""
    return f"file:{folder.absolute()}"


def _example_rows(batch: pa.RecordBatch, examples: Examples) -> pa.RecordBatch:
    import pyarrow as pa

    from darkroom.ml.inference import pixels_of

    inputs, labels = batch.column(0), batch.column(1).to_pylist()
    rows: list[tuple[bytes, int | None, bytes | None, str | None]] = []
    for n, (image, label) in enumerate(zip(examples.read(inputs), labels, strict=True)):
        found = pixels_of(image, examples.shape)
        index, problem = _index(label, examples.index)
        if found is None or isinstance(found, str):
            problem = found or "the image is null"
        if problem is not None:
            text = _named(problem, inputs[n])
            rows.append((hashlib.sha256(text.encode()).digest(), None, None, text))
        else:
            assert isinstance(found, np.ndarray)
            stored = found if found.dtype == np.uint8 else found.astype(np.float32)
            data = stored.tobytes()
            rows.append((hashlib.sha256(data).digest(), index, data, None))
    order, indices, tensors, problems = zip(*rows, strict=True)
    return pa.RecordBatch.from_arrays(
        [
            pa.array(order, pa.binary()),
            pa.array(indices, pa.int64()),
            pa.array(tensors, pa.binary()),
            pa.array(problems, pa.string()),
            batch.column(2),
        ],
        names=[_ORDER, _LABEL, _TENSOR, _PROBLEM, _FOLD],
    )


def _named(problem: str, value: Any) -> str:
    """A problem with the URI, where there is one that it does not name itself."""
    uri = value.as_py() if str(value.type) in {"string", "large_string"} else None
    return problem if uri is None or uri in problem else f"{uri}: {problem}"


def _index(label: Any, index: Callable[[Any], int]) -> tuple[int | None, str | None]:
    if label is None:
        return None, "the label is null"
    try:
        return index(label), None
    except LabelError as error:
        return None, str(error)


def dataset(
    rows: TrainingRows,
    part: Part,
    *,
    batch_size: int,
    targets: Callable[[Any], Any],
    seed: Callable[[], Sequence[int] | None] = lambda: None,
    threads: int,
) -> Any:
    """Rows as a ``tf.data.Dataset`` that reads ahead while the network trains.

    Args:
        rows: The files.
        part: Which of them.
        batch_size: Images per batch; the last one may be smaller.
        targets: From class indices (batch,) int64 to what the loss takes.
        seed: Asked at the start of every pass for the seed of its order; by default the files'
            own order.
        threads: Of the input pipeline.

    Returns:
        Batches of images (batch, height, width, channels) float32 and targets.
    """
    import tensorflow as tf

    signature = (
        tf.TensorSpec((None, *rows.shape), rows.dtype),
        tf.TensorSpec((None,), "int64"),
    )
    batches = tf.data.Dataset.from_generator(
        lambda: rows.batches(part, batch_size, seed()), output_signature=signature
    ).map(lambda pixels, label: (tf.cast(pixels, "float32"), targets(label)))
    options = tf.data.Options()
    options.deterministic = True
    options.threading.private_threadpool_size = threads
    steps = -(-part.rows // batch_size)
    counted = batches.apply(tf.data.experimental.assert_cardinality(steps))
    return counted.prefetch(2).with_options(options)
