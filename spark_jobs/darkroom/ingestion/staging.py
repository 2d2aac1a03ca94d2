"""Accepted pictures straight from a worker into Parquet files of the images table.

The bytes of a picture never enter the JVM: what travels through Spark is what was found out about
them. The files belong to no snapshot until the driver commits them.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from darkroom.contract import columns as c
from darkroom.lake.files import resolve
from darkroom.lake.schema import arrow_schema

if TYPE_CHECKING:
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
        self._columns: dict[str, list[Any]] = {name: [] for name in self._schema.names}
        self._gathered = 0
        self._writer: pq.ParquetWriter | None = None

    @property
    def location(self) -> str:
        """Where the file is, or will be."""
        return self._location

    def add(self, row: Mapping[str, Any]) -> None:
        """Takes a row of the images table; ``run_id`` is filled in."""
        for name, values in self._columns.items():
            values.append(row.get(name))
        self._columns[c.RUN_ID][-1] = self._run_id
        self._gathered += len(row[c.IMAGE])
        if self._gathered >= ROW_GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        """Completes the file; without a row there is none."""
        self._flush()
        if self._writer:
            self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        if not self._columns[c.IMAGE]:
            return
        arrays = [pa.array(self._columns[field.name], field.type) for field in self._schema]
        self._open().write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._columns = {name: [] for name in self._schema.names}
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
