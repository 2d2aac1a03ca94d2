"""A real MLflow server for the tests: ``pytest_plugins`` or an import makes its fixtures known."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.spark_env.ports import free_port
from tests.integration.spark_env.process_groups import stop

START_SECONDS = 180


@pytest.fixture(scope="session")
def mlflow_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the server's database and artifacts."""
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture(scope="session")
def mlflow_server(mlflow_home: Path) -> Iterator[str]:
    """Address of a server of this test session; its models are shared by all tests."""
    with serving(mlflow_home) as address:
        yield address


@contextmanager
def serving(
    home: Path,
    *options: str,
    store: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Runs a server.

    Args:
        home: Folder of its artifacts, and of its database where there is no other.
        *options: More of the command line.
        store: URI of another database.
        environment: More variables.

    Yields:
        Its address.
    """
    port = free_port()
    process = start(home, port, *options, store=store, environment=environment)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process)


def start(
    home: Path,
    port: int,
    *options: str,
    store: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Starts a server, and waits until it answers; the arguments are those of `serving`."""
    address = f"http://127.0.0.1:{port}"
    log = home / "server.log"
    command = [
        *(sys.executable, "-m", "mlflow", "server"),
        f"--backend-store-uri={store or f'sqlite:///{home}/mlflow.db'}",
        f"--artifacts-destination={home / 'artifacts'}",
        "--host=127.0.0.1",
        f"--port={port}",
        "--workers=1",
        *options,
    ]
    own = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **(environment or {})}
    # A tracking address of its own would make the server ask another one for its models.
    own.pop("MLFLOW_TRACKING_URI", None)
    with log.open("ab") as stream:
        process = subprocess.Popen(
            command, cwd=home, env=own, stdout=stream, stderr=stream, start_new_session=True
        )
    try:
        _wait(process, address, log)
    except BaseException:
        stop(process)
        raise
    return process


@pytest.fixture
def mlflow_uri(mlflow_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The server's address, which the code under test finds in its environment."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    return mlflow_server


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"the MLflow server did not start:\n{log.read_text()[-4000:]}")
