"""Ingests a source in a process of its own: ``ingest_process.py WORKSPACE SOURCE RUN [READY]``.

Tests kill it, or start two of them at once. What is gone from the source is deleted. With READY, a
file, it waits before its first commit until that file is there.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from darkroom.contract import GateConfig, OnMissing, PipelineConfig, SourceConfig, Workspace
from darkroom.lake import lake as lake_module
from darkroom.lake.commits import commit_files
from darkroom.stages import ingest
from darkroom.stages.run import StageRun
from tests.integration.spark_env.jvm import QUICK


def main(workspace: str, source: str, run_id: str, ready: str = "") -> None:
    """Runs the stage once and prints its summary."""
    place = Workspace(Path(workspace))
    config = PipelineConfig(
        name="signs",
        function="signs_function",
        view="signs_view",
        source=SourceConfig(path=source, on_missing=OnMissing.DELETE),
        gate=GateConfig(thresholds={"accuracy": 0.5}),
    )
    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", False)
    builder = builder.config(*QUICK)
    spark = builder.config("spark.sql.shuffle.partitions", 1).getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    if ready:
        vars(lake_module)["commit_files"] = _patient(Path(ready))
    print("started", flush=True)  # noqa: T201 - the test reads it
    run = StageRun(folder=place.run("signs", run_id))
    print(ingest.ingest(spark, config, place, run).summary)  # noqa: T201 - the test reads it


def _patient(ready: Path) -> Any:
    """Commits once all processes have come as far as this."""

    def commit(*arguments: Any, **named: Any) -> Any:
        ready.with_name(f"{ready.name}.{id(ready)}-{time.time_ns()}").touch()
        deadline = time.monotonic() + 120
        while not ready.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        return commit_files(*arguments, **named)

    return commit


if __name__ == "__main__":
    main(*sys.argv[1:])
