"""Ingestion on Spark against a plain loop over the same files on as many processes.

The loop reads, hashes, decodes and perceptual-hashes every file and keeps nothing. Ingestion does
that, measures the pictures, looks for near-duplicates, and commits pictures, splits and refusals.
Both have started before the clock does; what Spark takes to start is a row of its own.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from benchmarks.results import Row
from darkroom.contract import GateConfig, PipelineConfig, SourceConfig, Stage, Workspace
from darkroom.contract import columns as c
from darkroom.ingestion import dividing
from darkroom.ingestion.splits import divide
from darkroom.lake import Lake
from darkroom.stages import ingest
from darkroom.stages.run import StageRun, input_key, recall, remember

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CORES = 2
HEAP = "1g"
"""Of the driver's JVM, which does everything here: Spark's own default, below the project's."""

ROUNDS = 3
FILES = 50_000
CLASSES = 10
SIDE = 32
SMALLEST = 60
"""Files of the smallest tree: enough for every class."""

MORE = 0.01
"""Share of new files in the run that adds some."""

IMAGES_VARIABLE = "DARKROOM_BENCH_IMAGES"
"""Names a folder with one sub-folder per class; small pictures are made where it is not set."""

CHUNK = 250


@dataclass(frozen=True)
class Tree:
    """A class-per-folder tree.

    Attributes:
        root: The folder.
        files: Its files.
    """

    root: Path
    files: tuple[Path, ...]


def measure(files: int = FILES) -> Iterator[Row]:
    """Yields the rows.

    Args:
        files: How many; less to try the benchmark out.
    """
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as folder:
        tree = tree_of(Path(folder) / "source", files)
        begun = time.perf_counter()
        with session() as spark, _loop() as loop:
            spark.range(1).count()
            started = time.perf_counter() - begun
            yield _seconds("ingest_start", started, "what Spark takes until its first answer")
            yield from _measure(spark, loop, tree, Path(folder))


def _measure(
    spark: SparkSession, loop: Callable[[Sequence[Path]], float], tree: Tree, folder: Path
) -> Iterator[Row]:
    count = len(tree.files)
    tenth, half = (
        tree_of(folder / f"source-{share}", max(SMALLEST, count // share)) for share in (10, 2)
    )
    runs, workspaces, costs = [], [], []
    Ingest(spark, tenth, folder / "warm").run()
    loop(tree.files[:CHUNK])
    for number in range(ROUNDS):
        few = Ingest(spark, tenth, folder / f"few{number}").run()
        some = Ingest(spark, half, folder / f"some{number}").run()
        workspaces.append(Ingest(spark, tree, folder / f"w{number}"))
        runs.append((workspaces[-1].run(), loop(tree.files)))
        costs.append((few, some, runs[-1][0]))
    first = statistics.median(own for own, _ in runs)
    ratios = [theirs / own for own, theirs in runs]
    yield _fraction(
        "ingest_vs_loop",
        ratios,
        goal=">= 0.5",
        met=statistics.median(ratios) >= 0.5,
        note=f"{count:,} files: ingestion {first:.1f} s, the loop "
        f"{statistics.median(theirs for _, theirs in runs):.1f} s; higher is better",
    )
    yield _flat(costs, (len(tenth.files), len(half.files), count))
    place = workspaces[-1]
    again = [place.unchanged() for _ in range(ROUNDS)]
    yield _share("reingest_vs_ingest", again, first, 0.1, "an unchanged source, recognised")
    forced = [place.run() for _ in range(ROUNDS)]
    yield _share(
        "reingest_vs_ingest/forced", forced, first, None, "the same, every file compared by Spark"
    )
    added = max(2, round(count * MORE))
    singles, extras = [], []
    for _ in range(ROUNDS):
        tree = _with_more(tree, 1)
        singles.append(place.run())
        tree = _with_more(tree, added)
        extras.append(place.run())
    fixed = statistics.median(singles)
    yield _share(
        "ingest_plus_one_percent",
        [extra - single for extra, single in zip(extras, singles, strict=True)],
        first,
        0.03,
        f"{added:,} files more, {statistics.median(extras):.2f} s, less the {fixed:.2f} s that one "
        "file more takes",
    )
    decoded, searched = loop_decode(loop, tree), place.search()
    yield _fraction(
        "near_duplicates_vs_decode",
        [searched / decoded],
        goal="<= 1",
        met=searched <= decoded,
        note=f"{searched:.2f} s to find all near-duplicates and divide the images, {decoded:.2f} s "
        f"to decode them on {CORES} processes; lower is better",
    )


def _flat(seconds: Sequence[tuple[float, float, float]], files: tuple[int, int, int]) -> Row:
    """What a file more costs in the upper half of a source, against what it costs below.

    Differences leave out what every ingestion takes. The quickest run of each size counts: else
    they are mostly a busy machine's noise.

    Args:
        seconds: Of a tenth of the files, of a half and of all, a round each.
        files: Their numbers of files.
    """
    tenth, half, whole = (min(side) for side in zip(*seconds, strict=True))
    lower = (half - tenth) / (files[1] - files[0])
    upper = (whole - half) / (files[2] - files[1])
    return _fraction(
        "ingest_cost_per_file",
        [upper / lower],
        goal="<= 1.2",
        met=upper <= 1.2 * lower,
        note=f"{upper * 1000:.2f} ms a file from {files[1]:,} to {files[2]:,}, "
        f"{lower * 1000:.2f} ms from {files[0]:,}, which take {tenth:.1f} s, to {files[1]:,}; "
        f"quickest of {len(seconds)} runs each; lower is better",
    )


class Ingest:
    """The stage in a workspace of its own."""

    def __init__(self, spark: SparkSession, tree: Tree, root: Path) -> None:
        self._spark = spark
        self.workspace = Workspace(root)
        self.config = PipelineConfig(
            name="bench",
            function="bench_function",
            view="bench_view",
            source=SourceConfig(path=str(tree.root)),
            gate=GateConfig(thresholds={"accuracy": 0.5}),
        )
        self._runs = 0

    def run(self) -> float:
        """Seconds of the stage's own work."""
        self._runs += 1
        begun = time.perf_counter()
        result = ingest.ingest(self._spark, self.config, self.workspace, self.stage_run())
        seconds = time.perf_counter() - begun
        self.stage_run().folder.write(result)
        remember(self.workspace, "bench", self._key(), result)
        return seconds

    def unchanged(self) -> float:
        """Seconds until the stage knows that its earlier result stands."""
        begun = time.perf_counter()
        earlier = recall(self.workspace, "bench", Stage.INGEST, self._key())
        assert earlier is not None
        assert ingest.still_there(earlier, self.config, self.workspace)
        return time.perf_counter() - begun

    def search(self) -> float:
        """Seconds to find near-duplicates among all images and to divide them anew."""
        lake = Lake(self.workspace)
        snapshot = lake.snapshot("bench", c.IMAGES)
        assert snapshot is not None
        begun = time.perf_counter()
        images = dividing.labelled_images(lake, "bench", snapshot)
        divide(images, dividing.no_splits(), self.config.split)
        return time.perf_counter() - begun

    def _key(self) -> str:
        known = ingest.inputs(self.config, self.workspace, self.stage_run())
        assert known is not None
        return input_key(known)

    def stage_run(self, number: int | None = None) -> StageRun:
        """A run, from 1; by default the latest one of this process."""
        return StageRun(folder=self.workspace.run("bench", f"r{number or self._runs}"))


@contextmanager
def _loop() -> Iterator[Callable[[Sequence[Path]], float]]:
    """The peer, its processes started and their libraries imported."""
    with ProcessPoolExecutor(CORES) as pool:
        list(pool.map(_work, [[]] * CORES))

        def run(files: Sequence[Path], work: Callable[[list[str]], int] = _work) -> float:
            parts = [[str(f) for f in files[n : n + CHUNK]] for n in range(0, len(files), CHUNK)]
            begun = time.perf_counter()
            assert sum(pool.map(work, parts)) == len(files)
            return time.perf_counter() - begun

        yield run


def loop_decode(loop: Callable[..., float], tree: Tree) -> float:
    """Seconds of the loop's processes for decoding alone."""
    return loop(tree.files, _decode)


def _work(files: list[str]) -> int:
    import imagehash

    for file in files:
        data = Path(file).read_bytes()
        hashlib.sha256(data).hexdigest()
        with Image.open(io.BytesIO(data)) as image:
            str(imagehash.phash(image.convert("RGB")))
    return len(files)


def _decode(files: list[str]) -> int:
    for file in files:
        with Image.open(io.BytesIO(Path(file).read_bytes())) as image:
            image.convert("RGB")
    return len(files)


@contextmanager
def session() -> Iterator[SparkSession]:
    """A Spark session on as many cores as the loop has processes."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master(f"local[{CORES}]").config("spark.driver.memory", HEAP)
    spark = builder.appName("benchmark").getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    try:
        yield spark
    finally:
        spark.stop()


def tree_of(root: Path, count: int) -> Tree:
    """So many files, taken from the given folder or made."""
    given = os.environ.get(IMAGES_VARIABLE)
    if given:
        known = sorted(Path(given).glob("*/*"))
        step = max(1, len(known) // count)
        for file in known[::step][:count]:
            place = root / file.parent.name / file.name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
    else:
        for number in range(count):
            _make(root, number)
    return Tree(root, tuple(sorted(root.glob("*/*"))))


def _with_more(tree: Tree, count: int) -> Tree:
    """The same tree with so many new files."""
    known = len(tree.files)
    new = [_make(tree.root, known + number) for number in range(count)]
    return Tree(tree.root, (*tree.files, *new))


def _make(root: Path, number: int) -> Path:
    """A small picture that no other number shares, in one of the classes."""
    random = np.random.default_rng(number)
    coarse = random.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    labels = sorted(one.name for one in root.glob("*")) if root.exists() else []
    known = labels if len(labels) >= CLASSES else [f"class{n}" for n in range(CLASSES)]
    place = root / known[number % len(known)] / f"made{number:06}.jpg"
    place.parent.mkdir(parents=True, exist_ok=True)
    image.save(place, quality=90)
    return place


def _seconds(name: str, seconds: float, note: str) -> Row:
    value = round(seconds, 2)
    return Row(name=name, value=value, unit="s", samples=[value], note=f"{note}; lower is better")


def _share(name: str, seconds: Sequence[float], first: float, goal: float | None, note: str) -> Row:
    shares = [one / first for one in seconds]
    return _fraction(
        name,
        shares,
        goal=None if goal is None else f"<= {goal:g}",
        met=None if goal is None else statistics.median(shares) <= goal,
        note=f"{note}: {statistics.median(seconds):.2f} s, the first ingestion {first:.2f} s; "
        "lower is better",
    )


def _fraction(
    name: str, samples: Sequence[float], *, goal: str | None, met: bool | None, note: str
) -> Row:
    return Row(
        name=name,
        value=round(statistics.median(samples), 3),
        unit="x",
        goal=goal,
        met=met,
        samples=[round(sample, 3) for sample in samples],
        note=note,
    )
