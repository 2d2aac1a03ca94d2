"""What set-up says when the machine lacks Python or Java, and what it then does as root."""

from pathlib import Path

import pytest

from tests.unit.airflow_env.stub_machine import Machine

JAVA = "Darkroom: needs Java 17 or newer, "
PYTHON = "Darkroom: needs Python 3.11 to 3.13, "
APT_JAVA = "sudo apt-get install -y openjdk-17-jre-headless"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def debian(machine: Machine) -> Machine:
    machine.has("apt-get", "exit 1")
    machine.has("apt-cache", '[[ "$2" == openjdk-17-* ]]')
    return machine


def test_no_java_names_the_command_for_debian(debian: Machine) -> None:
    debian.lacks("java")
    assert debian.refusal() == f"{JAVA}found none: {APT_JAVA}"


def test_no_java_names_the_command_for_fedora(machine: Machine) -> None:
    machine.lacks("java")
    machine.has("dnf", "exit 1")
    assert machine.refusal() == f"{JAVA}found none: sudo dnf install -y java-17-openjdk-headless"


def test_no_java_and_no_known_package_manager(machine: Machine) -> None:
    machine.lacks("java")
    assert machine.refusal() == (
        f"{JAVA}found none: install openjdk-17-jre-headless with your system's package manager"
    )


def test_the_oldest_java_that_this_debian_offers_is_named(debian: Machine) -> None:
    debian.lacks("java")
    debian.has("apt-cache", '[[ "$2" == openjdk-21-* || "$2" == openjdk-25-* ]]')
    assert debian.refusal().endswith("sudo apt-get install -y openjdk-21-jre-headless")


@pytest.mark.parametrize(("told", "major"), [("11.0.2", 11), ("1.8.0_392", 8), ("16", 16)])
def test_an_old_java_is_named_with_its_version(debian: Machine, told: str, major: int) -> None:
    debian.has_java(told)
    assert debian.refusal() == f"{JAVA}java is version {major}: {APT_JAVA}"


def test_a_java_that_does_not_start_is_not_taken_for_a_good_one(debian: Machine) -> None:
    debian.has("java", "exit 127")
    assert debian.refusal() == f"{JAVA}java is version unknown: {APT_JAVA}"


@pytest.mark.parametrize("version", ["17", "17.0.15", "21.0.5", "25-ea"])
def test_java_17_and_newer_are_accepted(machine: Machine, version: str) -> None:
    machine.has_java(version)
    machine.lacks("python3")
    assert machine.refusal().startswith(PYTHON), "it went on to look for Python"


def test_java_home_without_a_java(machine: Machine, tmp_path: Path) -> None:
    home = str(tmp_path / "nothing")
    assert machine.refusal(JAVA_HOME=home) == (
        f"{JAVA}found none in JAVA_HOME={home}: unset JAVA_HOME or point it to one"
    )


def test_java_home_with_an_old_java_beats_a_good_one_on_path(
    machine: Machine, tmp_path: Path
) -> None:
    machine.has_java("11.0.2")
    (tmp_path / "jdk/bin").mkdir(parents=True)
    (machine.bin / "java").rename(tmp_path / "jdk/bin/java")
    machine.has_java("17.0.15")
    assert machine.refusal(JAVA_HOME=str(tmp_path / "jdk")) == (
        f"{JAVA}{tmp_path}/jdk/bin/java is version 11: unset JAVA_HOME or point it to one"
    )


def test_as_root_on_debian_java_is_installed_and_set_up_says_so(debian: Machine) -> None:
    debian.has("id", "echo 0")
    (debian.bin / "java").rename(debian.bin / "packaged-java")
    debian.has(
        "apt-get",
        'echo "$*" >>"$HOME/apt-get.log"\n[[ $1 == update ]] || mv "${0%/*}"/{packaged-,}java',
    )
    debian.lacks("python3")

    result = debian.set_up()

    assert result.stdout == (
        "Set-up: no Java 17 here; as root, installing openjdk-17-jre-headless with apt-get\n"
    )
    assert (debian.checkout / "apt-get.log").read_text() == (
        "update\ninstall -y openjdk-17-jre-headless\n"
    )
    assert result.stderr.startswith(f"{PYTHON}found none"), "it went on to look for Python"


def test_as_root_a_failed_install_is_one_line(debian: Machine) -> None:
    debian.has("id", "echo 0")
    debian.lacks("java")
    result = debian.set_up()
    assert result.returncode == 1
    assert result.stderr == (
        "Darkroom: apt-get could not install openjdk-17-jre-headless: see .venv/java.log\n"
    )


def test_as_root_an_old_java_that_stays_in_front_is_refused(debian: Machine) -> None:
    debian.has("id", "echo 0")
    debian.has("apt-get", "exit 0")
    debian.has_java("11.0.2")
    result = debian.set_up()
    assert result.returncode == 1
    assert result.stderr == f"{JAVA}java is version 11: update-alternatives --config java\n"


@pytest.mark.parametrize("version", ["3.9.18", "3.10.12", "3.14.0"])
def test_an_unsupported_python_is_named(machine: Machine, version: str) -> None:
    machine.has_python("python3", version)
    assert machine.refusal() == (
        f"{PYTHON}python3 is {version}: PYTHON=/path/to/python3.11 make setup"
    )


def test_no_python(debian: Machine) -> None:
    debian.lacks("python3")
    assert debian.refusal() == (f"{PYTHON}found none: sudo apt-get install -y python3 python3-venv")


def test_a_python_asked_for_that_does_not_start(machine: Machine) -> None:
    assert machine.refusal(PYTHON="/no/python") == (
        f"{PYTHON}PYTHON=/no/python does not start: unset PYTHON or correct it"
    )


def test_a_python_without_venv_names_the_package(debian: Machine) -> None:
    debian.has_python("python3", "3.11.2", rest="exit 1")
    assert debian.refusal() == (
        "Darkroom: python3 has no venv module: sudo apt-get install -y python3-venv"
    )


def test_a_newer_python_beside_an_old_default_is_found(machine: Machine) -> None:
    machine.has_python("python3", "3.9.18")
    machine.has("python3.13", "exit 127")  # a version manager's stand-in for one not installed
    machine.has_python("python3.12", "3.12.1")
    found = machine.bash('. scripts/prerequisites.sh; find_python; echo "$PYTHON"')
    assert found.stdout == "python3.12\n"
