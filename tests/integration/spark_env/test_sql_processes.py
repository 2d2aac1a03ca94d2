"""The commands that people start: one query, and the gateway with a JDBC client."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyspark
import pytest

from darkroom.contract import Stage, Workspace
from darkroom.lake import Lake
from darkroom.ml.engines import prepare
from darkroom.sql.deployments import Deployment, publish
from tests.integration.spark_env.colour_model import (
    LABELS,
    colour_package,
    image_row,
    picture,
    probability_of_best,
)
from tests.integration.spark_env.ports import free_port

pytestmark = pytest.mark.integration

SPARK_JOBS = Path(__file__).parents[3] / "spark_jobs"
BARRED = Path(__file__).parent / "barred"
SPARK_BIN = Path(pyspark.__file__).parent / "bin"
SQL = "SELECT path, see(image) AS objects FROM seen ORDER BY path"
START_SECONDS = 240


def deploy(workspace: Workspace, version: int) -> None:
    """Publishes the network of that number as function ``see``, prepared as training leaves it."""
    package = colour_package(workspace.models, version)
    prepare(package.model_file, workspace.engines)
    deployment = Deployment(
        function="see",
        pipeline="colours",
        view="seen",
        model_name="colours",
        model_version=str(version),
        model_digest=package.digest,
        model_path=str(package.folder.relative_to(workspace.root)),
        labels=LABELS,
        deployed_at=dt.datetime.now(dt.UTC),
        run_id="d",
    )
    assert publish(Lake(workspace), deployment)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two images and a deployed function."""
    made = Workspace(tmp_path_factory.mktemp("workspace"))
    rows = [image_row(f"{colour}/1.jpg", picture(colour)) for colour in ("red", "blue")]
    Lake(made).append_rows(rows, "colours", "images", run_id="i", stage=Stage.INGEST)
    deploy(made, 1)
    return made


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
    settings = ("--master", "local[1]", "--conf", "spark.ui.enabled=false")
    return [str(SPARK_BIN / "spark-submit"), *settings, str(SPARK_JOBS / script), *options]


def query(workspace: Path, sql: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = submit("query.py", "--workspace", str(workspace), "--sql", sql, *options)
    return subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=START_SECONDS
    )


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What the Python side wrote: spark-submit sends its stderr to the same place as its stdout."""
    return done.stdout.splitlines()


def test_a_query_prints_a_table(workspace: Workspace) -> None:
    done = query(workspace.root, SQL)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "path        objects",
        "----------  -------------------------------",
        "blue/1.jpg  blue 0.86, red 0.07, green 0.07",
        "red/1.jpg   red 0.86, green 0.07, blue 0.07",
        "(2 rows)",
    ]


def test_a_wrong_query_exits_with_one_line(workspace: Workspace) -> None:
    done = query(workspace.root, "SELECT sea(image) FROM seen")

    assert done.returncode == 2
    assert said(done) == ["error: SQL: unknown function sea: did you mean see?"]


def test_a_query_before_any_deployment_says_so(tmp_path: Path) -> None:
    done = query(tmp_path, SQL)

    assert done.returncode == 5
    assert said(done) == [
        f"error: no function is deployed in workspace {tmp_path}: run make demo, or train a "
        "pipeline of your own and approve its candidate (make run), then ask again"
    ]


Gateway = tuple[int, "subprocess.Popen[str]", Path]


@pytest.fixture
def gateway(workspace: Workspace, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that looks for new models every second; port, process and log."""
    port = free_port()
    log = tmp_path / "gateway.log"
    options = ("--port", str(port), "--workspace", str(workspace.root), "--poll-seconds", "1")
    with log.open("w") as stream:
        process = subprocess.Popen(
            submit("sql_gateway.py", *options),
            env=environment(),
            cwd=tmp_path,
            stdout=stream,
            stderr=stream,
            text=True,
            start_new_session=True,
        )
    try:
        wait_for(lambda: f"jdbc:hive2://127.0.0.1:{port}" in log.read_text(), process, log)
        yield port, process, log
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(done: Callable[[], bool], process: subprocess.Popen[str], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not done():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


def beeline(port: int, sql: str) -> list[str]:
    """Asks over JDBC, as a BI tool would."""
    command = [str(SPARK_BIN / "beeline"), "-u", f"jdbc:hive2://127.0.0.1:{port}"]
    done = subprocess.run(
        [*command, "--silent=true", "--outputformat=csv2", "-e", sql],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    # Beeline prints its prompt in front of the first line.
    lines = done.stdout.replace(f"0: jdbc:hive2://127.0.0.1:{port}> ", "").splitlines()
    return [line for line in lines if line.strip()]


def test_the_gateway_serves_jdbc_and_follows_the_champion(
    gateway: Gateway, workspace: Workspace
) -> None:
    port, process, log = gateway
    sql = "SELECT path, see(image)[0].label AS label, see(image)[0].probability AS p FROM seen"

    header, *rows = beeline(port, f"{sql} ORDER BY path")

    assert header == "path,label,p"
    assert [row.rpartition(",")[0] for row in rows] == ["blue/1.jpg,blue", "red/1.jpg,red"]
    best = [float(row.rpartition(",")[2]) for row in rows]
    assert best == pytest.approx([probability_of_best(1)] * 2, abs=0.01)

    deploy(workspace, 2)
    wait_for(lambda: log.read_text().count("functions: see; views: seen") == 2, process, log)

    best = [float(row.rpartition(",")[2]) for row in beeline(port, sql)[1:]]
    assert best == pytest.approx([probability_of_best(2)] * 2, abs=0.01)

    driver = driver_of(process.pid)
    os.kill(driver, signal.SIGTERM)
    assert process.wait(60) == 0, log.read_text()
    assert "SQL gateway: stopped" in log.read_text().splitlines()


def driver_of(submit_pid: int) -> int:
    """The Python process below spark-submit's JVM."""
    children = Path(f"/proc/{submit_pid}/task/{submit_pid}/children").read_text().split()
    tasks = Path(f"/proc/{submit_pid}/task").iterdir()
    found = {pid for task in tasks for pid in (task / "children").read_text().split()}
    (driver,) = {int(pid) for pid in [*children, *found] if is_driver(int(pid))}
    return driver


def is_driver(pid: int) -> bool:
    return b"sql_gateway.py" in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_the_gateway_ends_with_its_jvm(gateway: Gateway) -> None:
    _, process, _ = gateway
    driver = driver_of(process.pid)

    os.kill(process.pid, signal.SIGTERM)

    process.wait(60)
    deadline = time.monotonic() + 60
    while Path(f"/proc/{driver}").exists() and is_driver_alive(driver):
        assert time.monotonic() < deadline, "the driver outlived its JVM"
        time.sleep(0.2)


def is_driver_alive(pid: int) -> bool:
    try:
        return is_driver(pid)
    except FileNotFoundError:
        return False
