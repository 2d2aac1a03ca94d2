"""The tables: Apache Iceberg, committed by PyIceberg, written and read by Spark as Parquet.

Importing this package loads neither Spark nor PyIceberg: a stage pays for what it calls.
"""

from darkroom.lake.history import Expired, OldSnapshot
from darkroom.lake.lake import Lake
from darkroom.lake.model import Change, Commit, Rows

__all__ = ["Change", "Commit", "Expired", "Lake", "OldSnapshot", "Rows"]
