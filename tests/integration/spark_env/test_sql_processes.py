"""The command that answers one query, as people start it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from darkroom.contract import Workspace
from tests.integration.spark_env.gateway_house import environment, new_workspace, submit
from tests.integration.spark_env.gateway_process import START_SECONDS

pytestmark = pytest.mark.integration

SQL = "SELECT path, see(image) AS objects FROM seen ORDER BY path"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return new_workspace(tmp_path_factory.mktemp("workspace"))


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
