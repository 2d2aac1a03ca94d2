"""Makes a prepared model's files reachable for workers on other machines."""

from __future__ import annotations

import atexit
import functools
import hashlib
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from darkroom.contract import MissingInputError
from darkroom.ml.engines.model import PreparedModel

SENT: Final = "sent:"
"""Starts the place of a file that Spark brings to its workers."""


def ship(spark: Any, prepared: PreparedModel) -> PreparedModel:
    """Sends a model's files to the workers, unless those run on this very machine.

    Args:
        spark: The session, classic or Connect.
        prepared: What `prepare` returned.

    Returns:
        What `load` takes in a worker; the same for the same model.
    """
    if _runs_here(spark) or prepared.file.startswith(SENT):
        return prepared
    archive = _archive(prepared)
    if _is_classic(spark):
        spark.sparkContext.addArchive(str(archive))
    else:
        _add_artifact(spark, archive)
    return replace(prepared, file=f"{SENT}{archive.name}/{Path(prepared.file).name}")


def local_file(prepared: PreparedModel) -> Path:
    """Where this process finds a model's file or folder.

    Raises:
        MissingInputError: Nowhere.
    """
    file = Path(prepared.file)
    if prepared.file.startswith(SENT):
        from pyspark import SparkFiles

        file = Path(SparkFiles.get(prepared.file.removeprefix(SENT)))
    if not file.exists():
        raise MissingInputError(
            f"model file {file} is missing on this machine: prepare the model again"
        )
    return file


def _is_classic(spark: Any) -> bool:
    from pyspark.sql import SparkSession

    return isinstance(spark, SparkSession)


def _runs_here(spark: Any) -> bool:
    if not _is_classic(spark):
        return False
    return re.match(r"local(\[|$)", spark.sparkContext.master) is not None


def _add_artifact(spark: Any, archive: Path) -> None:
    """Connect refuses a name that it has; a name stands for its content here."""
    try:
        spark.addArtifacts(str(archive), archive=True)
    except Exception as error:
        if "ALREADY_EXISTS" not in str(error).upper():
            raise


@functools.cache
def _archive(prepared: PreparedModel) -> Path:
    """Packs a model's files under a name that no other model has; Spark serves it from here."""
    source = Path(prepared.file)
    identity = f"{prepared.digest}{prepared.engine}{source.name}"
    name = hashlib.sha256(identity.encode()).hexdigest()[:16]
    archive = _scratch_folder() / f"darkroom-{name}.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file, inside in _files(source):
            packed.write(file, inside)
    return archive


def _files(source: Path) -> Iterator[tuple[Path, str]]:
    """The files of a model and their names in the archive."""
    if source.is_dir():
        for file in source.rglob("*"):
            yield file, str(file.relative_to(source.parent))
        return
    yield source, source.name
    weights = source.with_suffix(".bin")
    if source.suffix == ".xml":
        yield weights, weights.name


@functools.cache
def _scratch_folder() -> Path:
    folder = tempfile.mkdtemp(prefix="darkroom-sent-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
