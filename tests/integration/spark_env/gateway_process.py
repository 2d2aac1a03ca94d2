"""A SQL gateway as people start it, for tests and benchmarks."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.spark_env.ports import free_port
from tests.integration.spark_env.process_groups import members, stop

SCRIPT = Path(__file__).parents[3] / "spark_jobs" / "sql_gateway.py"
START_SECONDS = 240


@dataclass(frozen=True)
class Gateway:
    """A gateway that runs.

    Attributes:
        port: Where it answers SQL.
        health_port: Where it says how it is.
        process: Its JVM.
        log: What it writes to stdout and stderr.
    """

    port: int
    health_port: int
    process: subprocess.Popen[str]
    log: Path

    def wait_for(self, done: Callable[[], object]) -> None:
        """Waits until that is true.

        Raises:
            AssertionError: The gateway ended before, or it took too long; with its log.
        """
        deadline = time.monotonic() + START_SECONDS
        while not done():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.2)

    def health(self) -> tuple[int, dict[str, Any]]:
        """Status code and values of the health endpoint."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}/health") as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def function(self, name: str) -> dict[str, Any]:
        """What the health endpoint says of a function; nothing if there is none."""
        values = self.health()[1]["functions"].get(name, {})
        return dict(values)

    def wait_for_version(self, name: str, version: str) -> None:
        """Waits until a function answers from that version."""
        self.wait_for(lambda: self.function(name).get("version") == version)

    def below(self, word: str = "") -> list[int]:
        """Processes that the JVM and those below it have started, by a word of their commands."""
        found = members(self.process.pid)
        return [pid for pid in found if pid != self.process.pid and is_running(pid, word)]

    def driver(self) -> int:
        """The Python process below spark-submit's JVM."""
        (driver,) = self.below(SCRIPT.name)
        return driver


def is_running(pid: int, word: str) -> bool:
    """Whether that process lives and has a word in its command line."""
    try:
        return word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


@contextmanager
def gateway_process(
    spark_submit: Sequence[str],
    workspace: Path,
    folder: Path,
    *options: str,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Gateway]:
    """Starts a gateway and ends it; it serves when the body begins.

    Args:
        spark_submit: The command and its own options.
        workspace: Whose functions it serves.
        folder: Where it runs and logs.
        *options: More options of the gateway.
        environment: All of its variables; None for those of this process.
    """
    port, health_port = free_port(), free_port()
    log = folder / f"gateway-{port}.log"
    places = ("--port", str(port), "--health-port", str(health_port), "--workspace", str(workspace))
    with log.open("w") as stream:
        process = subprocess.Popen(
            [*spark_submit, str(SCRIPT), *places, *options],
            env=environment,
            cwd=folder,
            stdout=stream,
            stderr=stream,
            text=True,
            start_new_session=True,
        )
    gateway = Gateway(port, health_port, process, log)
    try:
        gateway.wait_for(lambda: f"jdbc:hive2://127.0.0.1:{port}" in log.read_text())
        yield gateway
    finally:
        stop(process)
