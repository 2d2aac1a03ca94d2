"""Servers and drivers that run in a session of their own, with all that they start."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

STOP_SECONDS = 20


def members(session: int) -> list[int]:
    """Processes of a session that run: Spark's workers leave the process group, but not that."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            # After the name, which may hold anything: state, parent, group, session.
            state, _, _, own = file.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue  # It has ended meanwhile.
        if int(own) == session and state != "Z":
            found.append(int(file.parent.name))
    return found


def kill(process: subprocess.Popen[Any]) -> None:
    """Kills a process that leads its group, and the group."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(STOP_SECONDS)


def stop(process: subprocess.Popen[Any]) -> None:
    """Ends the same in good order."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        kill(process)
