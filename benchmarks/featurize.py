"""Features on Spark against plain loops on the same cores and pictures, in turns in one run."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from benchmarks.peers import Peer, RawLoop, TensorFlowLoop
from benchmarks.photographs import photograph
from benchmarks.results import Row
from darkroom.backbones.catalog import resolve
from darkroom.backbones.libraries import import_keras
from darkroom.contract.names import EMBEDDED
from darkroom.ml.engines import PreparedModel, prepare
from darkroom.ml.inference import predict_images

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

CORES = 2
ROUNDS = 5
PARTS = 4 * CORES
"""Partitions: enough for the cores to finish at about the same time."""

START_GOAL = 6.0
"""Seconds from the first row to steady speed, in fresh workers."""


class Rival(Protocol):
    """What runs over the same pictures in turns with ours; a context manager."""

    def __enter__(self) -> object:
        """Makes it ready, and runs once."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends it."""

    def run(self) -> float:
        """Seconds for all pictures."""


@dataclass(frozen=True)
class Case:
    """One architecture.

    Attributes:
        pictures: How many; twenty seconds' worth of the large networks, where a job's fixed costs
            (planning, tasks, half a second) would else count for more than they do in real use.
        against_tensorflow: Smallest ratio to reach, or None where it is not compared.
        against_raw: Smallest ratio to reach, or None without a goal.
    """

    pictures: int
    against_tensorflow: float | None = None
    against_raw: float | None = None


CASES: Mapping[str, Case] = {
    "ResNet50": Case(480, 1.3, 0.95),
    "InceptionV3": Case(320, 1.1, 0.95),
    "EfficientNetB0": Case(640, 1.4),
    "MobileNetV2": Case(1200, 1.8, 0.85),
    EMBEDDED: Case(4000, None, 0.85),
}


def measure(names: Sequence[str] = tuple(CASES), share: float = 1.0) -> Iterator[Row]:
    """Yields the rows of each architecture.

    Args:
        names: Which of `CASES`.
        share: Of the pictures; less to try the benchmark out.
    """
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as folder:
        for name in names:
            count = max(PARTS, round(CASES[name].pictures * share))
            yield from _measure(name, CASES[name], count, Path(folder) / name)


def _measure(name: str, case: Case, count: int, folder: Path) -> Iterator[Row]:
    folder.mkdir()
    model_file, size = keras_model(name, folder)
    prepared = prepare(model_file, folder / "engines")
    # A few hundred are drawn; repeated, they are decoded again all the same.
    drawn = [photograph(number) for number in range(min(count, 300))]
    pictures = [drawn[number % len(drawn)] for number in range(count)]
    peers = {"raw": Peer([RawLoop(prepared, pictures[n::CORES]) for n in range(CORES)])}
    if case.against_tensorflow:
        peers["tensorflow"] = Peer([TensorFlowLoop(model_file, pictures, size)])
    spark = session()
    try:
        frame = picture_table(spark, pictures, folder / "pictures")
        first = _features(frame, prepared)
        rounds = in_turns(lambda: _features(frame, prepared), peers)
    finally:
        spark.stop()
    ours = statistics.median(own for own, _ in rounds)
    goals = {"raw": case.against_raw, "tensorflow": case.against_tensorflow}
    for peer in peers:
        runs = [(own, theirs[peer]) for own, theirs in rounds]
        yield _ratio(name, peer, runs, count, goals[peer], prepared)
    yield Row(
        name=f"featurize_start/{name}",
        value=round(first - ours, 2),
        unit="s",
        goal=f"<= {START_GOAL:g}",
        met=first - ours <= START_GOAL,
        samples=[round(first - ours, 2)],
        note="what the first run takes longer than later ones: Python workers start, import and "
        "load the network; lower is better",
    )


def in_turns(
    own: Callable[[], float], peers: Mapping[str, Rival], rounds: int = ROUNDS
) -> list[tuple[float, dict[str, float]]]:
    """Seconds of ours and of each peer, round by round; all have run once before.

    Who begins changes, so that nobody always comes after the same one.
    """
    runs = deque([("", own), *((name, peer.run) for name, peer in peers.items())])
    found = []
    with ExitStack() as stack:
        for peer in peers.values():
            stack.enter_context(peer)
        own()
        for _ in range(rounds):
            seconds = {name: run() for name, run in runs}
            found.append((seconds.pop(""), seconds))
            runs.rotate()
    return found


def _ratio(
    name: str,
    peer: str,
    runs: Sequence[tuple[float, float]],
    count: int,
    goal: float | None,
    prepared: PreparedModel,
) -> Row:
    ratios = [theirs / own for own, theirs in runs]
    speeds = [
        statistics.median(count / seconds for seconds in each) for each in zip(*runs, strict=True)
    ]
    value = statistics.median(ratios)
    return Row(
        name=f"featurize_vs_{peer}/{name}",
        value=round(value, 3),
        unit="x",
        goal=f">= {goal:g}" if goal else None,
        met=value >= goal if goal else None,
        samples=[round(ratio, 3) for ratio in ratios],
        note=f"{speeds[0]:.1f} / {speeds[1]:.1f} images per second, {prepared.engine}, "
        f"{count} JPEG pictures of 500x375, decode included, in turns",
    )


def keras_model(name: str, folder: Path) -> tuple[Path, int]:
    """A Keras file with seeded random weights (embedded: its own), and its input size."""
    weights = {}
    if name != EMBEDDED:
        keras = import_keras()
        keras.utils.set_random_seed(7)
        network = getattr(keras.applications, name)(include_top=False, weights=None)
        network.save_weights(folder / f"{name}.weights.h5")
        weights[name] = str(folder / f"{name}.weights.h5")
    backbone = resolve(name, weights)
    return backbone.model_file(folder), backbone.height


def session() -> SparkSession:
    """A session on `CORES` cores."""
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.master(f"local[{CORES}]").appName("benchmark").getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def picture_table(spark: SparkSession, pictures: Sequence[bytes], folder: Path) -> DataFrame:
    """Writes pictures as Parquet files and reads them: columns id and image."""
    rows = [(number, data) for number, data in enumerate(pictures)]
    frame = spark.createDataFrame(rows, "id long, image binary").repartition(PARTS)
    frame.write.parquet(str(folder))
    # One file a partition, however small.
    spark.conf.set("spark.sql.files.openCostInBytes", 1 << 30)
    return spark.read.parquet(str(folder))


def _features(frame: DataFrame, prepared: PreparedModel) -> float:
    """Seconds to compute the features of all pictures; nothing is kept."""
    begun = time.perf_counter()
    predict_images(frame, prepared).write.format("noop").mode("overwrite").save()
    return time.perf_counter() - begun
