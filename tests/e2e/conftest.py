"""A small set of photographs, and a project that runs on it from a workspace of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local_stack.layout import PROJECT, Layout
from local_stack.ports import ANY_PORTS

SPARK_PYTHON = Layout.from_environment().spark_venv / "bin" / "python"
AIRFLOW_PYTHON = Layout.from_environment().airflow_venv / "bin" / "python"
READ_TABLES = Path(__file__).with_name("spark_env") / "read_tables.py"
IMAGES = 160


@dataclass(frozen=True)
class Place:
    """A workspace, a folder of pipelines and a set of photographs.

    Attributes:
        root: Holds the workspace and the pipelines.
        signs: The photographs, one folder per class.
    """

    root: Path
    signs: Path

    @property
    def workspace(self) -> Path:
        return self.root / "workspace"

    @property
    def pipelines(self) -> Path:
        return self.root / "pipelines"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            **ANY_PORTS,
            "DARKROOM_WORKSPACE": str(self.workspace),
            "DARKROOM_PIPELINES": str(self.pipelines),
            "PYTHONPATH": os.pathsep.join(
                str(PROJECT / part) for part in ("scripts", "plugins", "spark_jobs")
            ),
        }

    def make(self, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs what ``make run`` runs, as a process of its own."""
        options = [word for name, value in variables.items() for word in (f"--{name}", value)]
        return subprocess.run(
            [str(AIRFLOW_PYTHON), "-m", "local_stack", "run", *options],
            cwd=PROJECT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def tables(self, pipeline: str) -> dict[str, Any]:
        """What the pipeline's tables hold; see read_tables.py."""
        done = subprocess.run(
            [str(SPARK_PYTHON), str(READ_TABLES), str(self.workspace), pipeline],
            env={**os.environ, "PYTHONPATH": str(PROJECT / "spark_jobs")},
            capture_output=True,
            text=True,
            check=True,
        )
        content: dict[str, Any] = json.loads(done.stdout)
        return content


@pytest.fixture(scope="session")
def signs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated photographs in ten classes, with the planted defects."""
    folder = tmp_path_factory.mktemp("signs") / "signs"
    subprocess.run(
        [str(SPARK_PYTHON), "-m", "demo", "--output", str(folder), "--images", str(IMAGES)],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": f"{PROJECT / 'spark_jobs'}{os.pathsep}{PROJECT}"},
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="session")
def new_place(tmp_path_factory: pytest.TempPathFactory, signs: Path) -> Callable[[], Place]:
    """Makes an empty workspace each time it is called."""

    def make() -> Place:
        place = Place(tmp_path_factory.mktemp("place"), signs)
        place.pipelines.mkdir()
        return place

    return make


@pytest.fixture(scope="session")
def finished(new_place: Callable[[], Place]) -> Place:
    """A place where the whole chain has run undisturbed."""
    place = new_place()
    done = place.make(pipeline="signs", source=str(place.signs), approve="yes")
    assert done.returncode == 0, done.stdout + done.stderr
    (place.root / "first_output.txt").write_text(done.stdout)
    return place
