"""When the class-data archive is made, kept, made again, and done without."""

from pathlib import Path

import pytest

from tests.unit.airflow_env.stub_machine import Machine

MAKE = "scripts/class_data_archive.sh"
CHECK = f"{MAKE} --check"
DUMP = """
[[ "$SPARK_SUBMIT_OPTS" =~ ArchiveClassesAtExit=\\"([^\\"]+) ]] || exit 3
echo classes >"${BASH_REMATCH[1]}"
"""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    for folder in ("bin", "jars"):
        (spark_home(machine) / folder).mkdir(parents=True)
    (spark_home(machine) / "jars/spark-core.jar").write_text("4.3.0")
    machine.has("spark-submit", DUMP)
    return machine


def spark_home(machine: Machine) -> Path:
    return machine.checkout / ".venv/spark/lib/python3.11/site-packages/pyspark"


def archive(machine: Machine) -> Path:
    return machine.checkout / ".venv/spark/jvm/driver.jsa"


def test_the_archive_is_made_once(machine: Machine) -> None:
    assert machine.bash(CHECK).returncode == 1
    made = machine.bash(MAKE)
    assert (made.returncode, made.stdout, made.stderr) == (0, "", "")
    assert archive(machine).read_text() == "classes\n"
    assert machine.bash(CHECK).returncode == 0
    machine.has("spark-submit", "exit 1")
    assert machine.bash(MAKE).stdout == "", "it was made again"


def test_another_java_needs_another_archive(machine: Machine) -> None:
    machine.bash(MAKE)
    machine.has_java("21.0.5")
    assert machine.bash(CHECK).returncode == 1


def test_another_spark_needs_another_archive(machine: Machine) -> None:
    machine.bash(MAKE)
    (spark_home(machine) / "jars/spark-core.jar").write_text("a later Spark")
    assert machine.bash(CHECK).returncode == 1


def test_an_archive_that_was_cut_off_is_noticed(machine: Machine) -> None:
    machine.bash(MAKE)
    archive(machine).write_text("cla")
    assert machine.bash(CHECK).returncode == 1


def test_the_callers_own_spark_settings_do_not_get_in(machine: Machine) -> None:
    made = machine.bash(MAKE, SPARK_SUBMIT_OPTS="-Xmx1m", SPARK_CONF_DIR="/etc/spark")
    assert made.returncode == 0
    assert archive(machine).exists()


def test_a_failed_job_is_a_note_and_is_tried_again(machine: Machine) -> None:
    machine.has("spark-submit", f"{DUMP}\nexit 1")
    made = machine.bash(MAKE)
    assert made.returncode == 0
    assert made.stdout == (
        "note: Spark's first job failed (.venv/jvm.log); the next set-up tries again\n"
    )
    assert not archive(machine).exists()
    assert machine.bash(CHECK).returncode == 1


def test_a_java_that_makes_no_archive_is_a_note_and_is_not_tried_again(machine: Machine) -> None:
    machine.has("spark-submit", "exit 0")
    assert machine.bash(MAKE).stdout == (
        "note: this Java makes no class-data archive; each Spark job starts some 5 s later\n"
    )
    assert machine.bash(CHECK).returncode == 0
