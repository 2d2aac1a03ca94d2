"""The way of training images: once from a DataFrame to files, then from files to each training.

Workers decode every image once and write Parquet; a training streams those files through tf.data.
The driver sees counts only. Rows lie in an order that depends on nothing but their content: not on
partitions, cores or paths, so that the same data is trained on, and validated on, in the same way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
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
_SCHEMA: Final = f"{_ORDER} binary, {_LABEL} long, {_TENSOR} binary, {_PROBLEM} string"


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
class TrainingRows:
    """Decoded images and their class indices, as files.

    Attributes:
        folder: Parquet files; every worker must see it.
        rows: Number of usable rows.
        shape: (height, width, channels) of each image.
        dtype: ``uint8`` or ``float32``.
    """

    folder: str
    rows: int
    shape: tuple[int, int, int]
    dtype: str

    @property
    def row_bytes(self) -> int:
        """Size of one image."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize

    def split(self, share: float) -> tuple[int, int]:
        """Numbers of rows to train on and to validate on; the latter are the last ones.

        Raises:
            DataError: One of them would be zero though both are wanted.
        """
        held_out = int(self.rows * share)
        if share and not 0 < held_out < self.rows:
            raise DataError(
                f"validation_split = {share:g} of {self.rows} images leaves "
                f"{self.rows - held_out} to train on and {held_out} to validate on"
            )
        return self.rows - held_out, held_out

    def blocks(self, start: int, stop: int) -> Iterator[tuple[NDArray[Any], NDArray[np.int64]]]:
        """Streams rows in their order.

        Args:
            start: First row.
            stop: Row after the last.

        Yields:
            Images (n, height, width, channels) of ``dtype`` and class indices (n,), at most a
            row group at a time.

        Raises:
            DataError: The files do not hold that many rows here.
        """
        import pyarrow.parquet as pq

        first = 0
        for path in sorted(Path(self.folder).glob("*.parquet")):
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    # A row without a problem is a usable one; this column is tiny.
                    usable = file.read_row_group(group, [_PROBLEM]).column(0).null_count
                    low, high = max(start - first, 0), min(stop - first, usable)
                    first += usable
                    if low < high:
                        yield self._arrays(file.read_row_group(group), low, high)
                    if first >= stop:
                        return
        if first < stop:
            raise DataError(
                f"{self.folder} holds {first} of {self.rows} training rows on this machine: set "
                "DARKROOM_CACHE to a folder that all workers and the driver share"
            )

    def _arrays(
        self, table: pa.Table, low: int, high: int
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        table = table.filter(table.column(_PROBLEM).is_null()).slice(low, high - low)
        images = np.empty((table.num_rows, *self.shape), self.dtype)
        narrow = int(np.prod(self.shape))
        for row, tensor in zip(images, table.column(_TENSOR), strict=True):
            data = tensor.as_buffer()
            stored = np.uint8 if data.size == narrow else np.float32
            row[...] = np.frombuffer(data, stored).reshape(self.shape)
        return images, table.column(_LABEL).to_numpy()


def write_rows(
    frame: DataFrame, examples: Examples, folder: Path, rows: int, drop_bad: bool
) -> TrainingRows:
    """Decodes a DataFrame's images once and writes them with their labels.

    Args:
        frame: Two columns: images, labels.
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
    summary = written.agg(
        F.count(F.lit(1)).alias("rows"),
        F.count(_PROBLEM).alias("bad"),
        F.min(_PROBLEM).alias("first"),
        F.max(F.length(_TENSOR)).alias("bytes"),
    ).first()
    assert summary is not None
    if summary["rows"] != rows:
        raise DataError(
            f"the data frame had {rows} rows and {summary['rows']} were written to {folder}: cache "
            "it if it is not the same each time, and set DARKROOM_CACHE to a folder that all "
            "workers and the driver share"
        )
    if summary["bad"] and not drop_bad:
        raise DataError(
            f"{summary['bad']} of {summary['rows']} training rows cannot be used, the first: "
            f"{summary['first']} (badImages='drop' leaves them out)"
        )
    if summary["bad"] == summary["rows"]:
        raise DataError(f"no training row can be used, the first: {summary['first']}")
    narrow = summary["bytes"] == int(np.prod(examples.shape))
    return TrainingRows(
        folder=str(folder),
        rows=summary["rows"] - summary["bad"],
        shape=examples.shape,
        dtype="uint8" if narrow else "float32",
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
        ],
        names=[_ORDER, _LABEL, _TENSOR, _PROBLEM],
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
    start: int,
    stop: int,
    *,
    batch_size: int,
    targets: Callable[[Any], Any],
    seed: int | None,
    threads: int,
) -> Any:
    """Rows as a ``tf.data.Dataset`` that reads ahead while the network trains.

    Args:
        rows: The files.
        start: First row.
        stop: Row after the last.
        batch_size: Images per batch; the last one may be smaller.
        targets: From class indices (batch,) int64 to what the loss takes.
        seed: Of the order, which is another in each epoch; None keeps the files' order.
        threads: Of the input pipeline.

    Returns:
        Batches of images (batch, height, width, channels) float32 and targets.
    """
    import tensorflow as tf

    signature = (
        tf.TensorSpec((None, *rows.shape), rows.dtype),
        tf.TensorSpec((None,), "int64"),
    )
    images = tf.data.Dataset.from_generator(
        lambda: rows.blocks(start, stop), output_signature=signature
    ).unbatch()
    if seed is not None:
        buffer = max(batch_size, min(stop - start, SHUFFLE_BYTES // rows.row_bytes))
        images = images.shuffle(buffer, seed=seed, reshuffle_each_iteration=True)
    batches = images.batch(batch_size).map(
        lambda pixels, label: (tf.cast(pixels, "float32"), targets(label))
    )
    options = tf.data.Options()
    options.deterministic = True
    options.threading.private_threadpool_size = threads
    steps = -(-(stop - start) // batch_size)
    counted = batches.apply(tf.data.experimental.assert_cardinality(steps))
    return counted.prefetch(2).with_options(options)
