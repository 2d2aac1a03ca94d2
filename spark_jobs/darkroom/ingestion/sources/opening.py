"""From the configuration to sources that can be listed."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.contract import DataError, SourceConfig, SourceKind
from darkroom.contract.source import is_uri
from darkroom.ingestion.sources.folders import LAYOUT, Flat, Tree
from darkroom.ingestion.sources.hadoop import HadoopPlace
from darkroom.ingestion.sources.local import LocalPlace
from darkroom.ingestion.sources.manifest import Manifest
from darkroom.ingestion.sources.model import Place, Source

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def all_local(config: SourceConfig) -> bool:
    """Whether every source can be listed without a Spark session."""
    return not any(map(is_uri, (*config.paths, config.root or "")))


def open_sources(config: SourceConfig, spark: SparkSession | None = None) -> list[Source]:
    """Makes the sources of a pipeline; nothing is listed yet.

    Args:
        config: Where they are.
        spark: The session; may be None where `all_local` holds.

    Raises:
        DataError: A local folder or manifest is not there, or is not what it has to be.
    """
    return [_open(config, path, spark) for path in config.paths]


def _open(config: SourceConfig, path: str, spark: SparkSession | None) -> Source:
    kind = config.kind_of(path)
    if kind is SourceKind.MANIFEST:
        folder, name = posixpath.split(path)
        home = _place(folder or ".", spark)
        root = home if config.root is None else _checked(_place(config.root, spark), "root")
        return Manifest(root, home, name)
    place = _checked(_place(path, spark), "folder")
    return Tree(place) if kind is SourceKind.TREE else Flat(place)


def _place(path: str, spark: SparkSession | None) -> Place:
    if not is_uri(path):
        return LocalPlace(path)
    if spark is None:
        raise ValueError(f"{path} needs a Spark session to be listed")
    return HadoopPlace(spark, path)


def _checked(place: Place, what: str) -> Place:
    root = place.root
    if isinstance(place, LocalPlace) and not Path(root).is_dir():
        problem = "is not a folder" if os.path.exists(root) else "does not exist"
        raise DataError(f"source {what} {root} {problem}: {LAYOUT}")
    return place
