"""Accepted pictures straight from a worker into Parquet files of the images table.

The bytes of a picture never enter the JVM: what travels through Spark is what was found out about
them. The files belong to no snapshot until the driver commits them.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from darkroom.contract import columns as c
from darkroom.lake.files import resolve
from darkroom.lake.schema import arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ROW_GROUP_BYTES = 16 * 1024**2
"""Encoded bytes that a worker gathers before it writes them: its memory, several times over."""


class StagedFile:
    """One Parquet file of the images table, made when the first row comes.

    Args:
        folder: Location of the folder; made if it is not there.
        run_id: The run that accepts the rows.
    """

    def __init__(self, folder: str, run_id: str) -> None:
        self._location = f"{folder}/part-{uuid.uuid4()}.parquet"
        self._run_id = run_id
        self._schema = arrow_schema(c.IMAGES)
        self._batches: list[pa.RecordBatch] = []
        self._gathered = 0
        self._writer: pq.ParquetWriter | None = None

    @property
    def location(self) -> str:
        """Where the file is, or will be."""
        return self._location

    def add(self, listed: pa.RecordBatch, audited: Sequence[Mapping[str, Any]]) -> None:
        """Takes the accepted files of some.

        Args:
            listed: Columns of the listing.
            audited: What was found out, for each of its rows; where ``reason`` is given the file
                is left out.
        """
        import pyarrow as pa

        accepted = [row for row in audited if row.get(c.REASON) is None]
        if not accepted:
            return
        if len(accepted) < len(audited):
            listed = listed.filter(pa.array([row.get(c.REASON) is None for row in audited]))
        arrays = [self._column(field, listed, accepted) for field in self._schema]
        self._batches.append(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._gathered += sum(len(row[c.IMAGE]) for row in accepted)
        if self._gathered >= ROW_GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        """Completes the file; without a row there is none."""
        self._flush()
        if self._writer:
            self._writer.close()

    def _column(
        self, field: pa.Field, listed: pa.RecordBatch, accepted: Sequence[Mapping[str, Any]]
    ) -> pa.Array:
        import pyarrow as pa

        if field.name == c.RUN_ID:
            return pa.repeat(self._run_id, len(accepted))
        if field.name in accepted[0]:
            return pa.array([row[field.name] for row in accepted], field.type)
        return listed.column(field.name).cast(field.type)

    def _flush(self) -> None:
        import pyarrow as pa

        if not self._batches:
            return
        table = pa.Table.from_batches(self._batches).combine_chunks()
        self._open().write_table(table, row_group_size=len(table))
        self._batches = []
        self._gathered = 0

    def _open(self) -> pq.ParquetWriter:
        import pyarrow.parquet as pq

        if self._writer is None:
            files, path = resolve(self._location)
            files.create_dir(path.rpartition("/")[0], recursive=True)
            others = [name for name in self._schema.names if name != c.IMAGE]
            self._writer = pq.ParquetWriter(
                path,
                self._schema,
                filesystem=files,
                # Pictures are compressed already, and no query asks for the least of them.
                compression=dict.fromkeys(others, "zstd") | {c.IMAGE: "none"},
                use_dictionary=[c.ROOT, c.LABEL, c.FORMAT, c.MODE, c.RUN_ID],
                write_statistics=others,
            )
        return self._writer
