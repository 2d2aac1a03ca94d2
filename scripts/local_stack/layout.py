"""Where the project, its workspace and its two virtual environments are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from darkroom.contract import Workspace

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Layout:
    """All places that the stack needs.

    Attributes:
        workspace: The folder of all state.
        airflow_venv: Virtual environment of Airflow.
        spark_venv: Virtual environment of Spark, TensorFlow and MLflow.
        pipelines: Folder of the pipelines' YAML files.
    """

    workspace: Workspace
    airflow_venv: Path
    spark_venv: Path
    pipelines: Path

    @classmethod
    def from_environment(cls) -> Layout:
        """The default places, or what ``DARKROOM_WORKSPACE`` and the like name."""
        return cls(
            workspace=Workspace(_place("DARKROOM_WORKSPACE", "workspace")),
            airflow_venv=_place("DARKROOM_AIRFLOW_VENV", ".venv/airflow"),
            spark_venv=_place("DARKROOM_SPARK_VENV", ".venv/spark"),
            pipelines=_place("DARKROOM_PIPELINES", "config/pipelines"),
        )

    @property
    def logs(self) -> Path:
        """One log file per component."""
        return self.workspace.root / "logs"

    @property
    def passwords(self) -> Path:
        """Passwords of the users of the local Airflow (JSON, readable by the owner alone)."""
        return self.workspace.airflow / "passwords.json"

    def task_log(self, dag: str, run: str, task: str, map_index: int, attempt: int) -> Path:
        """The log file of one try of a task."""
        mapped = f"/map_index={map_index}" if map_index >= 0 else ""
        name = f"dag_id={dag}/run_id={run}/task_id={task}{mapped}/attempt={attempt}.log"
        return self.workspace.airflow / "logs" / name

    def shown(self, path: Path) -> str:
        """A path as a person at the project's folder would type it."""
        return str(path.relative_to(PROJECT)) if path.is_relative_to(PROJECT) else str(path)


def _place(variable: str, default: str) -> Path:
    return (PROJECT / (os.environ.get(variable) or default)).absolute()
