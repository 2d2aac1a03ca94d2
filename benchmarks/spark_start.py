"""How long spark-submit takes to start, with and without what set-up prepares."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.results import Row

ROUNDS = 3
EMPTY_JOB = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
assert spark.range(10).count() == 10
spark.stop()
"""


def measure() -> Iterator[Row]:
    """Yields one row: plain start / ours, in turns, so that both see the same machine."""
    ours = dict(os.environ)
    plain = {k: v for k, v in ours.items() if k not in {"SPARK_SUBMIT_OPTS", "SPARK_LAUNCHER_OPTS"}}
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder) / "empty_job.py"
        job.write_text(EMPTY_JOB)
        pairs = [(_start(job, plain), _start(job, ours)) for _ in range(ROUNDS)]
    ratios = [before / after for before, after in pairs]
    yield Row(
        name="spark_submit_start",
        value=round(statistics.median(ratios), 2),
        unit="x",
        samples=[round(ratio, 2) for ratio in ratios],
        note=f"plain {statistics.median(p for p, _ in pairs):.1f} s / with class-data archive and "
        f"quick compiler {statistics.median(o for _, o in pairs):.1f} s, interleaved",
    )


def _start(job: Path, environment: Mapping[str, str]) -> float:
    begun = time.perf_counter()
    subprocess.run(
        ["spark-submit", "--master", "local[1]", str(job)],
        env=dict(environment),
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - begun
