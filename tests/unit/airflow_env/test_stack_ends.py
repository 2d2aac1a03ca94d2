"""A stack of which one service dies: all others are told to end, and it is named."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from local_stack.layout import PROJECT

PROGRAM = """
import os
import sys
from pathlib import Path

from local_stack.layout import Layout
from local_stack.ports import Ports
from local_stack.services import Service
from local_stack.stack import Running, _Stack

folder, ending = Path(sys.argv[1]), sys.argv[2]

def service(name, command, health=None):
    return Service(name, ["bash", "-c", command], os.environ, folder / f"{name}.log", health)

ports = Ports(airflow=1, mlflow=2, files=3, sql=4, sql_health=5)
running = Running(Layout.from_environment(), ports, dict(os.environ))
# Told to end, it does so as Airflow's services do; nothing ever answers for it.
patient = "trap 'kill $!; exit 0' TERM; sleep 60 & wait"
listed = [service("mlflow", patient, "http://127.0.0.1:9/"), service("scheduler", ending)]
sys.exit(_Stack(running, listed, lambda running: 0, folder / "stack.json").run())
"""


@pytest.mark.parametrize(
    ("ending", "how"),
    [("sleep 0.3; kill -9 $$", "was killed (signal 9)"), ("sleep 0.3; exit 3", "stopped (exit 3)")],
)
def test_the_service_that_died_is_named_and_no_other(ending: str, how: str, tmp_path: Path) -> None:
    paths = os.pathsep.join(str(PROJECT / name) for name in ("scripts", "spark_jobs"))

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(tmp_path), ending],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 1
    assert done.stderr == f"error: scheduler {how}: see {tmp_path / 'scheduler.log'}\n"
