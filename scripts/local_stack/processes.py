"""Makes sure that no process outlives the stack that started it."""

from __future__ import annotations

import ctypes
import signal
import sys

import psutil  # type: ignore[import-untyped]

_PR_SET_CHILD_SUBREAPER = 36
_GRACE_SECONDS = 8.0


def adopt_orphans() -> None:
    """Lets orphaned grandchildren become this process's children, where the system can do that.

    Airflow's tasks and Spark's workers leave their process groups: only their parent tells whose
    they are.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants() -> list[psutil.Process]:
    """All processes below this one."""
    children: list[psutil.Process] = psutil.Process().children(recursive=True)
    return children


def end(processes: list[psutil.Process], grace: float = _GRACE_SECONDS) -> None:
    """Waits for processes to end, then ends what is left and whatever that had started.

    Args:
        processes: Processes that were told to end already.
        grace: Seconds until the rest is killed.
    """
    _, alive = psutil.wait_procs(processes, timeout=grace)
    for process in {*alive, *descendants()}:
        _send(process, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=2)


def end_leftovers(identities: list[tuple[int, float]]) -> int:
    """Ends what a killed stack has left behind.

    Args:
        identities: Process id and creation time each; a reused id does not match.

    Returns:
        How many were ended.
    """
    found = []
    for pid, created in identities:
        try:
            process = psutil.Process(pid)
        except psutil.NoSuchProcess:
            continue
        if abs(process.create_time() - created) < 0.01:
            found += [process, *process.children(recursive=True)]
    for process in found:
        _send(process, signal.SIGTERM)
    _, alive = psutil.wait_procs(found, timeout=_GRACE_SECONDS)
    for process in alive:
        _send(process, signal.SIGKILL)
    return len(found)


def _send(process: psutil.Process, number: signal.Signals) -> None:
    if process.is_running():
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            return
