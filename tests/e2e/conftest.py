"""A small set of photographs, and a project that runs on it from a workspace of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Browser

from local_stack import credentials
from local_stack.client import AirflowClient
from local_stack.layout import PROJECT, Layout
from local_stack.ports import ANY_PORTS
from local_stack.stack import Running, run_stack
from tests.browser import browsing

SPARK_PYTHON = Layout.from_environment().spark_venv / "bin" / "python"
AIRFLOW_PYTHON = Layout.from_environment().airflow_venv / "bin" / "python"
SPARK_SCRIPTS = Path(__file__).with_name("spark_env")
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

    def describe(self, pipeline: str, **values: object) -> None:
        """Writes the file of a pipeline that recognises signs; it says the values besides names."""
        names = {
            "name": pipeline,
            "description": "Recognises traffic signs in photographs",
            "function": f"recognize_{pipeline}",
            "view": f"{pipeline}_imgs",
        }
        self.pipelines.mkdir(exist_ok=True)
        (self.pipelines / f"{pipeline}.yaml").write_text(yaml.safe_dump(names | values))

    def make(self, command: str = "run", **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs what ``make run``, or another command, runs, as a process of its own."""
        process = self.start(command, **variables)
        out, err = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def start(self, command: str, **variables: str) -> subprocess.Popen[str]:
        """Starts what ``make <command>`` runs."""
        options = [word for name, value in variables.items() for word in (f"--{name}", value)]
        return subprocess.Popen(
            [str(AIRFLOW_PYTHON), "-m", "local_stack", command, *options],
            cwd=PROJECT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def tables(self, pipeline: str) -> dict[str, Any]:
        """What the pipeline's tables hold; see read_tables.py."""
        content: dict[str, Any] = self.ask("read_tables.py", str(self.workspace), pipeline)
        return content

    def ask(self, script: str, *arguments: str) -> Any:
        """What a script of tests/e2e/spark_env prints, which is JSON."""
        return json.loads(self.python(str(SPARK_SCRIPTS / script), *arguments))

    def python(self, script: str, *arguments: str) -> str:
        """What a script of the Spark environment prints."""
        return subprocess.run(
            [str(SPARK_PYTHON), script, *arguments],
            env={**self.environment, "PYTHONPATH": str(PROJECT / "spark_jobs")},
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout

    def beside_airflow(self, work: Callable[[AirflowClient, Layout], None]) -> None:
        """Does something beside a stack on the workspace, which then ends."""

        def driver(running: Running) -> int:
            password = credentials.passwords(running.layout)[credentials.DEMO]
            url = running.ports.url(running.ports.airflow)
            with AirflowClient(url, credentials.DEMO, password) as client:
                work(client, running.layout)
            return 0

        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            assert run_stack(Layout.from_environment(), driver, people=False) == 0


@pytest.fixture(scope="session")
def signs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated photographs in ten classes, with the planted defects."""
    return generate(tmp_path_factory.mktemp("signs") / "signs", IMAGES)


def generate(folder: Path, images: int) -> Path:
    """Makes a set of photographs with the demo's generator; returns its folder."""
    subprocess.run(
        [str(SPARK_PYTHON), "-m", "demo", "--output", str(folder), "--images", str(images)],
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
    """A place where the whole chain has run undisturbed: to the question, and in a second run on.

    What they said is in its files ``asked.txt`` and ``approved.txt``.
    """
    place = new_place()
    for said, answer in (("asked.txt", {}), ("approved.txt", {"approve": "yes"})):
        done = place.make(pipeline="signs", source=str(place.signs), **answer)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        (place.root / said).write_text(done.stdout)
    return place


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A browser for all stories."""
    with browsing() as browser:
        yield browser


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures of pages go, for people: ``DARKROOM_PICTURES``, or a temporary folder."""
    given = os.environ.get("DARKROOM_PICTURES")
    folder = Path(given) if given else tmp_path_factory.mktemp("pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
