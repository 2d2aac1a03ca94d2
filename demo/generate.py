"""Writes a demonstration set: plans it, takes the photographs in parallel, keeps the marker."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from demo.camera import encode
from demo.defects import PLANTED, planted_bytes
from demo.marker import MARKER_NAME, Marker, parameters_json, read_marker, write_marker
from demo.parameters import DemoError, DemoParameters
from demo.photograph import photograph, photograph_random
from demo.signs import SIGN_CLASSES

JPEG_SHARE = 0.85

_CLASS_WEIGHTS = {
    "no_entry": 1.2,
    "priority_road": 1.1,
    "roundabout": 0.8,
    "speed_limit_50": 1.1,
    "speed_limit_80": 0.75,
    "yield": 1.3,
}
"""How common a sign is; 1 where it is not listed."""

_CHUNK = 8


@dataclass(frozen=True)
class Planned:
    """One photograph to take: its class, its index in the class and its path below the root."""

    label: str
    index: int
    path: str


@dataclass(frozen=True)
class Summary:
    """What a run left: counts of files (planted ones included), their bytes, and the time taken."""

    files: int
    planted: int
    classes: int
    size: int
    seconds: float
    already_there: bool

    def __str__(self) -> str:
        """One line for the console."""
        counted = (
            f"{self.files} files ({self.planted} planted) in {self.classes} classes, "
            f"{self.size / 1e6:.1f} MB"
        )
        return (
            f"already there: {counted}"
            if self.already_there
            else f"{counted}, {self.seconds:.1f} s"
        )


def generate(
    output: Path,
    parameters: DemoParameters,
    processes: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Summary:
    """Makes a set, or finds it there.

    The bytes depend on the parameters alone, whatever the number of processes. A set that an
    earlier, interrupted or different run left is replaced file by file; other people's files stay.

    Args:
        output: Root of the class-per-folder tree; made when it is missing.
        parameters: What to make.
        processes: Worker processes; as many as there are usable cores when None.
        progress: Called with (photographs done, photographs in all).

    Returns:
        Counts, bytes and seconds.

    Raises:
        DemoError: The folder holds files that the demo did not make and would have to overwrite.
        OSError: The folder cannot be written.
    """
    started = time.perf_counter()
    earlier = _claim(output)
    if earlier and earlier.describes(output, parameters):
        return _summary(parameters, earlier.files, started, already_there=True)
    planned = plan(parameters)
    wanted = [photo.path for photo in planned]
    wanted += [planted.path for planted in PLANTED] if parameters.defects else []
    owned = dict(earlier.files) if earlier else {}
    _refuse_overwriting(output, set(wanted) - set(owned))
    identity = parameters_json(parameters)
    write_marker(output, Marker(identity, dict.fromkeys([*owned, *wanted])))
    for path in set(owned) - set(wanted):
        (output / path).unlink(missing_ok=True)
    for label in SIGN_CLASSES:
        (output / label).mkdir(exist_ok=True)
    sizes: dict[str, int | None] = {}
    for path, size in _take_all(output, planned, parameters, processes or usable_cores()):
        sizes[path] = size
        progress(len(sizes), len(planned))
    if parameters.defects:
        for path, data in planted_bytes(parameters.seed, parameters.difficulty).items():
            sizes[path] = (output / path).write_bytes(data)
    write_marker(output, Marker(identity, sizes))
    return _summary(parameters, sizes, started, already_there=False)


def plan(parameters: DemoParameters) -> list[Planned]:
    """Lists the photographs of a set, class after class, without taking any."""
    photographs = []
    for label, count in class_counts(parameters.images).items():
        for index in range(count):
            extension = _extension(photograph_random(parameters.seed, label, index).random())
            photographs.append(Planned(label, index, f"{label}/photo_{index:04d}.{extension}"))
    return photographs


def class_counts(images: int) -> dict[str, int]:
    """Shares photographs among the classes by how common each sign is, at least one each."""
    weights = [_CLASS_WEIGHTS.get(label, 1.0) for label in SIGN_CLASSES]
    spare = images - len(SIGN_CLASSES)
    bounds = [round(spare * sum(weights[:end]) / sum(weights)) for end in range(len(weights) + 1)]
    return {
        label: 1 + bounds[place + 1] - bounds[place] for place, label in enumerate(SIGN_CLASSES)
    }


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _extension(draw: float) -> str:
    return "jpg" if draw < JPEG_SHARE else "png"


def _claim(output: Path) -> Marker | None:
    if output.exists() and not output.is_dir():
        raise DemoError(f"{output} is a file: name a folder")
    output.mkdir(parents=True, exist_ok=True)
    marker = read_marker(output)
    if marker is None and any(output.iterdir()):
        raise DemoError(
            f"{output} is not empty and has no {MARKER_NAME}, so the demo did not make it: "
            "name an empty or a new folder"
        )
    return marker


def _refuse_overwriting(output: Path, paths: set[str]) -> None:
    foreign = sorted(path for path in paths if (output / path).exists())
    if foreign:
        raise DemoError(
            f"{output / foreign[0]} was not made by the demo and would be overwritten "
            f"({len(foreign)} such): move it away or name another folder"
        )


def _take_all(
    output: Path, planned: list[Planned], parameters: DemoParameters, processes: int
) -> Iterator[tuple[str, int]]:
    take = partial(_take, output, parameters)
    if processes == 1:
        yield from map(take, planned)
        return
    # Spawned, because a forked child of a process with threads (BLAS has some) may dead-lock.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        yield from pool.map(take, planned, chunksize=_CHUNK)


def _take(output: Path, parameters: DemoParameters, planned: Planned) -> tuple[str, int]:
    random = photograph_random(parameters.seed, planned.label, planned.index)
    extension = _extension(random.random())
    frame = photograph(planned.label, random, parameters.difficulty)
    data = encode(frame, extension, random, parameters.difficulty)
    return planned.path, (output / planned.path).write_bytes(data)


def _summary(
    parameters: DemoParameters,
    sizes: Mapping[str, int | None],
    started: float,
    already_there: bool,
) -> Summary:
    return Summary(
        files=len(sizes),
        planted=len(PLANTED) if parameters.defects else 0,
        classes=len(SIGN_CLASSES),
        size=sum(size or 0 for size in sizes.values()),
        seconds=time.perf_counter() - started,
        already_there=already_there,
    )
