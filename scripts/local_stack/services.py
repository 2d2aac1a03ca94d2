"""The processes of the stack: what is run, and how one sees that it works."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from local_stack import credentials
from local_stack.environment import mlflow_environment
from local_stack.layout import PROJECT, Layout
from local_stack.ports import HOST, Ports


class StartError(Exception):
    """The stack cannot start; the message is one line for a person."""


@dataclass(frozen=True)
class Service:
    """One long-running process.

    Attributes:
        name: Names it on the console and its log file.
        command: Program and arguments.
        environment: All its environment variables.
        log: File that takes its output.
        health: Address that answers 200 once it works, or None.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    health: str | None = None

    @property
    def shell_command(self) -> str:
        """The command with its output in the log file."""
        return f"exec {shlex.join(self.command)} >>{shlex.quote(str(self.log))} 2>&1"


def services(
    layout: Layout, ports: Ports, environment: Mapping[str, str], *, people: bool
) -> list[Service]:
    """All services.

    Args:
        layout: Where everything is.
        ports: The servers' ports.
        environment: Airflow's environment.
        people: False leaves out what only people use: the SQL gateway, and the triggerer, for
            only an answer that somebody gives in MLflow waits for it.
    """
    # The API server reads the task logs from the disk: Airflow's log servers would only listen,
    # and on all interfaces.
    arguments = {
        "api-server": (),
        "scheduler": ("--skip-serve-logs",),
        "dag-processor": (),
        **({"triggerer": ("--skip-serve-logs",)} if people else {}),
    }
    # The first request to the part that tasks talk to builds it, which takes seconds: better now
    # than in the first task.
    health = {"api-server": f"{ports.url(ports.airflow)}/execution/health"}
    airflow = [str(layout.airflow_venv / "bin" / "python"), "-m", "local_stack.airflow_service"]
    own = {**environment, "PYTHONPATH": f"{PROJECT / 'scripts'}:{environment['PYTHONPATH']}"}
    listed = [
        Service(name, [*airflow, name, *more], own, layout.logs / f"{name}.log", health.get(name))
        for name, more in arguments.items()
    ]
    listed += [_mlflow(layout, ports, environment), _files(layout, ports, environment)]
    return [*listed, _sql_gateway(layout, ports, environment)] if people else listed


def prepare(layout: Layout, environment: Mapping[str, str]) -> None:
    """Makes the folders and brings Airflow's database up to date, if it is not.

    Raises:
        StartError: The database could not be migrated.
    """
    for folder in (layout.logs, layout.workspace.mlflow, layout.workspace.airflow):
        folder.mkdir(parents=True, exist_ok=True)
    # Airflow would make missing ones itself, print them in its log and let everybody read them.
    credentials.passwords(layout)
    done = layout.workspace.airflow / f"migrated-{version('apache-airflow')}"
    if done.exists() and (layout.workspace.airflow / "airflow.db").exists():
        return
    log = layout.logs / "migrate.log"
    command = [str(layout.airflow_venv / "bin" / "airflow"), "db", "migrate"]
    with log.open("a") as stream:
        code = subprocess.run(
            command, env=environment, stdout=stream, stderr=stream, cwd=PROJECT, check=False
        ).returncode
    if code:
        raise StartError(f"airflow db migrate failed (exit {code}): see {layout.shown(log)}")
    done.touch()


def _mlflow(layout: Layout, ports: Ports, environment: Mapping[str, str]) -> Service:
    folder = layout.workspace.mlflow
    command = [
        str(layout.spark_venv / "bin" / "mlflow"),
        "server",
        f"--backend-store-uri=sqlite:///{folder / 'mlflow.db'}",
        f"--artifacts-destination={folder / 'artifacts'}",
        f"--host={HOST}",
        f"--port={ports.mlflow}",
        "--workers=1",
    ]
    health = f"{ports.url(ports.mlflow)}/health"
    own = mlflow_environment(layout, environment)
    return Service("mlflow", command, own, layout.logs / "mlflow.log", health)


def _files(layout: Layout, ports: Ports, environment: Mapping[str, str]) -> Service:
    command = [
        sys.executable,
        "-m",
        "local_stack.files",
        str(layout.workspace.root),
        str(ports.files),
    ]
    own = {**environment, "PYTHONPATH": f"{PROJECT / 'scripts'}:{PROJECT / 'spark_jobs'}"}
    health = f"{ports.url(ports.files)}/"
    return Service("files", command, own, layout.logs / "files.log", health)


def _sql_gateway(layout: Layout, ports: Ports, environment: Mapping[str, str]) -> Service:
    command = [
        "spark-submit",
        # A task whose Python worker is killed is tried again.
        "--master=local[*,3]",
        # It lives long: the full compiler pays.
        "--driver-java-options=-XX:TieredStopAtLevel=4",
        str(PROJECT / "spark_jobs" / "sql_gateway.py"),
        f"--workspace={layout.workspace.root}",
        f"--port={ports.sql}",
        f"--health-port={ports.sql_health}",
        f"--pipelines={layout.pipelines}",
    ]
    own = {**environment, "PYTHONPATH": str(PROJECT / "spark_jobs")}
    return Service("sql-gateway", command, own, layout.logs / "sql-gateway.log")
