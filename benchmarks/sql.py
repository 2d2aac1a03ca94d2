"""The SQL function against a plain loop and MLflow's Spark UDF; scoring again against scoring."""

from __future__ import annotations

import datetime as dt
import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from benchmarks.featurize import CORES, PARTS, Rival, in_turns, keras_model, picture_table, session
from benchmarks.peers import Peer, RawLoop
from benchmarks.photographs import photograph
from benchmarks.results import Row
from darkroom.backbones.libraries import import_keras
from darkroom.contract import GateConfig, PipelineConfig, SourceConfig, Stage, Workspace
from darkroom.contract import columns as c
from darkroom.contract.names import EMBEDDED
from darkroom.lake import Lake
from darkroom.lake.schema import spark_schema
from darkroom.ml.engines import PreparedModel, prepare
from darkroom.registry.package import ModelPackage, log_package, write_package
from darkroom.sql.deployments import Deployment, publish
from darkroom.sql.functions import register_function
from darkroom.stages.run import StageRun
from darkroom.stages.score import OPTIONS, score

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

CLASSES = 43
"""As many as the best-known set of traffic signs has."""

FUNCTION = "recognize"
PIPELINE = "bench"
RESCORED = 2000
"""Pictures of the scoring runs; they are small, so that what is not inference counts."""


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
    EMBEDDED: Case(4000, 0.85),
}


def measure(names: Sequence[str] = tuple(CASES), share: float = 1.0) -> Iterator[Row]:
    """Yields the rows of each architecture, then the one of scoring again.

    Args:
        names: Which of `CASES`.
        share: Of the pictures; less to try the benchmark out.
    """
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as folder:
        for name in names:
            count = max(PARTS, round(CASES[name].pictures * share))
            yield from _measure(name, CASES[name], count, Path(folder) / name)
        yield _rescore(max(PARTS, round(RESCORED * share)), Path(folder) / "rescore")


def _measure(name: str, case: Case, count: int, folder: Path) -> Iterator[Row]:
    workspace = Workspace(folder / "workspace")
    package = _classifier(name, folder, workspace)
    prepared = prepare(package.model_file, workspace.engines)
    pictures = _pictures(count)
    spark = session()
    try:
        frame = picture_table(spark, pictures, folder / "pictures")
        frame.createOrReplaceTempView("pictures")
        register_function(spark, workspace, _deployment(workspace, package))
        loops = Peer([RawLoop(prepared, pictures[n::CORES]) for n in range(CORES)])
        peers: dict[str, Rival] = {
            "raw": loops,
            "mlflow_spark_udf": _SparkUdf(spark, frame, package, folder),
        }
        query = f"SELECT {FUNCTION}(image) FROM pictures"
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
        self._store = f"sqlite:///{folder / 'mlflow.db'}"
        self._artifacts = (folder / "artifacts").as_uri()

    def __enter__(self) -> Self:
        import mlflow

        client = mlflow.MlflowClient(tracking_uri=self._store, registry_uri=self._store)
        experiment = client.create_experiment("bench", artifact_location=self._artifacts)
        uri = log_package(client, client.create_run(experiment), self._package, {})
        mlflow.set_tracking_uri(self._store)
        kind = "label string, probability float, probabilities array<float>"
        udf = mlflow.pyfunc.spark_udf(self._spark, uri, result_type=kind, env_manager="local")
        self._answers = self._frame.select(udf(self._frame["image"]))
        self.run()  # Starts the workers, which load the model.
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


def _rescore(count: int, folder: Path) -> Row:
    """What a scoring run over an unchanged table takes, as a share of the first one."""
    workspace = Workspace(folder / "workspace")
    package = _classifier(EMBEDDED, folder, workspace)
    publish(Lake(workspace), _deployment(workspace, package))
    config = PipelineConfig(
        name=PIPELINE,
        function=FUNCTION,
        view="pictures",
        source=SourceConfig(path="unused"),
        gate=GateConfig(thresholds={"accuracy": 0.5}),
    )
    spark = session()
    try:
        _ingest(spark, workspace, _pictures(count, distinct=True))

        def seconds(run_id: str) -> float:
            begun = time.perf_counter()
            run = StageRun(folder=workspace.run(PIPELINE, run_id), options=OPTIONS)
            scored = score(spark, config, workspace, run).outputs["scored"]
            if scored not in (0, count):
                raise RuntimeError(f"{scored} of {count} pictures were scored")
            return time.perf_counter() - begun

        first = seconds("first")
        again = [seconds(f"again {number}") for number in range(3)]
    finally:
        spark.stop()
    shares = [each / first for each in again]
    return Row(
        name="rescore_unchanged_vs_score",
        value=round(statistics.median(shares), 4),
        unit="x",
        samples=[round(each, 4) for each in shares],
        note=f"{statistics.median(again):.2f} s against {first:.2f} s for {count} pictures, with "
        "a session that runs; no picture is opened again; lower is better",
    )


def _classifier(name: str, folder: Path, workspace: Workspace) -> ModelPackage:
    """A backbone with a softmax head of seeded random weights, packaged as training does."""
    folder.mkdir()
    file, size = keras_model(name, folder)
    keras = import_keras()
    keras.utils.set_random_seed(7)
    backbone = keras.saving.load_model(file, compile=False)
    scores = keras.layers.Dense(CLASSES, activation="softmax")(backbone.output)
    labels = [f"class {number}" for number in range(CLASSES)]
    metadata = {"labels": labels, "height": size, "width": size}
    return write_package(keras.Model(backbone.input, scores), metadata, workspace.models)


def _deployment(workspace: Workspace, package: ModelPackage) -> Deployment:
    return Deployment(
        function=FUNCTION,
        pipeline=PIPELINE,
        view="pictures",
        model_name=PIPELINE,
        model_version="1",
        model_digest=package.digest,
        model_path=str(package.folder.relative_to(workspace.root)),
        labels=package.card.labels,
        deployed_at=dt.datetime.now(dt.UTC),
        run_id="bench",
    )


def _pictures(count: int, distinct: bool = False) -> list[bytes]:
    """A few hundred are drawn; repeated, they are decoded again all the same."""
    drawn = [photograph(number) for number in range(min(count, 300))]
    pictures = [drawn[number % len(drawn)] for number in range(count)]
    # What follows the end of a JPEG picture is no part of it.
    return [data + str(n).encode() for n, data in enumerate(pictures)] if distinct else pictures


def _ingest(spark: SparkSession, workspace: Workspace, pictures: Sequence[bytes]) -> None:
    schema = spark_schema(c.IMAGES)
    rows: list[dict[str, Any]] = [
        dict.fromkeys(schema.names)
        | {c.IMAGE_ID: hashlib.sha256(data).hexdigest(), c.PATH: str(number), c.IMAGE: data}
        for number, data in enumerate(pictures)
    ]
    frame = spark.createDataFrame(rows, schema).repartition(PARTS)
    Lake(workspace).append(frame, PIPELINE, c.IMAGES, run_id="bench", stage=Stage.INGEST)


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
