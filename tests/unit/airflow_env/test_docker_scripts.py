"""The scripts and settings in docker/, run as the containers run them."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from local_stack.layout import PROJECT

DOCKER = PROJECT / "docker"
ONLY_LOCAL = {"spark.driver.host", "spark.driver.bindAddress"}


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A project that holds docker/ and the scripts, and no environment."""
    for folder in ("docker", "scripts", "config"):
        shutil.copytree(PROJECT / folder, tmp_path / folder)
    return tmp_path


def run(script: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [script, *arguments],
        env={"PATH": os.environ["PATH"], **variables},
        check=False,
        capture_output=True,
        text=True,
    )


def settings(file: Path) -> dict[str, str]:
    lines = (line.split(maxsplit=1) for line in file.read_text().splitlines())
    return {words[0]: words[1] for words in lines if words and not words[0].startswith("#")}


def airflow_of(house: Path, exit_code: int) -> None:
    """Puts a program that says how it was called in the place of Airflow's."""
    folder = house / ".venv" / "airflow" / "bin"
    folder.mkdir(parents=True)
    (folder / "python").symlink_to(sys.executable)
    (folder / "airflow").write_text(f'#!/bin/sh\necho "airflow $*"\nexit {exit_code}\n')
    (folder / "airflow").chmod(0o755)


def initialise(house: Path) -> tuple[subprocess.CompletedProcess[str], Path]:
    file = house / "passwords.json"
    done = run(
        house / "docker" / "airflow_init.sh",
        ADMIN_PASSWORD="a-'\"$secret",
        DEMO_PASSWORD="another",
        VIEWER_PASSWORD="third",
        AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE=str(file),
    )
    return done, file


def test_the_entrypoint_sets_sparks_environment_and_becomes_the_command(house: Path) -> None:
    defaults = str(house / "docker" / "spark-defaults.conf")
    entrypoint = house / "docker" / "entrypoint.sh"
    show = 'echo "$DARKROOM_HOME $SPARK_DRIVER_MEMORY [${SPARK_LOCAL_IP:-}] $1"; exit 7'
    done = run(entrypoint, "bash", "-c", show, "-", "a b", DARKROOM_SPARK_DEFAULTS=defaults)
    memory = settings(DOCKER / "spark-defaults.conf")["spark.driver.memory"]
    assert (done.stdout, done.returncode) == (f"{house} {memory} [] a b\n", 7)


def test_init_migrates_and_then_writes_the_passwords(house: Path) -> None:
    airflow_of(house, exit_code=0)
    done, file = initialise(house)
    assert (done.stdout, done.stderr, done.returncode) == ("airflow db migrate\n", "", 0)
    written = json.loads(file.read_text())
    assert written == {"admin": "a-'\"$secret", "demo": "another", "viewer": "third"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_init_fails_with_the_migration(house: Path) -> None:
    airflow_of(house, exit_code=3)
    done, file = initialise(house)
    assert (done.returncode, file.exists()) == (3, False)


@pytest.mark.parametrize("script", sorted(DOCKER.glob("*.sh")), ids=lambda script: script.name)
def test_every_script_is_executable_and_stops_at_an_error(script: Path) -> None:
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert "\nset -euo pipefail\n" in script.read_text()


def test_the_cluster_differs_from_one_machine_only_where_it_must() -> None:
    local = settings(PROJECT / "config" / "spark" / "spark-defaults.conf")
    cluster = settings(DOCKER / "spark-defaults.conf")
    assert set(local) - set(cluster) == ONLY_LOCAL
    shared = set(local) & set(cluster)
    assert {name: cluster[name] for name in shared} == {name: local[name] for name in shared}
