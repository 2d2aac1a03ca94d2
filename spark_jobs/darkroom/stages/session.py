"""One way to start Spark, and how long the process has been alive."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def start_session(name: str) -> SparkSession:
    """Gets or makes the Spark session; everything but its name comes from the configuration."""
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.appName(name).getOrCreate()
    spark.sparkContext.setLogLevel("WARN")
    return spark


def spread(frame: DataFrame) -> DataFrame:
    """Gives every core a part: a small table is one file, hence one partition."""
    cores = frame.sparkSession.sparkContext.defaultParallelism
    return frame if frame.rdd.getNumPartitions() >= cores else frame.repartition(cores)


def process_age() -> float:
    """Seconds since spark-submit was launched (its time in ``DARKROOM_LAUNCHED_AT``).

    Without that variable: since this Python process was started.
    """
    launched_at = os.environ.get("DARKROOM_LAUNCHED_AT")
    if launched_at:
        return time.time() - float(launched_at)
    ticks = os.sysconf("SC_CLK_TCK")
    with open("/proc/self/stat") as stat:
        start_ticks = int(stat.read().rpartition(")")[2].split()[19])
    with open("/proc/uptime") as uptime:
        return float(uptime.read().split()[0]) - start_ticks / ticks
