"""The locks, the environment script, the Makefile and CI, checked as they are committed."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.airflow_env.stub_machine import REPOSITORY, Machine

LOCKS = ("airflow", "build", "spark", "uv")
COMMANDS = [
    "demo",
    "run",
    "rollback",
    "up",
    "sql",
    "query",
    "forget",
    "expire",
    "vacuum",
    "compact",
    "profile",
    "lineage",
    "test",
    "test-unit",
    "test-integration",
    "test-e2e",
    "test-parity",
    "test-long",
    "lint",
    "format",
    "bench",
    "setup",
    "lock",
    "clean",
    "distclean",
    "help",
]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_has_a_version_and_hashes_and_no_address(name: str) -> None:
    text = (REPOSITORY / f"requirements/{name}.txt").read_text()
    packages = [entry for entry in re.split(r"\n(?=\S)", text) if entry.strip()]
    assert packages
    for package in packages:
        assert re.match(r"[a-z0-9._\[\]-]+==\S+( ; [^\\]+)? \\\n    --hash=sha256:", package)
    assert "://" not in text
    assert "--find-links" not in text
    assert "index" not in re.sub(r"--hash=\S+", "", text).replace("==", " ").split()


def test_pyspark_and_its_client_never_meet() -> None:
    airflow = (REPOSITORY / "requirements/airflow.txt").read_text()
    spark = (REPOSITORY / "requirements/spark.txt").read_text()
    assert re.search(r"^pyspark==", spark, re.M)
    assert not re.search(r"^pyspark-client==", spark, re.M)
    assert not re.search(r"^pyspark==", airflow, re.M)


@pytest.mark.parametrize("script", sorted((REPOSITORY / "scripts").glob("*.sh")), ids=str)
def test_every_script_is_sound_bash(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_the_driver_gets_the_spark_defaults_as_options(machine: Machine) -> None:
    defaults = machine.checkout / "config/spark/spark-defaults.conf"
    defaults.write_text("# a comment\n\nspark.driver.memory  3g\nspark.a.text\ttwo words\n")
    told = machine.bash('. scripts/env.sh; echo "$SPARK_SUBMIT_OPTS"; echo "$SPARK_DRIVER_MEMORY"')
    options, memory = told.stdout.splitlines()
    assert options.endswith(' -Dspark.driver.memory="3g" -Dspark.a.text="two words"')
    assert "a comment" not in options
    assert memory == "3g"


def test_a_class_data_archive_is_used_once_it_is_there(machine: Machine) -> None:
    show = '. scripts/env.sh; echo "$SPARK_SUBMIT_OPTS"'
    assert "SharedArchiveFile" not in machine.bash(show).stdout
    archive = machine.checkout / ".venv/spark/jvm/driver.jsa"
    archive.parent.mkdir(parents=True)
    archive.touch()
    assert f'-Xshare:auto -XX:SharedArchiveFile="{archive}"' in machine.bash(show).stdout


def test_sourcing_twice_changes_nothing(machine: Machine) -> None:
    show = "env | grep -vE '^(_|SHLVL)='"
    once = machine.bash(f". scripts/env.sh; {show}").stdout
    twice = machine.bash(f". scripts/env.sh; . scripts/env.sh; {show}").stdout
    assert sorted(once.splitlines()) == sorted(twice.splitlines())
    assert f"DARKROOM_WORKSPACE={machine.checkout}/workspace" in once


@pytest.mark.parametrize(
    "variable", ["DARKROOM_WORKSPACE", "SPARK_SUBMIT_OPTS", "SPARK_DRIVER_MEMORY"]
)
def test_a_value_that_is_already_set_is_kept(machine: Machine, variable: str) -> None:
    told = machine.bash(f'. scripts/env.sh; echo "${variable}"', **{variable: "mine"})
    assert told.stdout == "mine\n"


def test_another_file_of_spark_defaults_replaces_the_local_ones(
    machine: Machine, tmp_path: Path
) -> None:
    cluster = tmp_path / "cluster.conf"
    cluster.write_text("spark.driver.memory 8g\n")
    told = machine.bash(
        '. scripts/env.sh; echo "$SPARK_SUBMIT_OPTS ${SPARK_LOCAL_IP:-any address}"',
        DARKROOM_SPARK_DEFAULTS=str(cluster),
    )
    assert told.stdout.endswith('-Dspark.driver.memory="8g" any address\n')
    assert "127.0.0.1" not in told.stdout


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    # As from a person's shell, also when these tests were started by make.
    outer = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    return subprocess.run(
        ["make", "-C", str(REPOSITORY), *arguments],
        env={name: value for name, value in os.environ.items() if name not in outer},
        capture_output=True,
        text=True,
        check=False,
    )


def test_make_alone_lists_every_command_within_80_columns() -> None:
    lines = make().stdout.splitlines()
    assert re.findall(r"^  make ([a-z0-9-]+) ", "\n".join(lines), re.M) == COMMANDS
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        (["query"], "SQL"),
        (["run"], "PIPELINE"),
        (["run", "PIPELINE=a"], "SOURCE"),
        (["rollback", "PIPELINE=a"], "REASON"),
        (["forget", "PIPELINE=a"], "IMAGE_ID"),
        (["expire"], "PIPELINE"),
        (["vacuum"], "PIPELINE"),
        (["profile"], "PIPELINE"),
        (["lineage", "PIPELINE=a"], "VERSION"),
    ],
)
def test_a_missing_argument_is_named_before_anything_is_built(
    command: list[str], missing: str
) -> None:
    result = make(*command)
    assert result.returncode == 2
    assert result.stderr.startswith(f"{missing} is missing, see: make help\n")


def test_clean_names_what_it_removes_and_keeps_a_workspace_elsewhere(
    machine: Machine, tmp_path: Path
) -> None:
    machine.bin.joinpath("find").symlink_to(shutil.which("find") or "")
    (machine.checkout / "workspace/runs").mkdir(parents=True)
    (machine.checkout / ".venv/spark/__pycache__").mkdir(parents=True)
    (machine.checkout / "dags/__pycache__").mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    result = machine.bash("scripts/clean.sh", DARKROOM_WORKSPACE=str(elsewhere))
    assert result.stdout == (
        "Removing workspace\n"
        f"Keeping DARKROOM_WORKSPACE={elsewhere}, which is not the default one\n"
    )
    assert not (machine.checkout / "workspace").exists()
    assert not (machine.checkout / "dags/__pycache__").exists()
    assert (machine.checkout / ".venv/spark/__pycache__").exists()
    assert elsewhere.exists()


def test_ci_runs_what_the_readme_says(machine: Machine) -> None:
    shutil.copytree(REPOSITORY / ".ci", machine.checkout / ".ci")
    machine.has("make", 'echo "make $*"')
    ran = machine.bash(".ci/run").stdout.strip()
    readme = (REPOSITORY / "README.md").read_text()
    block = re.search(r"^#+ Run the tests$.*?^```\w*\n(.*?)^```", readme, re.M | re.S)
    assert block, "README.md has no section 'Run the tests' with a block of commands"
    assert block[1].split("#")[0].strip() == ran
