"""True labels that people give later: a CSV or Parquet file beside the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from darkroom.contract import ConfigError, DataError
from darkroom.contract import columns as c
from darkroom.contract.source import manifest_format
from darkroom.files.digests import digest_of
from darkroom.files.uris import local_path, shown
from darkroom.monitoring.sampling import TRUTH
from darkroom.sql.errors import one_line

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FIELD: Final = "monitoring.labels"
KEYS: Final = (c.IMAGE_ID, c.PATH)
"""Columns of which one says what image a label is of."""


def fingerprint(path: str) -> str | None:
    """What tells the file apart from a changed one; None where only Spark can open it.

    Raises:
        ConfigError: There is no such file.
    """
    local = local_path(path)
    if local is None:
        return None
    if not local.exists():
        raise ConfigError(FIELD, path, "there is no such file: put it there or correct the path")
    return digest_of(local)


def read_labels(spark: SparkSession, path: str) -> DataFrame:
    """Reads the labels.

    Args:
        spark: The session; it opens the path, which may be a URI.
        path: Ends in .csv, with a header, or is Parquet.

    Returns:
        One of the columns `KEYS`, and truth; one row per image, none without a label.

    Raises:
        DataError: It cannot be read, lacks a column, or names two labels for one image.
    """
    from pyspark.errors import PySparkException
    from pyspark.sql import functions as f

    name = f"{FIELD}: {shown(path)}"
    try:
        if manifest_format(path) == "csv":
            frame = spark.read.csv(path, header=True, multiLine=True, escape='"')
        else:
            frame = spark.read.parquet(path)
    except PySparkException as error:
        raise DataError(f"{name} cannot be read: {one_line(error, spark)}") from None
    key = next((column for column in KEYS if column in frame.columns), None)
    if key is None or c.LABEL not in frame.columns:
        columns = ", ".join(frame.columns) or "none"
        raise DataError(f"{name} has the columns {columns}: it needs image_id or path, and label")
    told = frame.select(f.col(key).cast("string"), f.col(c.LABEL).cast("string").alias(TRUTH))
    told = told.where((f.col(TRUTH) != "") & f.col(key).isNotNull()).distinct()
    twice = told.groupBy(key).agg(f.collect_set(TRUTH).alias(TRUTH)).where(f.size(TRUTH) > 1)
    contradiction = twice.first()
    if contradiction is not None:
        labels = " and ".join(sorted(contradiction[TRUTH]))
        raise DataError(f"{name} calls {contradiction[key]} {labels}: remove one")
    return told
