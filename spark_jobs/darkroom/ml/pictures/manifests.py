"""Manifests: tables that say which files to read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from darkroom.contract import ConfigError
from darkroom.contract.source import SCHEME, manifest_format

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PATH: Final = "path"

_ABSOLUTE: Final = f"^(/|{SCHEME})"


def is_manifest(path: str) -> bool:
    """Whether a path is a table of paths, by its ending."""
    return _format(path) is not None


def read_manifest(spark: SparkSession, path: str) -> DataFrame:
    """Reads a manifest.

    Args:
        spark: The session.
        path: A ``.csv`` file with a header, a ``.json``, ``.jsonl`` or ``.ndjson`` file with one
            object a line, or a ``.parquet`` file or folder.

    Returns:
        Its columns; ``path`` (string) is resolved against the manifest's folder where it is
        relative. Columns of a CSV are texts.

    Raises:
        ConfigError: There is no such file, or it has no column ``path`` of texts.
    """
    from pyspark.sql import functions as f

    reader = spark.read.format(_format(path) or "csv").option("header", True)
    try:
        frame = reader.load(path)
        kinds = dict(frame.dtypes)
    except Exception as error:
        raise unknown_path(error, [path]) from None
    if kinds.get(PATH) != "string":
        found = ", ".join(f"{name} {kind}" for name, kind in kinds.items()) or "none"
        remedy = f"a manifest needs a column {PATH} of texts, its columns are: {found}"
        raise ConfigError("path", path, remedy)
    folder = re.sub(r"[^/]*$", "", path.rstrip("/"))
    column = f.col(PATH)
    resolved = f.when(column.rlike(_ABSOLUTE), column).otherwise(f.concat(f.lit(folder), column))
    return frame.withColumn(PATH, resolved)


def unknown_path(error: Exception, paths: list[str]) -> Exception:
    """What to raise instead of Spark's error: a line about the path where it is missing."""
    condition = getattr(error, "getCondition", lambda: None)()
    if condition != "PATH_NOT_FOUND":
        return error
    missing = _message_path(error) or (paths[0] if len(paths) == 1 else paths)
    return ConfigError("path", missing, "nothing is there: give an existing folder, glob or file")


def _format(path: str) -> str | None:
    """Spark's name of it; a Parquet manifest may be a folder."""
    return manifest_format(path.rstrip("/"))


def _message_path(error: Any) -> str | None:
    parameters = error.getMessageParameters() or {}
    path: str | None = parameters.get("path")
    return path
