"""The SQL function against a plain loop and MLflow's Spark UDF; scoring again against scoring."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from benchmarks.deployed import (
    FUNCTION,
    PIPELINE,
    VIEW,
    classifier,
    deployment,
    image_rows,
    log_model,
    pictures,
)
from benchmarks.featurize import CORES, PARTS, Rival, in_turns, picture_table, session
from benchmarks.peers import Peer, RawLoop
from benchmarks.results import Row
from darkroom.contract import GateConfig, PipelineConfig, SourceConfig, Stage, Workspace
from darkroom.contract import columns as c
from darkroom.contract.names import EMBEDDED
from darkroom.lake import Lake
from darkroom.ml.engines import PreparedModel, prepare
from darkroom.registry.package import ModelPackage
from darkroom.sql.deployments import publish
from darkroom.sql.functions import register_function
from darkroom.stages.run import StageRun
from darkroom.stages.score import OPTIONS, score

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

RESCORED = 2000
"""Pictures of the first scoring run."""

RESCORES = 3


@dataclass(frozen=True)
class Case:
    """One architecture.

    Attributes:
        pictures: How many.
        against_raw: Smallest ratio to reach.
        against_udf: Smallest ratio to reach.
    """

    pictures: int
    against_raw: float
    against_udf: float = 2.0


CASES: Mapping[str, Case] = {
    "ResNet50": Case(480, 0.95),
    EMBEDDED: Case(3000, 0.85),
}


def measure(names: Sequence[str] = tuple(CASES), share: float = 1.0) -> Iterator[Row]:
    """Yields the rows of each architecture, then those of scoring again.

    Args:
        names: Which of `CASES`.
        share: Of the pictures; less to try the benchmark out.
    """
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as folder:
        for name in names:
            count = max(PARTS, round(CASES[name].pictures * share))
            yield from _measure(name, CASES[name], count, Path(folder) / name)
        yield from _rescore(max(PARTS, round(RESCORED * share)), Path(folder) / "rescore")


def _measure(name: str, case: Case, count: int, folder: Path) -> Iterator[Row]:
    workspace = Workspace(folder / "workspace")
    package = classifier(name, folder, workspace)
    prepared = prepare(package.model_file, workspace.engines)
    images = pictures(count)
    spark = session()
    try:
        frame = picture_table(spark, images, folder / "pictures")
        frame.createOrReplaceTempView(VIEW)
        register_function(spark, workspace, deployment(workspace, package))
        loops = Peer([RawLoop(prepared, images[n::CORES]) for n in range(CORES)])
        peers: dict[str, Rival] = {
            "raw": loops,
            "mlflow_spark_udf": _SparkUdf(spark, frame, package, folder),
        }
        query = f"SELECT {FUNCTION}(image) FROM {VIEW}"
        rounds = in_turns(lambda: _drained(lambda: spark.sql(query)), peers)
    finally:
        spark.stop()
    for peer, goal in (("raw", case.against_raw), ("mlflow_spark_udf", case.against_udf)):
        runs = [(own, theirs[peer]) for own, theirs in rounds]
        yield _ratio(f"sql_vs_{peer}/{name}", runs, count, goal, prepared)


class _SparkUdf:
    """``mlflow.pyfunc.spark_udf`` of the packaged model, on the same table and session."""

    def __init__(
        self, spark: SparkSession, frame: DataFrame, package: ModelPackage, folder: Path
    ) -> None:
        self._spark = spark
        self._frame = frame
        self._package = package
        self._folder = folder

    def __enter__(self) -> Self:
        uri, _ = log_model(self._package, self._folder)
        import mlflow.pyfunc

        kind = "label string, probability float, probabilities array<float>"
        # Python workers of its own: in ours, Spark's garbage collection after every task would go
        # through all of TensorFlow.
        environment = self._spark.sparkContext.environment
        environment["DARKROOM_BENCH"] = "mlflow"
        udf = mlflow.pyfunc.spark_udf(self._spark, uri, result_type=kind, env_manager="local")
        self._answers = self._frame.select(udf(self._frame["image"]))
        del environment["DARKROOM_BENCH"]
        self.run()  # Starts the workers.
        return self

    def run(self) -> float:
        """Seconds for the whole table."""
        return _drained(lambda: self._answers)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to end."""


def _rescore(count: int, folder: Path) -> Iterator[Row]:
    """What scoring runs over a known table and over 1 % more pictures take, beside the first one.

    All run in one session whose Python workers have loaded the model.
    """
    workspace = Workspace(folder / "workspace")
    package = classifier(EMBEDDED, folder, workspace)
    publish(Lake(workspace), deployment(workspace, package))
    more = max(1, count // 100)
    rows = image_rows(pictures(PARTS + count + more))
    spark = session()
    try:
        _scored(spark, workspace, "warm up", rows[:PARTS])
        first = _scored(spark, workspace, "first", rows[PARTS:-more])
        again = [_scored(spark, workspace, f"again {number}", []) for number in range(RESCORES)]
        grown = _scored(spark, workspace, "grown", rows[-more:])
    finally:
        spark.stop()
    unchanged = statistics.median(again)
    yield _share(
        "rescore_unchanged_vs_score",
        [each / first for each in again],
        f"{unchanged:.2f} s against {first:.2f} s for {count} pictures; none is opened again",
    )
    yield _share(
        "score_plus_one_percent",
        [grown / first],
        f"{grown:.2f} s for {more} pictures more against {first:.2f} s for {count}, of which "
        f"{unchanged:.2f} s are a run without any",
    )


def _scored(
    spark: SparkSession, workspace: Workspace, run_id: str, rows: Sequence[Mapping[str, Any]]
) -> float:
    """Seconds of a scoring run, after these pictures have come."""
    lake = Lake(workspace)
    for part in range(PARTS):
        lake.append_rows(rows[part::PARTS], PIPELINE, c.IMAGES, run_id=run_id, stage=Stage.INGEST)
    config = PipelineConfig(
        name=PIPELINE,
        function=FUNCTION,
        view=VIEW,
        source=SourceConfig(path="unused"),
        gate=GateConfig(thresholds={"accuracy": 0.5}),
    )
    begun = time.perf_counter()
    run = StageRun(folder=workspace.run(PIPELINE, run_id), options=OPTIONS)
    scored = score(spark, config, workspace, run).outputs["scored"]
    seconds = time.perf_counter() - begun
    if scored != len(rows):
        raise RuntimeError(f"run {run_id} scored {scored} pictures, and {len(rows)} were new")
    return seconds


def _share(name: str, shares: Sequence[float], note: str) -> Row:
    return Row(
        name=name,
        value=round(statistics.median(shares), 4),
        unit="x",
        samples=[round(each, 4) for each in shares],
        note=f"{note}; in a session that runs; lower is better",
    )


def _drained(frame: Callable[[], DataFrame]) -> float:
    """Seconds to compute all rows; nothing is kept."""
    begun = time.perf_counter()
    frame().write.format("noop").mode("overwrite").save()
    return time.perf_counter() - begun


def _ratio(
    name: str,
    runs: Sequence[tuple[float, float]],
    count: int,
    goal: float,
    prepared: PreparedModel,
) -> Row:
    ratios = [theirs / own for own, theirs in runs]
    value = statistics.median(ratios)
    speeds = [
        statistics.median(count / seconds for seconds in each) for each in zip(*runs, strict=True)
    ]
    return Row(
        name=name,
        value=round(value, 3),
        unit="x",
        goal=f">= {goal:g}",
        met=value >= goal,
        samples=[round(ratio, 3) for ratio in ratios],
        note=f"{speeds[0]:.1f} / {speeds[1]:.1f} images per second, {prepared.engine}, "
        f"{count} JPEG pictures of 500x375, decode included, in turns",
    )
