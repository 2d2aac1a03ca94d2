"""Snapshots of the tables: read, append, tag, clean up."""

from __future__ import annotations

import datetime as dt
import functools
import uuid
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from darkroom.contract import Stage, Workspace
from darkroom.contract.columns import RUN_ID
from darkroom.lake import files
from darkroom.lake.commits import check_unchanged, commit_files, current_id, made_by, new_id
from darkroom.lake.model import Change, Commit, Rows
from darkroom.lake.rewriting import rewrite_without
from darkroom.lake.schema import arrow_schema, column_names, spark_schema
from darkroom.lake.writing import as_table, check_columns, complete, write_parquet

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table
    from pyspark.sql import DataFrame, SparkSession


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

    def find(self, namespace: str, table: str) -> Table | None:
        """The table as PyIceberg has it, or None while there is none."""
        from pyiceberg.exceptions import NoSuchTableError

        column_names(table)
        try:
            return self._catalog.load_table((namespace, table))
        except NoSuchTableError:
            return None

    def namespaces(self) -> tuple[str, ...]:
        """Names of the pipelines that have tables, sorted; and ``darkroom`` for the shared ones."""
        return tuple(sorted(".".join(name) for name in self._catalog.list_namespaces()))

    def snapshot(self, namespace: str, table: str) -> int | None:
        """Id of the table's current snapshot, or None while there is none."""
        found = self.find(namespace, table)
        return current_id(found) if found else None

    def snapshot_at(self, namespace: str, table: str, moment: dt.datetime) -> int | None:
        """Id of the snapshot that was the table's current one then, or None while there was none.

        Args:
            namespace: The pipeline's name.
            table: The table.
            moment: With a time zone.
        """
        found = self.find(namespace, table)
        then = found.snapshot_as_of_timestamp(int(moment.timestamp() * 1000)) if found else None
        return then.snapshot_id if then else None

    def has_snapshot(self, namespace: str, table: str, snapshot_id: int) -> bool:
        """Whether a snapshot exists and can still be read."""
        found = self.find(namespace, table)
        return found is not None and found.snapshot_by_id(snapshot_id) is not None

    def row_count(self, namespace: str, table: str) -> int:
        """Number of rows of the current snapshot; reads no data file."""
        found = self.find(namespace, table)
        return sum(files.row_counts(found, current_id(found)).values()) if found else 0

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
        found = self.find(namespace, table)
        if found is None and snapshot_id is not None:
            raise ValueError(f"{namespace}.{table} has no snapshot {snapshot_id}: it is empty")
        paths = files.of_snapshot(found, snapshot_id) if found else []
        return self.read_files(spark, table, paths)

    def read_files(self, spark: SparkSession, table: str, locations: Sequence[str]) -> DataFrame:
        """Reads Parquet files that have a table's columns, whether a snapshot names them or not."""
        schema = spark_schema(table)
        if not locations:
            return spark.createDataFrame([], schema)
        return spark.read.schema(schema).parquet(*locations)

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
        target = self._table(namespace, table)
        folder = self._new_folder(target, stage)
        write_parquet(as_table(frame, table, run_id), folder)
        written = files.parquet_in(target, folder)
        if not written:
            files.delete(target, folder)
            return Commit(self.snapshot(namespace, table), 0)
        # The folder's name is new: PyIceberg need not look for it among all files of the table.
        target.add_files(
            list(written),
            snapshot_properties={**(properties or {}), **made_by(run_id, stage)},
            check_duplicate_files=False,
        )
        return Commit(new_id(target), sum(written.values()))

    def new_folder(self, namespace: str, table: str, stage: Stage) -> str:
        """Location of a folder, not made yet, for files that a later `change` adds."""
        return self._new_folder(self._table(namespace, table), stage)

    def change(
        self,
        spark: SparkSession,
        namespace: str,
        table: str,
        rows: Rows,
        *,
        base: int | None,
        run_id: str,
        stage: str,
    ) -> Change:
        """Lets rows come and go in one snapshot, unless another process was faster.

        Args:
            spark: The session.
            namespace: The pipeline's name.
            table: One of the tables of `darkroom.lake.schema`.
            rows: Which rows.
            base: The snapshot that they were worked out from; None for an empty table.
            run_id: Kept in the column ``run_id``, where missing, and in the snapshot.
            stage: Kept in the snapshot.

        Returns:
            What was changed; an empty change makes no snapshot.

        Raises:
            ConflictError: The table has changed since ``base``; nothing is committed.
            RuntimeError: It would not grow as ``rows`` says; nothing is committed.
            ValueError: A column is missing.
        """
        target = self._table(namespace, table)
        # Looked at again by the commit itself: this one spares the work.
        check_unchanged(target, base)
        before = files.row_counts(target, base)
        frames = list(rows.add)
        drop = tuple(rows.dropped)
        if rows.gone is not None:
            rewrite = rewrite_without(spark, table, list(before), rows.gone, rows.keys)
            drop += rewrite.drop
            if rewrite.staying is not None:
                frames.append(rewrite.staying)
            if rewrite.leaving is not None and rows.mend is not None:
                frames.append(rows.mend(rewrite.leaving))
        added = self._write(frames, target, table, run_id, stage)
        added |= {location: files.rows_in(target, location) for location in rows.files}
        growth = sum(added.values()) - sum(before[location] for location in drop)
        if rows.growth not in (None, growth):
            raise RuntimeError(
                f"{namespace}.{table} would grow by {growth} rows instead of {rows.growth}: "
                "nothing was committed"
            )
        snapshot = commit_files(
            target, add=added, drop=drop, base=base, properties=made_by(run_id, stage)
        )
        return Change(snapshot, sum(before.values()), sum(before.values()) + growth)

    def append_rows(
        self,
        rows: Sequence[Mapping[str, Any]],
        namespace: str,
        table: str,
        *,
        run_id: str,
        stage: str,
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
            check_columns(row, table)
        if not complete:
            return Commit(self.snapshot(namespace, table), 0)
        target = self._table(namespace, table)
        target.append(
            pa.Table.from_pylist(complete, schema=target.schema().as_arrow()),
            snapshot_properties=made_by(run_id, stage),
        )
        return Commit(new_id(target), len(complete))

    def put(
        self,
        namespace: str,
        table: str,
        rows: pa.Table,
        *,
        replace: bool,
        base: int | None,
        run_id: str,
        stage: Stage,
    ) -> int | None:
        """Adds rows to a table without Spark, or puts them in the place of all it has.

        Args:
            namespace: The pipeline's name.
            table: One of the tables of `darkroom.lake.schema`.
            rows: All its columns; ``run_id`` and what is optional may be missing.
            replace: Whether the rows that are there leave.
            base: The snapshot that the rows were worked out from; None for an empty table.
            run_id: Kept in the column ``run_id``, where missing, and in the snapshot.
            stage: Kept in the snapshot.

        Returns:
            The snapshot now; the base where nothing comes and nothing leaves.

        Raises:
            ConflictError: The table has changed since ``base``; nothing is committed.
            ValueError: A column is missing.
        """
        target = self._table(namespace, table)
        drop = files.row_counts(target, base) if replace else {}
        add = []
        if len(rows):
            add = [f"{self._new_folder(target, stage)}/part-0.parquet"]
            files.write(add[0], complete(rows, table, run_id))
        properties = made_by(run_id, stage)
        return commit_files(target, add=add, drop=drop, base=base, properties=properties)

    def rows(self, namespace: str, table: str) -> list[dict[str, Any]]:
        """All rows of a small table, without Spark; oldest commit first."""
        snapshot = self.snapshot(namespace, table)
        if snapshot is None:
            return []
        names = column_names(table)
        return [
            row
            for batch in self.batches(namespace, table, snapshot, names, 10_000)
            for row in batch.to_pylist(maps_as_pydicts="strict")
        ]

    def batches(
        self, namespace: str, table: str, snapshot_id: int, columns: Sequence[str], size: int
    ) -> Iterator[pa.RecordBatch]:
        """Rows of a snapshot without Spark; oldest commit first.

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
        import pyarrow as pa

        found = self.find(namespace, table)
        if found is None:
            raise ValueError(f"{namespace}.{table} has no snapshot {snapshot_id}: it is empty")
        schema = arrow_schema(table)
        wanted = pa.schema([schema.field(name) for name in columns])
        yield from files.batches(found, files.of_snapshot(found, snapshot_id), wanted, size)

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
        found = self.find(namespace, table)
        if found is None:
            return 0
        abandoned = files.abandoned(found, dt.datetime.now(dt.UTC) - older_than)
        for location in abandoned:
            files.delete(found, location)
        return len(abandoned)

    def _write(
        self, frames: Sequence[DataFrame], target: Table, table: str, run_id: str, stage: str
    ) -> dict[str, int]:
        """Writes frames to a new folder; rows per file, for the files that have any."""
        if not frames:
            return {}
        folder = self._new_folder(target, stage)
        whole = [as_table(frame, table, run_id) for frame in frames]
        write_parquet(functools.reduce(lambda one, other: one.union(other), whole), folder)
        return files.parquet_in(target, folder)

    def _new_folder(self, target: Table, stage: str) -> str:
        return f"{target.location()}/data/{stage}-{uuid.uuid4()}"

    def _table(self, namespace: str, table: str) -> Table:
        from darkroom.lake.catalog import ensure_table

        column_names(table)
        return ensure_table(self._catalog, namespace, table)
