"""Snapshots of the tables: read, append, tag, clean up."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from darkroom.contract import Stage, Workspace
from darkroom.contract.columns import RUN_ID
from darkroom.lake import files
from darkroom.lake.schema import column_names, spark_schema

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table
    from pyspark.sql import DataFrame, SparkSession

READ_BUFFER = 1024 * 1024
TIMESTAMP_SETTING = "spark.sql.parquet.outputTimestampType"


@dataclass(frozen=True)
class Commit:
    """What an append left behind.

    Attributes:
        snapshot_id: The new snapshot; after an append of nothing the current one, or None for a
            table that never had a row.
        rows: Number of rows appended.
    """

    snapshot_id: int | None
    rows: int


class Lake:
    """All tables of a workspace.

    Data files lie below ``<table>/data/<stage>-<uuid>/``. They belong to the table only once a
    snapshot names them, so a writer that dies leaves nothing that a reader could see.

    Example:
        >>> lake = Lake(Workspace(Path("workspace")))
        >>> images = lake.read(spark, "traffic_signs", "images")
    """

    def __init__(self, workspace: Workspace) -> None:
        """Args: workspace: whose catalog and warehouse to use; opened on first use."""
        self._workspace = workspace

    @cached_property
    def _catalog(self) -> Catalog:
        from darkroom.lake.catalog import open_catalog

        return open_catalog(self._workspace)

    def snapshot(self, namespace: str, table: str) -> int | None:
        """Id of the table's current snapshot, or None while there is none."""
        found = self._find(namespace, table)
        current = found.current_snapshot() if found else None
        return current.snapshot_id if current else None

    def has_snapshot(self, namespace: str, table: str, snapshot_id: int) -> bool:
        """Whether a snapshot exists and can still be read."""
        found = self._find(namespace, table)
        return found is not None and found.snapshot_by_id(snapshot_id) is not None

    def read(
        self, spark: SparkSession, namespace: str, table: str, snapshot_id: int | None = None
    ) -> DataFrame:
        """Reads a snapshot.

        Args:
            spark: The session.
            namespace: The pipeline's name.
            table: One of the tables of `darkroom.lake.schema`.
            snapshot_id: Which snapshot; None for the current one.

        Returns:
            The rows, with the table's columns; an empty frame when there is no snapshot.

        Raises:
            ValueError: There is no such table or snapshot.
        """
        schema = spark_schema(table)
        found = self._find(namespace, table)
        paths = files.of_snapshot(found, snapshot_id) if found else []
        if found is None and snapshot_id is not None:
            raise ValueError(f"{namespace}.{table} has no snapshot {snapshot_id}: it is empty")
        if not paths:
            return spark.createDataFrame([], schema)
        return spark.read.schema(schema).parquet(*paths)

    def append(
        self,
        frame: DataFrame,
        namespace: str,
        table: str,
        *,
        run_id: str,
        stage: Stage,
        properties: Mapping[str, str] | None = None,
    ) -> Commit:
        """Writes a frame and commits it as one snapshot, all of it or nothing.

        Args:
            frame: Has every column of the table (others are ignored); ``run_id`` may be missing.
            namespace: The pipeline's name.
            table: One of the tables of `darkroom.lake.schema`.
            run_id: Kept in the column ``run_id``, where missing, and in the snapshot.
            stage: Kept in the snapshot.
            properties: More to keep in the snapshot.

        Returns:
            The commit; an empty frame makes none.

        Raises:
            ValueError: A column is missing.
        """
        frame = _as_table(frame, table, run_id)
        target = self._table(namespace, table)
        folder = f"{target.location()}/data/{stage}-{uuid.uuid4()}"
        _write_parquet(frame, folder)
        written = files.parquet_in(target, folder)
        if not written:
            files.delete(target, folder)
            return Commit(self.snapshot(namespace, table), 0)
        # The folder's name is new: PyIceberg need not look for it among all files of the table.
        target.add_files(
            list(written),
            snapshot_properties={**(properties or {}), "run-id": run_id, "stage": str(stage)},
            check_duplicate_files=False,
        )
        return Commit(_snapshot_of(target), sum(written.values()))

    def append_rows(
        self,
        rows: Sequence[Mapping[str, Any]],
        namespace: str,
        table: str,
        *,
        run_id: str,
        stage: Stage,
    ) -> Commit:
        """Appends a few rows without Spark.

        Args:
            rows: One mapping per row with every column of the table; ``run_id`` may be missing.
                Timestamps carry a time zone.
            namespace: The pipeline's name, or ``darkroom`` for what pipelines share.
            table: One of the tables of `darkroom.lake.schema`.
            run_id: Kept in the column ``run_id``, where missing, and in the snapshot.
            stage: Kept in the snapshot.

        Returns:
            The commit; no rows make none.

        Raises:
            ValueError: A row lacks a column or has one that the table has not.
        """
        import pyarrow as pa

        complete = [{RUN_ID: run_id, **row} for row in rows]
        for row in complete:
            _check_columns(row, table)
        if not complete:
            return Commit(self.snapshot(namespace, table), 0)
        target = self._table(namespace, table)
        target.append(
            pa.Table.from_pylist(complete, schema=target.schema().as_arrow()),
            snapshot_properties={"run-id": run_id, "stage": str(stage)},
        )
        return Commit(_snapshot_of(target), len(complete))

    def rows(self, namespace: str, table: str) -> list[dict[str, Any]]:
        """All rows of a small table, without Spark; oldest commit first."""
        found = self._find(namespace, table)
        if found is None:
            return []
        import pyarrow.parquet as pq

        rows: list[dict[str, Any]] = []
        for path in files.of_snapshot(found, None):
            with found.io.new_input(path).open() as stream:
                rows.extend(pq.read_table(stream, columns=list(column_names(table))).to_pylist())
        return rows

    def batches(
        self, namespace: str, table: str, snapshot_id: int, columns: Sequence[str], size: int
    ) -> Iterator[pa.RecordBatch]:
        """Rows of a snapshot without Spark, for who needs only the first few; oldest commit first.

        Args:
            namespace: The pipeline's name.
            table: One of the tables of `darkroom.lake.schema`.
            snapshot_id: Which snapshot.
            columns: Which columns.
            size: Most rows of a batch; hardly more than one batch is in memory at a time.

        Yields:
            Batches with those columns.

        Raises:
            ValueError: There is no such table or snapshot.
        """
        import pyarrow.parquet as pq

        found = self._find(namespace, table)
        if found is None:
            raise ValueError(f"{namespace}.{table} has no snapshot {snapshot_id}: it is empty")
        for path in files.of_snapshot(found, snapshot_id):
            with found.io.new_input(path).open() as stream:
                # Buffered: otherwise a whole row group is read before its first row.
                file = pq.ParquetFile(stream, buffer_size=READ_BUFFER, pre_buffer=False)
                yield from file.iter_batches(batch_size=size, columns=list(columns))

    def tag(self, namespace: str, table: str, snapshot_id: int, tag: str) -> None:
        """Names a snapshot, so that it can be found again and is never expired.

        Raises:
            ValueError: There is no such snapshot, or the tag names another one.
        """
        target = self._table(namespace, table)
        existing = target.refs().get(tag)
        if existing and existing.snapshot_id == snapshot_id:
            return
        if existing:
            raise ValueError(
                f"{namespace}.{table}: tag {tag!r} already names snapshot {existing.snapshot_id}"
            )
        if target.snapshot_by_id(snapshot_id) is None:
            raise ValueError(f"{namespace}.{table} has no snapshot {snapshot_id}")
        target.manage_snapshots().create_tag(snapshot_id, tag).commit()

    def vacuum(
        self, namespace: str, table: str, older_than: dt.timedelta = dt.timedelta(days=1)
    ) -> int:
        """Deletes data that writers left behind who died before their commit.

        Args:
            namespace: The pipeline's name.
            table: One of the tables of `darkroom.lake.schema`.
            older_than: Spares what changed within this time, for its writer may be at work.

        Returns:
            Number of files and folders deleted; no snapshot names anything in them.
        """
        found = self._find(namespace, table)
        if found is None:
            return 0
        # Listed before the snapshots are: what is committed in between must not look abandoned.
        candidates = files.unchanged_since(found, dt.datetime.now(dt.UTC) - older_than)
        found.refresh()
        abandoned = candidates - files.entries_in_use(found)
        for entry in abandoned:
            files.delete(found, f"{found.location()}/data/{entry}")
        return len(abandoned)

    def _find(self, namespace: str, table: str) -> Table | None:
        from pyiceberg.exceptions import NoSuchTableError

        column_names(table)
        try:
            return self._catalog.load_table((namespace, table))
        except NoSuchTableError:
            return None

    def _table(self, namespace: str, table: str) -> Table:
        from darkroom.lake.catalog import ensure_table

        column_names(table)
        return ensure_table(self._catalog, namespace, table)


def _as_table(frame: DataFrame, table: str, run_id: str) -> DataFrame:
    from pyspark.sql import functions as f

    if RUN_ID not in frame.columns:
        frame = frame.withColumn(RUN_ID, f.lit(run_id))
    missing = [name for name in column_names(table) if name not in frame.columns]
    if missing:
        raise ValueError(f"the frame for table {table} lacks {', '.join(missing)}")
    return frame.to(spark_schema(table))


def _write_parquet(frame: DataFrame, folder: str) -> None:
    """Iceberg knows no INT96 timestamps, which Spark writes unless told otherwise."""
    settings = frame.sparkSession.conf
    before = settings.get(TIMESTAMP_SETTING)
    settings.set(TIMESTAMP_SETTING, "TIMESTAMP_MICROS")
    try:
        frame.write.parquet(folder)
    finally:
        settings.set(TIMESTAMP_SETTING, str(before))


def _check_columns(row: Mapping[str, Any], table: str) -> None:
    names = column_names(table)
    missing = [name for name in names if name not in row]
    unknown = [name for name in row if name not in names]
    if missing or unknown:
        raise ValueError(f"a row for table {table} lacks {missing} and has unknown {unknown}")


def _snapshot_of(table: Table) -> int:
    current = table.current_snapshot()
    assert current is not None
    return current.snapshot_id
