"""Folders that Hadoop's file systems open: HDFS, object stores, and ``file:`` for the same way."""

from __future__ import annotations

import io
import json
import posixpath
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any

from darkroom.contract import DataError
from darkroom.ingestion.sources.inside import leads_inside, relative_to
from darkroom.ingestion.sources.model import Entry, Resolved

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class HadoopPlace:
    """A folder by its URI, through the session's Hadoop configuration.

    A folder's listing crosses into Python as three JSON texts: a call per file would take longer
    than the listing itself.

    Args:
        spark: The session.
        uri: The folder.
    """

    def __init__(self, spark: SparkSession, uri: str) -> None:
        self._spark = spark
        self._uri = uri
        self._known: dict[str, dict[str, Entry]] = {}

    @property
    def root(self) -> str:
        """The folder's URI, as Hadoop spells it."""
        return self._qualified

    def entries(self, folder: str) -> list[Entry]:
        """What a folder holds, links included."""
        return sorted(
            entry for entry in self._all_of(folder).values() if not entry.name.startswith(".")
        )

    def location(self, path: str) -> str:
        """The URI; nothing in it is percent-encoded, for Hadoop decodes nothing."""
        return f"{self._qualified}/{path}"

    def resolve(self, path: str) -> Resolved:
        """Finds what a manifest names; the listing of each folder it names is kept."""
        inside = relative_to(self._qualified, path)
        if inside is None:
            return Resolved(path, None, None, f"it leads out of {self._qualified}")
        if not self._stays_inside(inside):
            return Resolved(path, None, None, f"a link leads out of {self._qualified}")
        folder, name = posixpath.split(inside)
        if folder not in self._known:
            try:
                self._known[folder] = self._all_of(folder)
            except DataError:
                self._known[folder] = {}
        entry = self._known[folder].get(name)
        return Resolved(inside, self.location(inside), entry)

    def open_manifest(self, path: str) -> IO[bytes]:
        """A file, all of it in memory, through the same reader as the images."""
        uri = self.location(path)
        try:
            rows: list[Any] = read_binary(self._spark, [uri]).select("content").collect()
        except Exception as error:
            raise DataError(f"manifest {uri} cannot be read: {_words(error)}") from None
        if not rows:
            raise DataError(f"manifest {uri} is empty or not there: set source.path to a file")
        return io.BytesIO(rows[0][0])

    @cached_property
    def _jvm(self) -> Any:
        return self._spark._jvm

    @cached_property
    def _files(self) -> Any:
        """Hadoop's FileSystem object of the root."""
        configuration = self._spark._jsc.hadoopConfiguration()
        try:
            return self._path("").getFileSystem(configuration)
        except Exception as error:
            raise DataError(
                f"source {self._uri} cannot be opened: {_words(error)}: check the scheme, and that "
                "its file system is on Spark's class path"
            ) from None

    @cached_property
    def _qualified(self) -> str:
        return str(self._files.makeQualified(self._path("")).toString()).rstrip("/")

    def _path(self, folder: str) -> Any:
        whole = f"{self._uri.rstrip('/')}/{folder}" if folder else self._uri
        return self._jvm.org.apache.hadoop.fs.Path(whole)

    def _stays_inside(self, path: str) -> bool:
        """Of Hadoop's file systems the local one alone follows links, and says nothing of it."""
        scheme, _, local = self._qualified.partition(":")
        return scheme != "file" or leads_inside("/" + local.lstrip("/"), path) is not None

    def _all_of(self, folder: str) -> dict[str, Entry]:
        try:
            statuses = self._files.listStatus(self._path(folder))
        except Exception as error:
            shown = f"{self._uri}/{folder}" if folder else self._uri
            raise DataError(f"source {shown} cannot be listed: {_words(error)}") from None
        iterators = self._jvm.org.apache.commons.collections4.IteratorUtils
        entries = iterators.toList(iterators.arrayIterator(statuses))
        names = self._each(self._each(entries, "getPath"), "getName")
        columns = [
            names,
            self._each(entries, "isDirectory"),
            self._each(entries, "getLen"),
            self._each(entries, "getModificationTime"),
        ]
        writer = self._jvm.com.fasterxml.jackson.databind.ObjectMapper()
        values = [json.loads(writer.writeValueAsString(column)) for column in columns]
        return {
            name: Entry(name, is_folder, length, milliseconds * 1000)
            for name, is_folder, length, milliseconds in zip(*values, strict=True)
        }

    def _each(self, collection: Any, method: str) -> Any:
        """The result of a method of every element, without leaving the JVM."""
        collections = self._jvm.org.apache.commons.collections4
        invoker = collections.functors.InvokerTransformer.invokerTransformer(method)
        return collections.CollectionUtils.collect(collection, invoker)


def read_binary(spark: SparkSession, uris: list[str]) -> Any:
    """Files with their bytes, through Spark's own source.

    Args:
        spark: The session.
        uris: As `HadoopPlace.location` spells them.

    Returns:
        Columns path and content; without the files that are empty, gone or not readable.
    """
    name = "spark.sql.sources.parallelPartitionDiscovery.parallelism"
    before = spark.conf.get(name)
    # Otherwise a task for each file looks whether it is there.
    spark.conf.set(name, str(2 * spark.sparkContext.defaultParallelism))
    try:
        reader = spark.read.format("binaryFile").option("recursiveFileLookup", True)
        # A name may hold what would be a pattern.
        reader = reader.option("__globPaths__", False)
        reader = reader.option("ignoreMissingFiles", True).option("ignoreCorruptFiles", True)
        return reader.load(uris).select("path", "content")
    finally:
        spark.conf.set(name, str(before))


def _words(error: Exception) -> str:
    """The first line of what Java says, without the class names before it."""
    java = getattr(error, "java_exception", None)
    text = str(java.getMessage() if java is not None else error) or type(error).__name__
    return text.splitlines()[0].strip()[:200]
