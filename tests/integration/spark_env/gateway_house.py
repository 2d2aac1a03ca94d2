"""A gateway as people start it, on a workspace with a deployed function ``see``."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyspark

from darkroom.contract import Stage, Workspace
from darkroom.lake import Lake
from darkroom.ml.engines import prepare
from darkroom.ml.model_files import MODEL_FILE
from darkroom.sql.deployments import Deployment, publish
from tests.integration.spark_env.colour_model import (
    LABELS,
    colour_package,
    image_row,
    picture,
)
from tests.integration.spark_env.ports import free_port

SPARK_JOBS = Path(__file__).parents[3] / "spark_jobs"
BARRED = Path(__file__).parent / "barred"
SPARK_BIN = Path(pyspark.__file__).parent / "bin"
START_SECONDS = 240


def new_workspace(root: Path) -> Workspace:
    """Two images and a deployed function."""
    made = Workspace(root)
    rows = [image_row(f"{colour}/1.jpg", picture(colour)) for colour in ("red", "blue")]
    Lake(made).append_rows(rows, "colours", "images", run_id="i", stage=Stage.INGEST)
    deploy(made, 1)
    return made


def train(workspace: Workspace, version: int) -> str:
    """Leaves the network of that number as training does, prepared; returns its digest."""
    package = colour_package(workspace.models, version)
    prepare(package.model_file, workspace.engines)
    return package.digest


def deploy(workspace: Workspace, version: int, function: str = "see", view: str = "seen") -> None:
    """Publishes the network of that number."""
    announce(workspace, version, train(workspace, version), function, view)


def deploy_broken(workspace: Workspace, version: int) -> None:
    """Publishes a version whose model file is none."""
    content = f"no Keras file {version}".encode()
    digest = hashlib.sha256(content).hexdigest()
    good = next(workspace.models.glob(f"*/{MODEL_FILE}"))
    shutil.copytree(good.parent, workspace.models / digest)
    (workspace.models / digest / MODEL_FILE).write_bytes(content)
    announce(workspace, version, digest)


def announce(
    workspace: Workspace, version: int, digest: str, function: str = "see", view: str = "seen"
) -> None:
    """Publishes a version whose files lie in the workspace."""
    deployment = Deployment(
        function=function,
        pipeline="colours",
        view=view,
        model_name="colours",
        model_version=str(version),
        model_digest=digest,
        model_path=f"models/{digest}",
        labels=LABELS,
        deployed_at=dt.datetime.now(dt.UTC),
        run_id="d",
    )
    assert publish(Lake(workspace), deployment)


def environment() -> dict[str, str]:
    """One in which neither the driver nor a worker can import TensorFlow or Keras."""
    return {
        **os.environ,
        "SPARK_HOME": str(SPARK_BIN.parent),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": os.pathsep.join([str(BARRED), str(SPARK_JOBS)]),
    }


def submit(script: str, *options: str) -> list[str]:
    """The command of an entrypoint on one core, which tries a task again."""
    settings = ("--master", "local[1,3]", "--conf", "spark.ui.enabled=false")
    return [str(SPARK_BIN / "spark-submit"), *settings, str(SPARK_JOBS / script), *options]


@dataclass(frozen=True)
class Gateway:
    """A gateway that looks for new models every second."""

    port: int
    health_port: int
    process: subprocess.Popen[str]
    log: Path

    def wait_for(self, done: Callable[[], object]) -> None:
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
        values = self.health()[1]["functions"].get(name, {})
        return dict(values)

    def wait_for_version(self, version: str, name: str = "see") -> None:
        self.wait_for(lambda: self.function(name).get("version") == version)

    def beeline(self, sql: str, *login: str) -> list[str]:
        """Asks over JDBC, as a BI tool would."""
        command = [str(SPARK_BIN / "beeline"), "-u", f"jdbc:hive2://127.0.0.1:{self.port}", *login]
        done = subprocess.run(
            [*command, "--silent=true", "--outputformat=csv2", "-e", sql],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
        )
        assert done.returncode == 0, done.stderr
        # Beeline prints its prompt in front of the first line.
        lines = done.stdout.replace(f"0: jdbc:hive2://127.0.0.1:{self.port}> ", "").splitlines()
        return [line for line in lines if line.strip()]

    def descendants(self, word: str) -> list[int]:
        """Processes below the JVM whose command line holds a word."""
        children: dict[int, list[int]] = {}
        for place in Path("/proc").glob("[0-9]*"):
            try:
                fields = (place / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(place.name))
        found, waiting = [], [self.process.pid]
        while waiting:
            below = children.get(waiting.pop(), [])
            found += [pid for pid in below if is_running(pid, word)]
            waiting += below
        return found

    def driver(self) -> int:
        """The Python process below spark-submit's JVM."""
        (driver,) = self.descendants("sql_gateway.py")
        return driver


def is_running(pid: int, word: str) -> bool:
    """Whether that process lives and has a word in its command line."""
    try:
        return word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


@contextmanager
def running_gateway(
    workspace: Workspace, folder: Path, *options: str, **variables: str
) -> Iterator[Gateway]:
    """Starts a gateway and ends it; it serves when the body begins."""
    port, health_port = free_port(), free_port()
    log = folder / f"gateway-{port}.log"
    own = ("--port", str(port), "--health-port", str(health_port), "--poll-seconds", "1")
    command = submit("sql_gateway.py", *own, "--workspace", str(workspace.root), *options)
    with log.open("w") as stream:
        process = subprocess.Popen(
            command,
            env=environment() | variables,
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
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
