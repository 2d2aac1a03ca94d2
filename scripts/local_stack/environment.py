"""The environment variables of the stack's processes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping

from local_stack import credentials
from local_stack.layout import PROJECT, Layout
from local_stack.ports import HOST, Ports


def airflow_environment(
    layout: Layout, ports: Ports, *, quick: bool, extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Everything that Airflow's components and the tasks in them need.

    Args:
        layout: Where everything is.
        ports: The servers' ports.
        quick: True for a short life without people: DAG files are read once, at the start.
        extra: Variables that come on top of all others.
    """
    return {
        **spark_environment(layout),
        **_airflow_settings(layout, ports, quick),
        **credentials.keys(layout),
        "DARKROOM_WORKSPACE": str(layout.workspace.root),
        "DARKROOM_PIPELINES": str(layout.pipelines),
        "DARKROOM_FILES_URL": ports.url(ports.files),
        "DARKROOM_MLFLOW_URL": ports.url(ports.mlflow),
        "MLFLOW_TRACKING_URI": ports.url(ports.mlflow),
        "PYTHONPATH": os.pathsep.join(str(PROJECT / p) for p in ("spark_jobs", "plugins")),
        **(extra or {}),
    }


def spark_environment(layout: Layout) -> dict[str, str]:
    """What scripts/env.sh sets, on top of this process's own environment.

    Raises:
        subprocess.CalledProcessError: The script fails.
    """
    shown = subprocess.run(
        ["bash", "-c", '. "$0" && env -0', str(PROJECT / "scripts" / "env.sh")],
        env={
            **os.environ,
            "DARKROOM_WORKSPACE": str(layout.workspace.root),
            "DARKROOM_SPARK_VENV": str(layout.spark_venv),
        },
        check=True,
        capture_output=True,
        text=True,
    )
    pairs = (line.partition("=") for line in shown.stdout.split("\0") if line)
    return {name: value for name, _, value in pairs}


def mlflow_environment(layout: Layout, environment: Mapping[str, str]) -> dict[str, str]:
    """The MLflow server's: nothing of Airflow's side must be imported there."""
    hidden = ("PYTHONPATH", "MLFLOW_TRACKING_URI")
    kept = {k: v for k, v in environment.items() if k not in hidden and "AIRFLOW__" not in k}
    return {
        **kept,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # Evaluation jobs of language models: eight more processes that nobody here asks for.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def _airflow_settings(layout: Layout, ports: Ports, quick: bool) -> dict[str, str]:
    home = layout.workspace.airflow
    url = ports.url(ports.airflow)
    settings: dict[str, dict[str, object]] = {
        "core": {
            "dags_folder": PROJECT / "dags",
            "plugins_folder": PROJECT / "plugins",
            "load_examples": False,
            "executor": "LocalExecutor",
            "parallelism": 4,
            "dags_are_paused_at_creation": False,
            "dagbag_import_error_tracebacks": False,
            "simple_auth_manager_users": ",".join(f"{u}:{r}" for u, r in credentials.USERS.items()),
            "simple_auth_manager_passwords_file": layout.passwords,
            "execution_api_server_url": f"{url}/execution/",
        },
        "database": {"sql_alchemy_conn": f"sqlite:///{home / 'airflow.db'}"},
        "api": {"host": HOST, "port": ports.airflow, "base_url": url, "workers": 1},
        "scheduler": {
            # A chain of short tasks mostly waits for the scheduler to look again.
            "scheduler_idle_sleep_time": 0.2,
            "enable_health_check": False,
        },
        # How long a task's supervisor lingers after the task; 5 is Airflow's own choice.
        "workers": {"min_heartbeat_interval": 1 if quick else 5},
        "dag_processor": {
            "parsing_processes": 1,
            "min_file_process_interval": 3600 if quick else 15,
            "refresh_interval": 3600 if quick else 15,
            "print_stats_interval": 0,
        },
        "logging": {
            "base_log_folder": home / "logs",
            "colored_console_log": False,
        },
    }
    variables = {
        f"AIRFLOW__{section.upper()}__{name.upper()}": str(value)
        for section, values in settings.items()
        for name, value in values.items()
    }
    spark = json.dumps({"conn_type": "spark", "host": "local[*]"})
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW_CONN_SPARK_DEFAULT": os.environ.get("AIRFLOW_CONN_SPARK_DEFAULT") or spark,
        **variables,
    }
