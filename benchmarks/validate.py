"""Validation of a data set against its ingestion: what is known of pictures is cheap to check."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.ingest import FILES, Ingest, session, tree_of
from benchmarks.results import Row
from darkroom.stages import validate

ROUNDS = 3
GOAL = 1.0


def measure(files: int = FILES) -> Iterator[Row]:
    """Yields one row; the first validation imports Great Expectations, as in a task of its own.

    Args:
        files: How many; less to try the benchmark out.
    """
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as folder, session() as spark:
        tree = tree_of(Path(folder) / "source", files)
        spark.range(1).count()
        place = Ingest(spark, tree, Path(folder) / "workspace")
        first = place.run()
        seconds = []
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            result = validate.validate(spark, place.config, place.workspace, place.stage_run())
            seconds.append(time.perf_counter() - begun)
        shares = [one / first for one in seconds]
    yield Row(
        name="validate_vs_ingest",
        value=round(shares[0], 3),
        unit="x",
        goal=f"<= {GOAL:g}",
        met=shares[0] <= GOAL,
        samples=[round(one, 3) for one in shares],
        note=f"{len(tree.files):,} files: ingestion {first:.1f} s; validation with its page "
        f"{seconds[0]:.1f} s in a fresh process, {statistics.median(seconds[1:]):.1f} s once Great "
        f"Expectations is imported ({result.summary.partition(':')[0]}); lower is better",
    )
