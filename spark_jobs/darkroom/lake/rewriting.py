"""Rows out of a table and other rows in, by rewriting the files that hold them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from darkroom.lake.schema import spark_schema

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

_FILE = "_file"


@dataclass(frozen=True)
class Rewrite:
    """What has to happen to a table's files so that rows leave it.

    Attributes:
        drop: Locations of the files that hold at least one of the rows.
        leaving: The rows that leave, all columns; None when there are none.
        staying: The other rows of these files, to be written again; None when there are no files.
    """

    drop: tuple[str, ...] = ()
    leaving: DataFrame | None = None
    staying: DataFrame | None = None


def rewrite_without(
    spark: SparkSession, table: str, locations: Sequence[str], gone: DataFrame, keys: Sequence[str]
) -> Rewrite:
    """Finds what must be written again for rows to leave a table.

    Files without any of the rows are not touched, so the cost is the size of those that have some.

    Args:
        spark: The session.
        table: One of the tables of `darkroom.lake.schema`.
        locations: The data files of the snapshot.
        gone: Its columns ``keys`` name the rows; null equals null.
        keys: Names of these columns.

    Returns:
        The files and their rows.
    """
    if not locations:
        return Rewrite()
    schema = spark_schema(table)
    unique = gone.select(*keys).distinct()
    everything = spark.read.schema(schema).parquet(*locations)
    named = everything.select(*keys, _file_name())
    affected = named.join(unique, _same(named, unique, keys), "left_semi").select(_FILE).distinct()
    found: list[Any] = affected.collect()
    names = {row[0] for row in found}
    drop = tuple(location for location in locations if short_name(location) in names)
    if not drop:
        return Rewrite()
    rows = spark.read.schema(schema).parquet(*drop)
    condition = _same(rows, unique, keys)
    return Rewrite(
        drop,
        rows.join(unique, condition, "left_semi"),
        rows.join(unique, condition, "left_anti"),
    )


def short_name(location: str) -> str:
    """Folder and name of a data file: unique within a table, and free of characters to escape."""
    return "/".join(location.rsplit("/", 2)[-2:])


def _file_name() -> Column:
    from pyspark.sql import functions as f

    return f.substring_index(f.col("_metadata.file_path"), "/", -2).alias(_FILE)


def _same(left: DataFrame, right: DataFrame, keys: Sequence[str]) -> Column:
    matches = [left[key].eqNullSafe(right[key]) for key in keys]
    return functools.reduce(lambda one, other: one & other, matches)
