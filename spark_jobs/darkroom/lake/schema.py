"""The columns of every table; Iceberg's and Spark's schemas are both derived from here.

Every column is optional to Iceberg, because Spark writes every Parquet column as optional.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from darkroom.contract import columns as c

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.schema import Schema
    from pyspark.sql.types import StructType

STRING: Final = "string"
LONG: Final = "long"
INT: Final = "int"
DOUBLE: Final = "double"
BINARY: Final = "binary"
BOOLEAN: Final = "boolean"
TIMESTAMP: Final = "timestamp"
"""A moment in UTC, to the microsecond."""
FLOATS: Final = "array<float>"
STRINGS: Final = "array<string>"
TEXTS: Final = "map<string, string>"

_PREDICTED: Final[Mapping[str, str]] = {
    c.IMAGE_ID: STRING,
    c.MODEL_NAME: STRING,
    c.MODEL_VERSION: STRING,
    c.MODEL_DIGEST: STRING,
    c.LABEL: STRING,  # the likeliest one
    c.PROBABILITY: DOUBLE,
    c.ERROR: STRING,  # why the image has no label
    c.SCORED_AT: TIMESTAMP,
    c.RUN_ID: STRING,
}

TABLES: Final[Mapping[str, Mapping[str, str]]] = {
    c.IMAGES: {
        c.IMAGE_ID: STRING,  # SHA-256 of the encoded bytes
        c.ROOT: STRING,  # the source, a folder or URI
        c.PATH: STRING,  # relative to the root
        c.LABEL: STRING,  # null where the source has none
        c.IMAGE: BINARY,  # the encoded bytes
        c.LENGTH: LONG,
        c.MODIFIED_AT: TIMESTAMP,
        c.FORMAT: STRING,  # by the bytes, whatever the file is called
        c.MODE: STRING,
        c.BIT_DEPTH: INT,  # bits of a channel as stored
        c.ORIENTATION: INT,  # EXIF: 1-8, 1 for none
        c.ANIMATED: BOOLEAN,  # more than one frame or page
        c.WIDTH: INT,
        c.HEIGHT: INT,
        c.BRIGHTNESS: DOUBLE,  # mean luma, 0-255
        c.CONTRAST: DOUBLE,  # standard deviation of the luma, 0-127.5
        c.SHARPNESS: DOUBLE,  # variance of the luma's Laplacian
        c.PERCEPTUAL_HASH: STRING,  # 16 hexadecimal digits
        c.DIFFERENCE_HASH: STRING,  # 16 hexadecimal digits
        c.METADATA: TEXTS,
        c.RUN_ID: STRING,
    },
    c.REJECTED_IMAGES: {
        c.ROOT: STRING,
        c.PATH: STRING,
        c.LABEL: STRING,
        c.REASON: STRING,
        c.DETAIL: STRING,
        c.IMAGE_ID: STRING,  # of DUPLICATE, LABEL_CONFLICT and FORGOTTEN, else null
        c.LENGTH: LONG,  # null where no file could be looked at
        c.MODIFIED_AT: TIMESTAMP,
        c.RUN_ID: STRING,
    },
    c.SPLITS: {
        c.IMAGE_ID: STRING,
        c.GROUP_ID: STRING,  # shared by near-duplicates of one split
        c.SPLIT: STRING,
        c.PERCEPTUAL_HASH: STRING,
        c.DIFFERENCE_HASH: STRING,
        c.RUN_ID: STRING,
    },
    c.SPLIT_LEAKS: {  # near-duplicates on both sides of a border between splits
        c.IMAGE_ID: STRING,
        c.SPLIT: STRING,
        c.OTHER_IMAGE_ID: STRING,
        c.OTHER_SPLIT: STRING,
        c.DISTANCE: INT,  # bits in which the perceptual hashes differ
        c.RUN_ID: STRING,
    },
    c.FORGOTTEN: {  # what may not come back; the digest is all that is left of a picture
        c.IMAGE_ID: STRING,
        c.WHO: STRING,
        c.WHEN: TIMESTAMP,
        c.RUN_ID: STRING,
    },
    c.FEATURES: {
        c.IMAGE_ID: STRING,
        c.BACKBONE: STRING,
        c.BACKBONE_KEY: STRING,
        c.VECTOR: FLOATS,
        c.RUN_ID: STRING,
    },
    c.PREDICTIONS: _PREDICTED,  # of deployed versions
    c.SHADOW_PREDICTIONS: _PREDICTED,  # of versions that were waiting for approval
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
        c.ACTION: STRING,  # one of registry.ledger.Action
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


OPTIONAL: Final[Mapping[str, frozenset[str]]] = {
    c.IMAGES: frozenset(
        {
            c.ROOT,
            c.BIT_DEPTH,
            c.ORIENTATION,
            c.ANIMATED,
            c.CONTRAST,
            c.SHARPNESS,
            c.DIFFERENCE_HASH,
            c.METADATA,
        }
    ),
    c.LEDGER: frozenset({c.ACTION}),
    c.REJECTED_IMAGES: frozenset({c.ROOT}),
    c.SPLITS: frozenset({c.PERCEPTUAL_HASH, c.DIFFERENCE_HASH}),
    c.PREDICTIONS: frozenset({c.ERROR}),
    c.SHADOW_PREDICTIONS: frozenset({c.ERROR}),
}
"""Columns that a writer may leave out, and that rows of an older table have not: null then."""


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
        BOOLEAN: t.BooleanType(),
        TIMESTAMP: t.TimestamptzType(),
    }
    text = t.StringType()
    names = column_names(table)
    fields = []
    for number, name in enumerate(names, start=1):
        kind = TABLES[table][name]
        # Elements are numbered after all columns, so that a column's id is its position.
        inner, value = len(names) + number, 2 * len(names) + number
        nested: dict[str, t.IcebergType] = {
            FLOATS: t.ListType(inner, t.FloatType(), element_required=False),
            STRINGS: t.ListType(inner, text, element_required=False),
            TEXTS: t.MapType(inner, text, value, text, value_required=False),
        }
        of_kind = primitives.get(kind) or nested[kind]
        fields.append(t.NestedField(number, name, of_kind, required=False))
    return Schema(*fields)


def arrow_schema(table: str) -> pa.Schema:
    """The table's schema for Arrow, every column nullable."""
    import pyarrow as pa

    kinds = {
        STRING: pa.string(),
        LONG: pa.int64(),
        INT: pa.int32(),
        DOUBLE: pa.float64(),
        BINARY: pa.binary(),
        BOOLEAN: pa.bool_(),
        TIMESTAMP: pa.timestamp("us", tz="UTC"),
        FLOATS: pa.list_(pa.float32()),
        STRINGS: pa.list_(pa.string()),
        TEXTS: pa.map_(pa.string(), pa.string()),
    }
    return pa.schema([(name, kinds[TABLES[table][name]]) for name in column_names(table)])


def spark_schema(table: str) -> StructType:
    """The table's schema for Spark, every column nullable."""
    from pyspark.sql import types as t

    kinds: dict[str, t.DataType] = {
        STRING: t.StringType(),
        LONG: t.LongType(),
        INT: t.IntegerType(),
        DOUBLE: t.DoubleType(),
        BINARY: t.BinaryType(),
        BOOLEAN: t.BooleanType(),
        TIMESTAMP: t.TimestampType(),
        FLOATS: t.ArrayType(t.FloatType()),
        STRINGS: t.ArrayType(t.StringType()),
        TEXTS: t.MapType(t.StringType(), t.StringType()),
    }
    return t.StructType(
        [t.StructField(name, kinds[TABLES[table][name]]) for name in column_names(table)]
    )
