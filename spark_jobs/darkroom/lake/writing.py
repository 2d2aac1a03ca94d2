"""Rows in the form of a table, and the files that hold them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from darkroom.contract.columns import RUN_ID
from darkroom.lake.schema import OPTIONAL, arrow_schema, column_names, spark_schema

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

TIMESTAMP_SETTING = "spark.sql.parquet.outputTimestampType"


def as_table(frame: DataFrame, table: str, run_id: str) -> DataFrame:
    """Gives a frame the table's columns, in order.

    Args:
        frame: Has them; ``run_id`` and what is `OPTIONAL` may be missing, others are left out.
        table: One of the tables of `darkroom.lake.schema`.
        run_id: Fills the column ``run_id`` where it is missing.

    Raises:
        ValueError: A column is missing.
    """
    from pyspark.sql import functions as f

    if RUN_ID not in frame.columns:
        frame = frame.withColumn(RUN_ID, f.lit(run_id))
    missing = [name for name in column_names(table) if name not in frame.columns]
    required = [name for name in missing if name not in OPTIONAL.get(table, ())]
    if required:
        raise ValueError(f"the frame for table {table} lacks {', '.join(required)}")
    schema = spark_schema(table)
    nulls = {name: f.lit(None).cast(schema[name].dataType) for name in missing}
    return frame.withColumns(nulls).to(schema) if nulls else frame.to(schema)


def write_parquet(frame: DataFrame, folder: str) -> None:
    """Iceberg knows no INT96 timestamps, which Spark writes unless told otherwise."""
    settings = frame.sparkSession.conf
    before = settings.get(TIMESTAMP_SETTING)
    settings.set(TIMESTAMP_SETTING, "TIMESTAMP_MICROS")
    try:
        frame.write.parquet(folder)
    finally:
        settings.set(TIMESTAMP_SETTING, str(before))


def check_columns(row: Mapping[str, Any], table: str) -> None:
    """Holds a row against the table's columns.

    Raises:
        ValueError: It lacks one that is not `OPTIONAL`, or has one that the table has not.
    """
    names = column_names(table)
    optional = OPTIONAL.get(table, frozenset())
    missing = [name for name in names if name not in row and name not in optional]
    unknown = [name for name in row if name not in names]
    if missing or unknown:
        raise ValueError(f"a row for table {table} lacks {missing} and has unknown {unknown}")


def complete(rows: pa.Table, table: str, run_id: str) -> pa.Table:
    """Gives Arrow's rows the table's columns, in order; see `as_table`.

    Raises:
        ValueError: A column is missing.
    """
    import pyarrow as pa

    schema = arrow_schema(table)
    filled = {RUN_ID: pa.array([run_id] * len(rows), pa.string())}
    optional = OPTIONAL.get(table, frozenset())
    filled |= {name: pa.nulls(len(rows), schema.field(name).type) for name in optional}
    missing = [name for name in schema.names if name not in {*rows.column_names, *filled}]
    if missing:
        raise ValueError(f"the rows for table {table} lack {', '.join(missing)}")
    columns = [rows[name] if name in rows.column_names else filled[name] for name in schema.names]
    return pa.table(columns, schema=schema)
