"""All feature vectors of a search as one array, and whether there may be one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from darkroom.contract import columns as c
from darkroom.tuning.folds import FOLD, TRUTH
from darkroom.tuning.head_fits import Examples

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

HEAP_SHARE: Final = 1 / 8
"""Largest matrix, as a share of a Spark heap. It passes through the driver's heap once; beside the
heaps every Python worker holds it, the training part of a fold, and that part standardised."""

RESULT_SHARE: Final = 1 / 2
"""Largest matrix, as a share of ``spark.driver.maxResultSize``: no more is collected."""

SPARK_DEFAULT: Final = "1g"
"""Spark's own default of the three settings that are read here."""

FLOAT_BYTES: Final = 4
MEBIBYTE: Final = 1024 * 1024


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureMatrix:
    """The train images in the order of their ids, whatever the order of the table was.

    Attributes:
        image_ids: The images.
        examples: Their vectors, classes and folds, in that order.
    """

    image_ids: tuple[str, ...]
    examples: Examples


def collect_matrix(rows: DataFrame) -> FeatureMatrix:
    """Brings feature vectors to the driver through Arrow.

    Args:
        rows: image_id, label_index (double), fold (int), vector (array<float>, all of one width).

    Returns:
        The matrix.
    """
    table: Any = rows.select(c.IMAGE_ID, TRUTH, FOLD, c.VECTOR).toArrow()
    ids = table[c.IMAGE_ID].to_numpy()
    order = np.argsort(ids)
    flat = table[c.VECTOR].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    vectors = flat.astype(np.float32, copy=False).reshape(len(ids), -1 if len(ids) else 0)
    examples = Examples(
        vectors=vectors[order],
        truths=table[TRUTH].to_numpy()[order].astype(np.intp),
        folds=table[FOLD].to_numpy()[order].astype(np.intp),
    )
    return FeatureMatrix(image_ids=tuple(ids[order].tolist()), examples=examples)


def matrix_bytes(images: int, width: int) -> int:
    """Size of a matrix."""
    return images * width * FLOAT_BYTES


def matrix_limit(spark: SparkSession) -> int:
    """Bytes of the largest matrix that this Spark application may share among its tasks."""
    context: Any = spark.sparkContext
    heaps = [_mebibytes(spark, "spark.driver.memory")]
    if not context.master.startswith("local"):
        heaps.append(_mebibytes(spark, "spark.executor.memory"))
    limit = min(heaps) * MEBIBYTE * HEAP_SHARE
    results = _bytes(spark, "spark.driver.maxResultSize")
    return int(min(limit, results * RESULT_SHARE) if results else limit)


def _mebibytes(spark: SparkSession, setting: str) -> int:
    """A heap's size; a bare number is mebibytes."""
    return int(_java_utils(spark).byteStringAsMb(_text(spark, setting)))


def _bytes(spark: SparkSession, setting: str) -> int:
    """Another size; a bare number is bytes."""
    return int(_java_utils(spark).byteStringAsBytes(_text(spark, setting)))


def _text(spark: SparkSession, setting: str) -> str:
    return str(spark.sparkContext.getConf().get(setting, SPARK_DEFAULT))


def _java_utils(spark: SparkSession) -> Any:
    """Spark's own reading of ``2g`` and ``512m``."""
    context: Any = spark.sparkContext
    return context._jvm.org.apache.spark.network.util.JavaUtils
