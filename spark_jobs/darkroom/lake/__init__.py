"""The tables: Apache Iceberg, committed by PyIceberg, written and read by Spark as Parquet.

Importing this package loads neither Spark nor PyIceberg: a stage pays for what it calls.
"""

from darkroom.lake.lake import Commit, Lake

__all__ = ["Commit", "Lake"]
