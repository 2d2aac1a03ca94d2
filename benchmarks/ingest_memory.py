"""Memory of the driver with a small heap: very many files, each of them tiny.

Each size runs in a process of its own, so that a peak is its own as well.
"""

from __future__ import annotations

import io
import resource
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.ingest import CLASSES, CORES, FILES, HEAP, Ingest, Tree, session, tree_of
from benchmarks.processes import answer, in_process
from benchmarks.results import Row

FEW = 5_000
MANY = 300_000
SIDE = 8
CHUNK = 1000
MIB = 1024**2
GIB = 1024**3


@dataclass(frozen=True)
class Memory:
    """What an ingestion took.

    Attributes:
        files: Number of files.
        python: Peak of the driver's Python process, in bytes.
        heap: What its JVM holds afterwards, garbage collected, in bytes.
        seconds: Of the stage.
    """

    files: int
    python: int
    heap: int
    seconds: float


def measure(few: int = FEW, many: int = MANY, real: int = FILES) -> Iterator[Row]:
    """Yields the rows.

    Args:
        few: Tiny files that the growth is measured from; less to try the benchmark out.
        many: Tiny files that it is measured to.
        real: Pictures, as in `benchmarks.ingest`.
    """
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as name:
        folder = Path(name)
        yield _row("pictures", _in_process(tree_of(folder / "real", real).root, folder / "w-real"))
        small = _in_process(_tiny(folder / "few", few), folder / "w-few")
        large = _in_process(_tiny(folder / "many", many), folder / "w-many")
    yield _row("tiny", large)
    grown = (large.python - small.python) / (large.files - small.files)
    yield Row(
        name="ingest_driver/growth_per_file",
        value=round(grown),
        unit="B",
        samples=[round(grown)],
        note=f"the driver's Python, from {small.files:,} files ({small.python / MIB:.0f} MiB) to "
        f"{large.files:,}; its JVM holds {(large.heap - small.heap) / MIB:+.0f} MiB more "
        "afterwards; lower is better",
    )


def _row(name: str, memory: Memory) -> Row:
    peak = round(memory.python / MIB)
    return Row(
        name=f"ingest_driver/{name}",
        value=peak,
        unit="MiB",
        samples=[peak],
        note=f"peak of the driver's Python for {memory.files:,} files in {memory.seconds:.0f} s "
        f"with a heap of {HEAP} for its JVM, of which {memory.heap / MIB:.0f} MiB are in use "
        "afterwards; lower is better",
    )


def _in_process(source: Path, workspace: Path) -> Memory:
    return Memory(**in_process(__name__, source, workspace))


def _tiny(root: Path, count: int) -> Path:
    """A tree of so many pictures of a few pixels, no two the same."""
    for label in range(CLASSES):
        (root / f"class{label}").mkdir(parents=True)
    with ProcessPoolExecutor(CORES) as pool:
        parts = [(root, n, min(n + CHUNK, count)) for n in range(0, count, CHUNK)]
        list(pool.map(_write_tiny, parts))
    return root


def _write_tiny(part: tuple[Path, int, int]) -> None:
    root, start, stop = part
    for number in range(start, stop):
        pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG", compress_level=1)
        (root / f"class{number % CLASSES}" / f"{number:06}.png").write_bytes(stream.getvalue())


def main(source: str, workspace: str) -> None:
    """Ingests a tree and prints what it took, as JSON."""
    with session() as spark:
        seconds = Ingest(spark, Tree(Path(source), ()), Path(workspace)).run()
        jvm = spark.sparkContext._jvm
        assert jvm is not None
        jvm.System.gc()
        runtime = jvm.Runtime.getRuntime()
        assert runtime.maxMemory() <= GIB, f"the heap is {runtime.maxMemory():,} bytes, not {HEAP}"
        memory = Memory(
            files=sum(1 for _ in Path(source).glob("*/*")),
            python=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            heap=int(runtime.totalMemory() - runtime.freeMemory()),
            seconds=seconds,
        )
        answer(asdict(memory))


if __name__ == "__main__":
    main(*sys.argv[1:])
