"""The columns of every table; Iceberg's and Spark's schemas are both derived from here.

Every column is optional to Iceberg, because Spark writes every Parquet column as optional.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from darkroom.contract import columns as c

if TYPE_CHECKING:
    from pyiceberg.schema import Schema
    from pyspark.sql.types import StructType

STRING: Final = "string"
LONG: Final = "long"
INT: Final = "int"
DOUBLE: Final = "double"
BINARY: Final = "binary"
TIMESTAMP: Final = "timestamp"
"""A moment in UTC, to the microsecond."""
FLOATS: Final = "array<float>"
STRINGS: Final = "array<string>"

TABLES: Final[Mapping[str, Mapping[str, str]]] = {
    c.IMAGES: {
        c.IMAGE_ID: STRING,  # SHA-256 of the encoded bytes
        c.PATH: STRING,  # relative to the source folder
        c.LABEL: STRING,
        c.IMAGE: BINARY,  # the encoded bytes
        c.LENGTH: LONG,
        c.MODIFIED_AT: TIMESTAMP,
        c.FORMAT: STRING,
        c.MODE: STRING,
        c.WIDTH: INT,
        c.HEIGHT: INT,
        c.BRIGHTNESS: DOUBLE,  # mean luma, 0-255
        c.PERCEPTUAL_HASH: STRING,  # 16 hexadecimal digits
        c.RUN_ID: STRING,
    },
    c.REJECTED_IMAGES: {
        c.PATH: STRING,
        c.LABEL: STRING,
        c.REASON: STRING,
        c.DETAIL: STRING,
        c.IMAGE_ID: STRING,  # of DUPLICATE and LABEL_CONFLICT, else null
        c.LENGTH: LONG,
        c.MODIFIED_AT: TIMESTAMP,
        c.RUN_ID: STRING,
    },
    c.SPLITS: {
        c.IMAGE_ID: STRING,
        c.GROUP_ID: STRING,
        c.SPLIT: STRING,
        c.RUN_ID: STRING,
    },
    c.FEATURES: {
        c.IMAGE_ID: STRING,
        c.BACKBONE: STRING,
        c.BACKBONE_KEY: STRING,
        c.VECTOR: FLOATS,
        c.RUN_ID: STRING,
    },
    c.LEDGER: {
        c.PIPELINE: STRING,
        c.WHO: STRING,
        c.WHEN: TIMESTAMP,
        c.WHY: STRING,
        c.FROM_VERSION: STRING,
        c.TO_VERSION: STRING,
        c.MODEL_DIGEST: STRING,
        c.DECISION_DIGEST: STRING,
        c.RUN_ID: STRING,
    },
    c.FUNCTIONS: {
        c.FUNCTION: STRING,
        c.PIPELINE: STRING,
        c.VIEW: STRING,
        c.MODEL_NAME: STRING,
        c.MODEL_VERSION: STRING,
        c.MODEL_DIGEST: STRING,
        c.MODEL_PATH: STRING,  # below the workspace
        c.LABELS: STRINGS,
        c.DEPLOYED_AT: TIMESTAMP,
        c.RUN_ID: STRING,
    },
}


def column_names(table: str) -> tuple[str, ...]:
    """Column names of a table, in order.

    Raises:
        ValueError: There is no such table.
    """
    if table not in TABLES:
        raise ValueError(f"no table named {table!r}: there are {', '.join(TABLES)}")
    return tuple(TABLES[table])


def iceberg_schema(table: str) -> Schema:
    """The table's schema for PyIceberg; field ids count from 1 in column order."""
    from pyiceberg import types as t
    from pyiceberg.schema import Schema

    primitives: dict[str, t.IcebergType] = {
        STRING: t.StringType(),
        LONG: t.LongType(),
        INT: t.IntegerType(),
        DOUBLE: t.DoubleType(),
        BINARY: t.BinaryType(),
        TIMESTAMP: t.TimestamptzType(),
    }
    elements = {FLOATS: t.FloatType(), STRINGS: t.StringType()}
    names = column_names(table)
    fields = []
    for number, name in enumerate(names, start=1):
        kind = TABLES[table][name]
        # Elements are numbered after all columns, so that a column's id is its position.
        of_kind = primitives.get(kind) or t.ListType(
            element_id=len(names) + number, element=elements[kind], element_required=False
        )
        fields.append(t.NestedField(number, name, of_kind, required=False))
    return Schema(*fields)


def spark_schema(table: str) -> StructType:
    """The table's schema for Spark, every column nullable."""
    from pyspark.sql import types as t

    kinds: dict[str, t.DataType] = {
        STRING: t.StringType(),
        LONG: t.LongType(),
        INT: t.IntegerType(),
        DOUBLE: t.DoubleType(),
        BINARY: t.BinaryType(),
        TIMESTAMP: t.TimestampType(),
        FLOATS: t.ArrayType(t.FloatType()),
        STRINGS: t.ArrayType(t.StringType()),
    }
    return t.StructType(
        [t.StructField(name, kinds[TABLES[table][name]]) for name in column_names(table)]
    )
