"""Measurements that need a process of their own: a peak, or what is only slow the first time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[1]


def in_process(module: str, *arguments: object) -> Any:
    """Runs a module and returns what it has left with `answer`.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=PROJECT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def answer(value: Any) -> None:
    """Leaves a JSON value to whoever has started this process."""
    sys.stdout.write(f"{json.dumps(value)}\n")
