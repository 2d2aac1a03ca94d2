"""Columns of DataFrames: found by name, and added as a function over Arrow batches answers them.

A column expression is used and not `mapInArrow`: only the input column travels to Python, types
and metadata of the other columns (a stream's watermark among them) stay as they are, and where
nothing reads the answer nothing is computed.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from darkroom.contract import ConfigError
from darkroom.ml.answers import ArrowFunction, PairFunction

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import DataType

COLUMNAR_INPUT: Final = "spark.sql.execution.arrow.pythonUDF.columnarInput.enabled"


@dataclass(frozen=True)
class Answer:
    """One field of a function's structs.

    Attributes:
        param: Name of the Param that names the column, for errors.
        column: The column that it becomes; None for a field that nobody asked for.
        kind: Its Spark type.
        metadata: Of the column.
    """

    param: str
    column: str | None
    kind: DataType
    metadata: Mapping[str, Any] = field(default_factory=dict)


def attach(
    frame: DataFrame, source: Column, function: ArrowFunction, answers: Mapping[str, Answer]
) -> DataFrame:
    """Adds columns that one function computes, once per row however often they are read.

    Args:
        frame: All its columns are kept, and its rows in their order.
        source: What the function is given.
        function: From Arrow arrays to structs with the fields of ``answers``, same lengths.
        answers: Field of the structs to what becomes of it.

    Returns:
        The frame with the answers' columns.

    Raises:
        ConfigError: There is a column of that name, or two answers are to have one name.
    """
    from pyspark.sql import functions as F
    from pyspark.sql.types import StructField, StructType

    check_new(frame, [(answer.param, answer.column) for answer in answers.values()])
    kind = StructType([StructField(name, answer.kind) for name, answer in answers.items()])
    hidden = f"__darkroom_{uuid.uuid4().hex}"
    run = as_udf(frame.sparkSession, function, kind)
    # Otherwise a filter on the answer would be pushed below it, and the network would run twice.
    made = frame.select("*", run.asNondeterministic()(source).alias(hidden))
    columns = [
        F.col(hidden)[name].alias(answer.column, metadata=dict(answer.metadata))
        for name, answer in answers.items()
        if answer.column is not None
    ]
    return made.select("*", *columns).drop(hidden)


def as_udf(session: SparkSession, function: ArrowFunction, kind: DataType | str) -> Any:
    """A function over Arrow arrays as one over columns.

    Args:
        session: Where it will run. Its plans give Python functions rows from now on: Spark 4.3
            can pass on a Parquet file's batches instead, saves nothing by it, and fails where
            another column, or the answer, is a vector of Spark ML (UNSUPPORTED_DATATYPE).
        function: Its answers are as long as what it is given.
        kind: Type of the answers.
    """
    from pyspark.sql.pandas.functions import arrow_udf

    session.conf.set(COLUMNAR_INPUT, "false")

    def run(arrays: Iterator[pa.Array]) -> Iterator[pa.Array]:
        return function(arrays)

    # PySpark warns of the very argument that its stubs demand: the annotations say it better.
    return arrow_udf(run, kind)  # type: ignore[call-overload]


def as_udf_of_two(session: SparkSession, function: PairFunction, kind: DataType | str) -> Any:
    """Like `as_udf`, for a function over two columns."""
    from pyspark.sql.pandas.functions import arrow_udf

    session.conf.set(COLUMNAR_INPUT, "false")

    def run(arrays: Iterator[tuple[pa.Array, pa.Array]]) -> Iterator[pa.Array]:
        return function(arrays)

    return arrow_udf(run, kind)  # type: ignore[call-overload]


def check_new(frame: DataFrame, columns: Iterable[tuple[str, str | None]]) -> None:
    """Refuses to replace a column.

    Args:
        frame: The DataFrame.
        columns: Names of Params, and the columns that they add, if any.

    Raises:
        ConfigError: There is a column of that name, or two are to have one name.
    """
    taken = set(frame.columns)
    for param, name in columns:
        if name in taken:
            raise ConfigError(param, name, "there is a column of that name: choose another")
        if name is not None:
            taken.add(name)


def column(name: str) -> Column:
    """A column by its exact name, dots and all."""
    from pyspark.sql import functions as F

    quoted = name.replace("`", "``")
    return F.col(f"`{quoted}`")


def column_type(frame: DataFrame, field: str, column: str) -> DataType:
    """Type of a column, by its exact name.

    Args:
        frame: The DataFrame.
        field: Name of the Param that names the column, for the error.
        column: The column.

    Raises:
        ConfigError: There is no such column.
    """
    for item in frame.schema.fields:
        if item.name == column:
            return item.dataType
    raise ConfigError(field, column, f"no such column, there are {frame.columns}")
