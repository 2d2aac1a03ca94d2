"""Saving and loading of stages: self-contained folders without pickle.

A stage's folder holds ``metadata`` as every pyspark.ml stage's does, and under ``files`` the model
and weights files that its Params name. Functions are saved by the name under which they are
imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pyspark.ml.param import Params
from pyspark.ml.util import (
    DefaultParamsReader,
    DefaultParamsWriter,
    MLReadable,
    MLReader,
    MLWritable,
    MLWriter,
)

from darkroom.contract import ConfigError, DataError
from darkroom.files.cache import default_cache, made_once
from darkroom.files.digests import digest_of
from darkroom.files.local import existing
from darkroom.files.uris import local_path
from darkroom.ml.base.callables import name_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FILES: Final = "files"
CALLABLES: Final = ("imageLoader", "modelFn", "preprocessor")
"""Params whose values are functions."""

File = Mapping[str, str]
"""What the metadata says of one file: path below the stage's folder, SHA-256."""


class StageWritable(MLWritable):
    """A stage that `StageWriter` saves."""

    def write(self) -> MLWriter:
        """Returns the writer; ``write().overwrite().save(path)`` replaces what is there."""
        return StageWriter(self)  # type: ignore[arg-type]


class StageReadable(MLReadable[Any]):
    """A stage that `StageReader` loads."""

    @classmethod
    def read(cls) -> StageReader:
        """Returns the reader."""
        return StageReader(cls)


class StageWriter(MLWriter):
    """Saves Params, and the files that they name."""

    def __init__(self, instance: Params) -> None:
        super().__init__()
        self.instance = instance

    def _handleOverwrite(self, path: str) -> None:
        from pyspark.sql.utils import is_remote

        if is_remote():
            remedy = "Spark Connect cannot replace a saved stage: save it to a folder of its own"
            raise ConfigError("path", path, remedy)
        super()._handleOverwrite(path)

    def saveImpl(self, path: str) -> None:
        """Writes metadata and files.

        Raises:
            ConfigError: A function cannot be saved, or a file is missing.
        """
        params = {
            param.name: name_of(param.name, value) if param.name in CALLABLES else value
            for param, value in self.instance._paramMap.items()
            if value is not None
        }
        sources = dict(_files_of(params))
        files = {
            field: {"path": f"{FILES}/{field}/{source.name}", "sha256": digest_of(source)}
            for field, source in sources.items()
        }
        store = _Store(self.sparkSession, path) if files else None
        DefaultParamsWriter.saveMetadata(
            self.instance,
            path,
            self.sparkSession,
            extraMetadata={FILES: files},
            paramMap=params,
        )
        for field, source in sources.items():
            assert store is not None
            store.put(source, files[field]["path"])


class StageReader(MLReader[Any]):
    """Loads what `StageWriter` saved."""

    def __init__(self, cls: Callable[[], Any]) -> None:
        super().__init__()
        self.cls = cls

    def load(self, path: str) -> Any:
        """Makes the stage; its files are copied into the cache and read from there.

        Raises:
            DataError: A file was changed after it was saved.
        """
        metadata = DefaultParamsReader.loadMetadata(path, self.sparkSession)
        files = metadata.get(FILES, {})
        store = _Store(self.sparkSession, path) if files else None
        for field, file in files.items():
            assert store is not None
            _set_file(metadata["paramMap"], field, str(store.get(file)))
        stage = self.cls()
        stage._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(stage, metadata)
        return stage


class _Store:
    """Files below a folder of any Hadoop file system."""

    def __init__(self, spark: SparkSession, folder: str) -> None:
        from pyspark.sql.utils import is_remote

        if is_remote():
            raise ConfigError(
                "path",
                folder,
                "a stage with files of its own is saved and loaded by a classic Spark session "
                "only: Spark Connect cannot transfer them",
            )
        jvm: Any = spark.sparkContext._jvm
        self._path: Callable[[str], Any] = jvm.org.apache.hadoop.fs.Path
        self._folder = folder.rstrip("/")
        self._configuration = spark._jsparkSession.sessionState().newHadoopConf()

    def put(self, source: Path, name: str) -> None:
        """Copies a file or folder of this machine."""
        target = self._path(f"{self._folder}/{name}")
        system = target.getFileSystem(self._configuration)
        system.mkdirs(target.getParent())
        system.copyFromLocalFile(False, True, self._local(source), target)

    def _local(self, path: Path) -> Any:
        # Hadoop takes %20 in a path as it stands, so this is no quoted URI.
        return self._path(f"file:{path.absolute()}")

    def get(self, file: File) -> Path:
        """Copies a file or folder to this machine, once; it is found by its SHA-256."""
        name = file["path"].rpartition("/")[2]

        def make(folder: Path) -> None:
            source = self._path(f"{self._folder}/{file['path']}")
            target = folder / name
            system = source.getFileSystem(self._configuration)
            system.copyToLocalFile(False, source, self._local(target), True)
            found = digest_of(target)
            if found != file["sha256"]:
                raise DataError(
                    f"{source} has SHA-256 {found[:12]}, not {file['sha256'][:12]} as saved: it "
                    "was changed afterwards"
                )

        return made_once(default_cache() / "saved" / file["sha256"], make) / name


def _files_of(params: Mapping[str, Any]) -> list[tuple[str, Path]]:
    """Fields and files of modelFile and weights; weights that are no local files are left out."""
    found = []
    if "modelFile" in params:
        found.append(("modelFile", existing("modelFile", params["modelFile"])))
    for name, given in params.get("weights", {}).items():
        source = local_path(given if isinstance(given, str) else given["uri"])
        if source is not None and source.is_file():
            found.append((f"weights/{name}", source))
    return found


def _set_file(params: dict[str, Any], field: str, file: str) -> None:
    param, _, name = field.partition("/")
    if name:
        params[param] = {**params[param], name: file}
    else:
        params[param] = file
