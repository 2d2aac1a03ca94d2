"""Validation of a data set against its ingestion: what is known of pictures is cheap to check.

Each runs in a process and a session of its own, as tasks do, so neither finds the other's libraries
imported or code compiled. The clocks start when the sessions have answered once.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.ingest import FILES, Ingest, Tree, session, tree_of
from benchmarks.processes import answer, in_process
from benchmarks.results import Row
from darkroom.contract import Stage
from darkroom.stages import validate

ROUNDS = 3
GOAL = 1.0


def measure(files: int = FILES) -> Iterator[Row]:
    """Yields one row.

    Args:
        files: How many; less to try the benchmark out.
    """
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as name:
        folder = Path(name)
        tree = tree_of(folder / "source", files)
        rounds = [_round(tree.root, folder / f"workspace{number}") for number in range(ROUNDS)]
    ingestions, validations = zip(*rounds, strict=True)
    shares = [validation / ingestion for ingestion, validation in rounds]
    value = statistics.median(shares)
    yield Row(
        name="validate_vs_ingest",
        value=round(value, 3),
        unit="x",
        goal=f"<= {GOAL:g}",
        met=value <= GOAL,
        samples=[round(one, 3) for one in shares],
        note=f"{len(tree.files):,} files: ingestion {statistics.median(ingestions):.1f} s, "
        f"validation with its page {statistics.median(validations):.1f} s, each in a process of "
        "its own; lower is better",
    )


def _round(source: Path, workspace: Path) -> tuple[float, float]:
    """Seconds of an ingestion, and of the validation of what it has accepted."""
    ingestion: float = in_process(__name__, Stage.INGEST, source, workspace)
    validation: float = in_process(__name__, Stage.VALIDATE, source, workspace)
    return ingestion, validation


def main(stage: str, source: str, workspace: str) -> None:
    """Runs one of the two stages and leaves its seconds."""
    with session() as spark:
        spark.range(1).count()
        place = Ingest(spark, Tree(Path(source), ()), Path(workspace))
        if stage == Stage.INGEST:
            answer(place.run())
            return
        begun = time.perf_counter()
        result = validate.validate(spark, place.config, place.workspace, place.stage_run(1))
        seconds = time.perf_counter() - begun
        assert not result.outputs["failed"], result.summary
        answer(seconds)


if __name__ == "__main__":
    main(*sys.argv[1:])
