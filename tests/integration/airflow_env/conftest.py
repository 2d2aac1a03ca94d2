"""A real local stack on a workspace of its own; only spark-submit is a stand-in."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from local_stack.layout import PROJECT, Layout
from local_stack.ports import ANY_PORTS
from tests.standing import START_SECONDS, Up, standing
from tests.unit.airflow_env.conftest import PIPELINE, FakeSpark

VALIDATION_PAGE = PROJECT / "tests/integration/spark_env/validation_page.py"
APPROVALS = {
    "signs": "{approvers: [demo]}",
    "cats": "{in_registry: true}",
    "dogs": "{timeout_hours: 0.001}",
}
"""The pipelines, and what they want of an approval."""


@dataclass
class World:
    """A workspace, the pipelines of `APPROVALS`, a stand-in for Spark, and what drives them."""

    workspace: Path
    pipelines: Path
    photographs: Path
    spark: FakeSpark
    environment: dict[str, str]

    def command(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts ``python -m local_stack ...``."""
        return subprocess.Popen(
            [sys.executable, "-m", "local_stack", *arguments],
            env=self.environment,
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Runs a command to its end: exit code, output, errors."""
        process = self.command(*arguments)
        try:
            out, err = process.communicate(timeout=2 * START_SECONDS)
        finally:
            if process.poll() is None:
                process.terminate()
        return process.returncode, out, err

    def processes(self) -> list[psutil.Process]:
        """All live processes that belong to this workspace, by their environment."""
        mark = f"DARKROOM_WORKSPACE={self.workspace}".encode()
        found = []
        for process in psutil.process_iter():
            try:
                environment = Path(f"/proc/{process.pid}/environ").read_bytes()
            except OSError:
                continue
            if mark in environment and process.pid != os.getpid():
                found.append(process)
        return found


@pytest.fixture(scope="module")
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A module's ``PIPELINE_GROUPS`` are more of its pipelines' files, its ``APPROVALS`` others."""
    folder = tmp_path_factory.mktemp("stack")
    pipelines, photographs = folder / "pipelines", folder / "photographs"
    pipelines.mkdir()
    for label in ("stop", "yield"):
        (photographs / label).mkdir(parents=True)
        for number in range(12):
            (photographs / label / f"{number}.jpg").write_bytes(b"not read here")
    text = PIPELINE.replace("path: photographs", f"path: {photographs}")
    text += getattr(request.module, "PIPELINE_GROUPS", "")
    # No run but those that a test starts, whatever the hour.
    text += "watch: {schedule: null}\n"
    for name, approval in getattr(request.module, "APPROVALS", APPROVALS).items():
        own = f"{text.replace('signs', name)}approval: {approval}\n"
        (pipelines / f"{name}.yaml").write_text(own)
    spark = FakeSpark(folder / "fake")
    home = subprocess.run(
        ["bash", "-c", '. "$0" && printf %s "$SPARK_HOME"', PROJECT / "scripts" / "env.sh"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    environment = {
        **os.environ,
        **ANY_PORTS,
        # The stand-in first; the project's script leaves a PATH with Spark in it alone.
        "PATH": os.pathsep.join((str(spark.bin), f"{home}/bin", os.environ["PATH"])),
        "FAKE_SCENARIO": str(spark.scenario),
        "DARKROOM_WORKSPACE": str(folder / "workspace"),
        "DARKROOM_PIPELINES": str(pipelines),
        "PYTHONPATH": os.pathsep.join(
            str(PROJECT / name) for name in ("scripts", "plugins", "spark_jobs")
        ),
    }
    environment.pop("AIRFLOW_HOME", None)
    return World(folder / "workspace", pipelines, photographs, spark, environment)


@pytest.fixture(scope="module")
def up(world: World) -> Iterator[Up]:
    """``make up`` for the tests of one module."""
    with standing(world.command("up"), world.workspace, world.pipelines, "signs") as stack:
        yield stack


@pytest.fixture(scope="module")
def validation_pages(world: World) -> None:
    """What the validation of run ``r1`` of ``signs`` leaves below ``data_docs``."""
    python = Layout.from_environment().spark_venv / "bin" / "python"
    subprocess.run(
        [python, VALIDATION_PAGE, world.workspace, "r1"],
        env={**os.environ, "PYTHONPATH": f"{PROJECT / 'spark_jobs'}{os.pathsep}{PROJECT}"},
        check=True,
    )
