"""The SQL gateway as people start it: what a small query takes, and whether memory grows."""

from __future__ import annotations

import datetime as dt
import os
import re
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pyhive import hive

from benchmarks.deployed import VERSION, classifier, deployment, image_rows, pictures
from benchmarks.featurize import CORES
from benchmarks.results import Row
from darkroom.contract import Stage, Workspace
from darkroom.contract import columns as c
from darkroom.contract.names import EMBEDDED
from darkroom.lake import Lake
from darkroom.ml.engines import prepare
from darkroom.sql.deployments import deployed, publish
from tests.integration.spark_env.gateway_process import Gateway, gateway_process

FUNCTIONS: Mapping[str, str] = {EMBEDDED: "recognize_quickly", "ResNet50": "recognize_well"}
"""The deployed functions by their networks."""

TABLE = 200
"""Pictures of the view."""

ASKED = 10
"""Pictures of a query."""

QUERIES = 20
QUERY_GOAL = 2.0
"""Seconds."""

SWAPS = 5
SWAP_GOAL = 30.0
"""Seconds."""

CLIENTS = 2
MINUTES = float(os.environ.get("DARKROOM_GATEWAY_MINUTES", "3"))
"""How long the clients ask while memory is watched."""

SAMPLES = 12
_LIVE = re.compile(r"Pause Full \(System\.gc\(\)\) \d+M->(\d+)M")


def measure(minutes: float = MINUTES) -> Iterator[Row]:
    """Yields the rows.

    Args:
        minutes: How long memory is watched.
    """
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as name:
        folder = Path(name)
        _deploy_all(folder)
        with _running(folder) as gateway:
            for network, function in FUNCTIONS.items():
                yield _query_row(gateway, network, function)
            yield _swap_row(gateway, folder)
            yield _memory_row(gateway, minutes)


def _deploy_all(folder: Path) -> None:
    workspace = _workspace(folder)
    lake = Lake(workspace)
    rows = image_rows(pictures(TABLE))
    for network, function in FUNCTIONS.items():
        package = classifier(network, folder / network, workspace)
        # As the stage deploy does: the gateway finds what its engine needs.
        prepare(package.model_file, workspace.engines)
        lake.append_rows(rows, function, c.IMAGES, run_id="bench", stage=Stage.INGEST)
        publish(lake, deployment(workspace, package, function, function, _view(function)))


def _workspace(folder: Path) -> Workspace:
    return Workspace(folder / "workspace")


def _view(function: str) -> str:
    return f"{function}_pictures"


@dataclass(frozen=True)
class _Memory:
    """What a gateway holds, in MiB.

    Attributes:
        heap: Live objects of the JVM, garbage collected.
        jvm: Resident memory of the JVM; its whole heap is resident from the start.
        python: Memory of the driver and the workers, shared pages counted once.
    """

    heap: float
    jvm: float
    python: float

    @property
    def total(self) -> float:
        """What can grow: of a heap that is resident anyhow, its live objects can."""
        return self.heap + self.jvm + self.python


@dataclass(frozen=True)
class _Watched:
    """A gateway, and what its garbage collector says.

    Attributes:
        gateway: All functions are served.
        collections: The collector's log.
    """

    gateway: Gateway
    collections: Path

    def seconds(self, sql: str) -> float:
        """Seconds of a query, on a connection of its own."""
        with closing(hive.connect("127.0.0.1", self.gateway.port)) as connection:
            begun = time.perf_counter()
            rows = _rows(connection, sql)
            seconds = time.perf_counter() - begun
        if len(rows) not in (1, ASKED) or None in rows[0]:
            raise RuntimeError(f"{sql} answered {len(rows)} rows: {rows[:1]}")
        return seconds

    def seconds_to_swap(self, lake: Lake, function: str) -> float:
        """Seconds from the deployment of another version to the first one of its answers."""
        known = deployed(lake)[function]
        version = str(int(known.model_version) + 1)
        begun = time.perf_counter()
        publish(lake, replace(known, model_version=version, deployed_at=dt.datetime.now(dt.UTC)))
        self.gateway.wait_for(lambda: self.version(function) == version)
        return time.perf_counter() - begun

    def version(self, function: str) -> str:
        """The version that answers a query."""
        one = f"SELECT {function}_detail(image).model_version FROM {_view(function)} LIMIT 1"
        with closing(hive.connect("127.0.0.1", self.gateway.port)) as connection:
            return str(_rows(connection, one)[0][0])

    def memory(self) -> _Memory:
        """What it holds now, after a collection of garbage."""
        self.seconds("SELECT reflect('java.lang.System', 'gc')")
        heaps = _LIVE.findall(self.collections.read_text())
        return _Memory(
            heap=float(heaps[-1]),
            jvm=_resident(self.gateway.process.pid, "Rss"),
            python=sum(_resident(pid, "Pss") for pid in self.gateway.below()),
        )


def _rows(connection: hive.Connection, sql: str) -> list[tuple[Any, ...]]:
    cursor = connection.cursor()
    cursor.execute(sql)
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _resident(pid: int, kind: str) -> float:
    """MiB of a process; 0 if it has just ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    found = re.search(rf"^{kind}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


@contextmanager
def _running(folder: Path) -> Iterator[_Watched]:
    """Starts ``make sql`` and ends it; all functions are served when the body begins."""
    collections = folder / "collections.log"
    heap = os.environ["SPARK_DRIVER_MEMORY"]
    java = f"-XX:TieredStopAtLevel=4 -Xms{heap} -XX:+AlwaysPreTouch -Xlog:gc:file={collections}"
    submit = ("spark-submit", "--master", f"local[{CORES},3]", "--driver-java-options", java)
    options = ("--pipelines", str(folder))
    with gateway_process(submit, _workspace(folder).root, folder, *options) as gateway:
        for function in FUNCTIONS.values():
            gateway.wait_for_version(function, VERSION)
        yield _Watched(gateway, collections)


def _sql(function: str) -> str:
    paths = ", ".join(f"'{number}'" for number in range(ASKED))
    return f"SELECT path, {function}(image) FROM {_view(function)} WHERE path IN ({paths})"


def _query_row(gateway: _Watched, network: str, function: str) -> Row:
    sql = _sql(function)
    first = gateway.seconds(sql)
    for _ in range(CORES):
        gateway.seconds(sql)
    samples = [gateway.seconds(sql) for _ in range(QUERIES)]
    return Row(
        name=f"gateway_query/{network}",
        value=round(statistics.median(samples), 3),
        unit="s",
        goal=f"<= {QUERY_GOAL:g}",
        met=max(samples) <= QUERY_GOAL,
        samples=[round(each, 3) for each in samples],
        note=f"a query on {ASKED} of {TABLE} pictures of 500x375, from Python; the slowest of "
        f"{QUERIES} counts for the goal; the very first took {first:.2f} s; lower is better",
    )


def _swap_row(gateway: _Watched, folder: Path) -> Row:
    lake = Lake(_workspace(folder))
    samples = [gateway.seconds_to_swap(lake, FUNCTIONS[EMBEDDED]) for _ in range(SWAPS)]
    return Row(
        name="gateway_swap",
        value=round(statistics.median(samples), 1),
        unit="s",
        goal=f"<= {SWAP_GOAL:g}",
        met=max(samples) <= SWAP_GOAL,
        samples=[round(each, 1) for each in samples],
        note="from the deployment of another version to its first answer, asked for all the time; "
        f"the slowest of {SWAPS} counts for the goal; lower is better",
    )


def _memory_row(gateway: _Watched, minutes: float) -> Row:
    """Clients ask both functions all the time; memory is looked at now and then."""
    stop = threading.Event()

    def ask() -> int:
        asked = 0
        while not stop.is_set():
            for function in FUNCTIONS.values():
                gateway.seconds(_sql(function))
                asked += 1
        return asked

    with ThreadPoolExecutor(CLIENTS) as pool:
        asking = [pool.submit(ask) for _ in range(CLIENTS)]
        try:
            seen = []
            for _ in range(SAMPLES):
                time.sleep(minutes * 60 / SAMPLES)
                seen.append(gateway.memory())
        finally:
            stop.set()
        queries = sum(each.result() for each in asking)
    # In the first third caches fill, and every worker meets every model.
    third = SAMPLES // 3
    before, after = seen[third:-third], seen[-third:]
    growth = _middle(after, "total") - _middle(before, "total")
    changes = ", ".join(
        f"{what} {_middle(before, name):.0f} to {_middle(after, name):.0f}"
        for what, name in (("live heap", "heap"), ("JVM", "jvm"), ("Python", "python"))
    )
    return Row(
        name="gateway_memory_growth",
        value=round(growth, 1),
        unit="MiB",
        samples=[round(each.total, 1) for each in seen],
        note=f"from the second third to the last of {minutes:g} minutes with {queries} queries by "
        f"{CLIENTS} clients, a connection each time; MiB: {changes}; samples are all there is; "
        "lower is better",
    )


def _middle(seen: Sequence[_Memory], name: str) -> float:
    values: list[Any] = [getattr(each, name) for each in seen]
    return float(statistics.median(values))
