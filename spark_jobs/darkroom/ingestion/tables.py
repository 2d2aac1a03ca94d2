"""A pipeline's tables as one run finds them: what it works out must still hold when it commits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from darkroom.contract import Stage
from darkroom.lake import Change, Lake, Rows

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Tables:
    """The tables of one pipeline.

    Attributes:
        spark: The session.
        lake: Where they are.
        namespace: The pipeline's name.
        run_id: The run that reads and fills them.
    """

    spark: SparkSession
    lake: Lake
    namespace: str
    run_id: str

    def snapshot(self, table: str) -> int | None:
        """The table's current snapshot."""
        return self.lake.snapshot(self.namespace, table)

    def read(self, table: str, snapshot: int | None) -> DataFrame:
        """A snapshot's rows; none for None."""
        if snapshot is None:
            return self.lake.read_files(self.spark, table, [])
        return self.lake.read(self.spark, self.namespace, table, snapshot)

    def change(self, table: str, rows: Rows, base: int | None) -> Change:
        """Changes a table; see `Lake.change`."""
        return self.lake.change(
            self.spark,
            self.namespace,
            table,
            rows,
            base=base,
            run_id=self.run_id,
            stage=Stage.INGEST,
        )

    def put(self, table: str, rows: pa.Table, *, replace: bool, base: int | None) -> None:
        """Adds rows to a table, or puts them in the place of all it has; see `Lake.put`."""
        self.lake.put(
            self.namespace,
            table,
            rows,
            replace=replace,
            base=base,
            run_id=self.run_id,
            stage=Stage.INGEST,
        )
