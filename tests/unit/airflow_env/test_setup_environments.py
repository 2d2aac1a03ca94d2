"""Building the environments: once, completely, by one at a time. Real uv, locks of one package."""

import base64
import hashlib
import os
import shutil
import signal
import subprocess
import time
import zipfile
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from tests.unit.airflow_env.stub_machine import REPOSITORY, Machine

UV = REPOSITORY / ".venv/uv/bin/uv"


class Workshop(Machine):
    """A machine whose locks ask for ``tiny``, a package in a folder of its own; no network."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.wheels = folder / "wheels"
        self.wheels.mkdir()
        self.calls = folder / "uv-calls"
        (self.checkout / "requirements/build.txt").write_text("")
        self.archive_script("exit 0")
        self.slow_uv("")
        for name in ("airflow", "spark"):
            self.lock(name, "1.0")

    def archive_script(self, body: str) -> None:
        path = self.checkout / "scripts/class_data_archive.sh"
        path.write_text(f"#!/usr/bin/env bash\n{body}\n")

    def slow_uv(self, before: str) -> None:
        """A uv that notes every install, and does ``before`` first."""
        note = f'[[ "$*" == *"pip sync"* ]] && echo "$*" >>{self.calls}'
        self.uv = self.has("uv", f'{note}\n{before}\nexec {UV} "$@"')

    def lock(self, name: str, version: str) -> None:
        wheel = make_wheel(self.wheels, version)
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        path = self.checkout / f"requirements/{name}.txt"
        path.write_text(f"tiny=={version} \\\n    --hash=sha256:{digest}\n")

    def environment(self, **variables: str) -> dict[str, str]:
        offline = {"UV_OFFLINE": "1", "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(self.wheels)}
        return super().environment(UV=str(self.uv), **offline, **variables)

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["scripts/setup.sh"],
            cwd=self.checkout,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # As a terminal starts it: a shell's background job hands on that Ctrl-C is ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def installed(self, name: str) -> str:
        """The version of ``tiny`` that an environment imports."""
        python = self.checkout / f".venv/{name}/bin/python"
        command = [str(python), "-c", "import tiny; print(tiny.VERSION)"]
        return subprocess.check_output(command, text=True).strip()

    def installs(self) -> int:
        return len(self.calls.read_text().splitlines()) if self.calls.exists() else 0


def make_wheel(folder: Path, version: str) -> Path:
    """Writes a wheel of one module, the same bytes each time."""
    info = f"tiny-{version}.dist-info"
    files = {
        "tiny.py": f"VERSION = '{version}'\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = f"{info}/RECORD,,\n"
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
        record += f"{name},sha256={digest.decode().rstrip('=')},{len(text)}\n"
    wheel = folder / f"tiny-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return wheel


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    if not UV.exists():
        pytest.fail(f"{UV} is missing: run make setup")
    return Workshop(tmp_path)


def wait_for(path: Path) -> str:
    """Waits until a file has a line and returns it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if path.exists() and path.read_text().endswith("\n"):
            return path.read_text().strip()
        time.sleep(0.05)
    raise AssertionError(f"{path} did not appear")


def test_both_environments_are_built_compiled_and_told(workshop: Workshop) -> None:
    result = workshop.set_up(PYTHONDONTWRITEBYTECODE="1")
    assert (result.returncode, result.stderr) == (0, "")
    assert workshop.installed("airflow") == workshop.installed("spark") == "1.0"
    assert list(workshop.checkout.glob(".venv/spark/lib/*/site-packages/__pycache__/tiny.*.pyc"))
    for line in ("spark: 1 packages ...", "spark: done in ", "airflow: done in ", "Set-up done in"):
        assert line in result.stdout


def test_a_second_set_up_does_and_says_nothing(workshop: Workshop) -> None:
    workshop.set_up()
    result = workshop.set_up()
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert workshop.installs() == 2


def test_a_changed_lock_updates_its_environment_alone(workshop: Workshop) -> None:
    workshop.set_up()
    # Longer than 1.0: Python tells stale byte code by the source's second and length alone.
    workshop.lock("spark", "10.0")
    workshop.set_up()
    assert (workshop.installed("spark"), workshop.installed("airflow")) == ("10.0", "1.0")
    assert workshop.installs() == 3


def test_an_environment_without_its_stamp_is_made_from_nothing(workshop: Workshop) -> None:
    workshop.set_up()
    leftover = workshop.checkout / ".venv/spark/leftover"
    leftover.touch()
    (workshop.checkout / ".venv/spark/.stamp").unlink()
    workshop.set_up()
    assert not leftover.exists()
    assert workshop.installed("spark") == "1.0"


def test_a_checkout_that_was_moved_builds_its_environments_again(workshop: Workshop) -> None:
    workshop.set_up()
    moved = workshop.checkout.with_name("moved")
    workshop.checkout.rename(moved)
    workshop.checkout = moved
    workshop.set_up()
    assert workshop.installs() == 4
    config = (moved / ".venv/spark/bin/activate").read_text()
    assert str(moved) in config


def test_an_environment_whose_python_is_gone_is_built_again(workshop: Workshop) -> None:
    workshop.set_up()
    python = workshop.checkout / ".venv/airflow/bin/python"
    python.unlink()
    python.symlink_to("/no/python")
    workshop.set_up()
    assert workshop.installed("airflow") == "1.0"


def test_killed_half_way_the_environment_is_finished_by_the_next_set_up(
    workshop: Workshop, tmp_path: Path
) -> None:
    workshop.slow_uv(
        f'[[ "$*" == *"pip sync"*spark.txt ]] && echo $$ >{tmp_path}/pid && exec sleep 100'
    )
    process = workshop.start()
    installer = int(wait_for(tmp_path / "pid"))
    process.kill()
    os.kill(installer, signal.SIGKILL)
    process.communicate(timeout=60)
    assert not (workshop.checkout / ".venv/spark/.stamp").exists()

    workshop.slow_uv("")
    assert workshop.set_up().returncode == 0
    assert workshop.installed("spark") == "1.0"


def wait_until_ended(pid: int) -> None:
    """Returns once a process is gone; one that only init has yet to collect counts as gone."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.NoSuchProcess:
            return
        time.sleep(0.05)
    raise AssertionError(f"process {pid} still runs")


def test_an_interrupt_ends_the_installers_too(workshop: Workshop, tmp_path: Path) -> None:
    workshop.slow_uv(
        f'[[ "$*" == *"pip sync"*spark.txt ]] && echo $$ >{tmp_path}/pid && exec sleep 100'
    )
    process = workshop.start()
    installer = int(wait_for(tmp_path / "pid"))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)  # returns only when nobody holds its output open any more
    assert process.returncode == 130
    wait_until_ended(installer)


def test_a_second_set_up_at_the_same_time_waits_for_the_first(
    workshop: Workshop, tmp_path: Path
) -> None:
    workshop.slow_uv(f'[[ "$*" == *"pip sync"*spark.txt ]] && echo >{tmp_path}/busy && sleep 1')
    first = workshop.start()
    wait_for_file = tmp_path / "busy"
    wait_for(wait_for_file)
    second = workshop.set_up()
    first.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 0)
    assert second.stdout == "Set-up: another one is running; waiting for it\n"
    assert workshop.installs() == 2


def test_a_package_that_is_not_the_locked_one_is_refused(workshop: Workshop) -> None:
    lock = workshop.checkout / "requirements/spark.txt"
    lock.write_text("tiny==1.0 \\\n    --hash=sha256:" + "0" * 64 + "\n")
    result = workshop.set_up()
    assert result.returncode == 1
    assert "Hash mismatch for `tiny==1.0`" in result.stderr
    assert result.stderr.rstrip().splitlines()[-1] == (
        "Darkroom: set-up failed at spark, 1 packages: the whole output is in .venv/spark.log"
    )
    assert not (workshop.checkout / ".venv/spark/.stamp").exists()


def test_a_note_of_the_class_data_step_is_shown(workshop: Workshop) -> None:
    workshop.archive_script('[[ "${1:-}" == --check ]] && exit 1; echo "note: no archive today"')
    result = workshop.set_up()
    assert result.returncode == 0
    assert "note: no archive today\n" in result.stdout


def test_class_data_can_be_left_to_a_later_set_up(workshop: Workshop, tmp_path: Path) -> None:
    made = tmp_path / "made"
    workshop.archive_script(f'[[ -e {made} ]] && exit; [[ -n "${{1:-}}" ]] && exit 1; echo >{made}')

    for _ in range(2):
        assert workshop.bash("scripts/setup.sh --environments").returncode == 0
        assert not made.exists()
    later = workshop.set_up()

    assert made.exists()
    assert "jvm: done in " in later.stdout
    assert workshop.installs() == 2


def test_a_cache_on_another_file_system_is_copied_from(workshop: Workshop) -> None:
    workshop.has("stat", 'echo "$3"')  # every path is a device of its own
    workshop.set_up()
    assert "--link-mode copy" in workshop.calls.read_text()
    shutil.rmtree(workshop.checkout / ".venv")
    workshop.has("stat", "echo 1")
    workshop.set_up()
    assert "--link-mode hardlink" in workshop.calls.read_text().splitlines()[-1]
