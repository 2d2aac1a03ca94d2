"""The SQL gateway as people start it: what a small query takes, and whether memory grows."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyhive import hive

from benchmarks.deployed import classifier, deployment, image_rows, pictures
from benchmarks.featurize import CORES
from benchmarks.results import Row
from darkroom.contract import Stage, Workspace
from darkroom.contract import columns as c
from darkroom.contract.names import EMBEDDED
from darkroom.lake import Lake
from darkroom.ml.engines import prepare
from darkroom.sql.deployments import publish

HOST = "127.0.0.1"
SCRIPT = Path(__file__).parents[1] / "spark_jobs" / "sql_gateway.py"
FUNCTIONS: Mapping[str, str] = {EMBEDDED: "recognize_quickly", "ResNet50": "recognize_well"}
"""The deployed functions by their networks."""

TABLE = 200
"""Pictures of the view."""

ASKED = 10
"""Pictures of a query."""

QUERIES = 20
QUERY_GOAL = 2.0
"""Seconds."""

CLIENTS = 2
MINUTES = float(os.environ.get("DARKROOM_GATEWAY_MINUTES", "3"))
"""How long the clients ask while memory is watched."""

SAMPLES = 12
START_SECONDS = 180
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
            yield _memory_row(gateway, minutes)


def _deploy_all(folder: Path) -> None:
    workspace = Workspace(folder / "workspace")
    lake = Lake(workspace)
    rows = image_rows(pictures(TABLE))
    for network, function in FUNCTIONS.items():
        package = classifier(network, folder / network, workspace)
        # As the stage deploy does: the gateway finds what its engine needs.
        prepare(package.model_file, workspace.engines)
        lake.append_rows(rows, function, c.IMAGES, run_id="bench", stage=Stage.INGEST)
        publish(lake, deployment(workspace, package, function, function, _view(function)))


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
class _Gateway:
    """A gateway that runs.

    Attributes:
        port: Where it answers SQL.
        process: Its JVM.
        log: What its garbage collector says.
    """

    port: int
    process: subprocess.Popen[str]
    log: Path

    def seconds(self, sql: str) -> float:
        """Seconds of a query, on a connection of its own."""
        connection = hive.connect(HOST, self.port)
        try:
            cursor = connection.cursor()
            begun = time.perf_counter()
            cursor.execute(sql)
            rows = cursor.fetchall()
            seconds = time.perf_counter() - begun
        finally:
            connection.close()
        if len(rows) not in (1, ASKED) or None in rows[0]:
            raise RuntimeError(f"{sql} answered {len(rows)} rows: {rows[:1]}")
        return seconds

    def memory(self) -> _Memory:
        """What it holds now, after a collection of garbage."""
        self.seconds("SELECT reflect('java.lang.System', 'gc')")
        heaps = _LIVE.findall(self.log.read_text())
        below = [pid for pid in self._processes() if pid != self.process.pid]
        return _Memory(
            heap=float(heaps[-1]),
            jvm=_resident(self.process.pid, "Rss"),
            python=sum(_resident(pid, "Pss") for pid in below),
        )

    def _processes(self) -> list[int]:
        """All of its session: workers leave the process group, but not that."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                fields = (place / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # It has just ended.
            if int(fields[3]) == self.process.pid:
                found.append(int(place.name))
        return found


def _resident(pid: int, kind: str) -> float:
    """MiB of a process; 0 if it has just ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    found = re.search(rf"^{kind}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


@contextmanager
def _running(folder: Path) -> Iterator[_Gateway]:
    """Starts ``make sql`` and ends it; all functions are served when the body begins."""
    port, health_port = _free_ports(2)
    collections, said = folder / "collections.log", folder / "gateway.log"
    heap = os.environ["SPARK_DRIVER_MEMORY"]
    java = f"-XX:TieredStopAtLevel=4 -Xms{heap} -XX:+AlwaysPreTouch -Xlog:gc:file={collections}"
    command = [
        *("spark-submit", "--master", f"local[{CORES},3]", "--driver-java-options", java),
        *(str(SCRIPT), "--workspace", str(folder / "workspace"), "--pipelines", str(folder)),
        *("--port", str(port), "--health-port", str(health_port)),
    ]
    with said.open("w") as stream:
        process = subprocess.Popen(
            command, stdout=stream, stderr=stream, text=True, start_new_session=True
        )
    try:
        _wait(process, f"http://{HOST}:{health_port}/health", said)
        yield _Gateway(port, process, collections)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def _wait(process: subprocess.Popen[str], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                served = json.load(answer)["functions"]
        except OSError:
            served = {}
        if len(served) == len(FUNCTIONS) and all(one["version"] for one in served.values()):
            return
        time.sleep(0.2)
    raise RuntimeError(f"the gateway did not start:\n{log.read_text()[-4000:]}")


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _sql(function: str) -> str:
    paths = ", ".join(f"'{number}'" for number in range(ASKED))
    return f"SELECT path, {function}(image) FROM {_view(function)} WHERE path IN ({paths})"


def _query_row(gateway: _Gateway, network: str, function: str) -> Row:
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


def _memory_row(gateway: _Gateway, minutes: float) -> Row:
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
