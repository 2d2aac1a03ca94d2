"""``python -m local_stack up`` as a process, for tests that use it as people do."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from darkroom.contract import Workspace
from local_stack import credentials
from local_stack.chain import Chain
from local_stack.client import AirflowClient
from local_stack.layout import Layout

START_SECONDS = 240
STOP_SECONDS = 60

ASKING_SECONDS = 8
"""Airflow takes an answer within its heartbeat for a crash of the asking task, and asks again."""


@dataclass
class Up:
    """A stack that runs, and a client of it."""

    process: subprocess.Popen[str]
    banner: str
    client: AirflowClient
    chain: Chain
    layout: Layout

    def url(self, name: str) -> str:
        """An address that the banner names."""
        return _address(self.banner, name)

    def asked(self, training_run: str) -> str:
        """Waits until the question that a training leads to can be answered.

        Returns:
            The promotion run that asks.
        """
        run = self.chain.promotion_of(training_run)
        assert self.chain.wait_for_question(run) is not None
        time.sleep(ASKING_SECONDS)
        return run


@contextmanager
def standing(
    process: subprocess.Popen[str], workspace: Path, pipelines: Path, pipeline: str
) -> Iterator[Up]:
    """Waits until a stack runs; stops it in the end, if it still does.

    Args:
        process: The command, just started, with pipes for its output.
        workspace: Its workspace.
        pipelines: The folder of its pipelines.
        pipeline: The one whose DAGs are driven, by the user demo.
    """
    started = datetime.now(UTC)
    try:
        banner = _banner(process)
        # Only its places are of use here: the command has its own environments.
        layout = Layout(Workspace(workspace), Path(sys.prefix), Path(sys.prefix), pipelines)
        password = credentials.passwords(layout)[credentials.DEMO]
        with AirflowClient(_address(banner, "Airflow"), credentials.DEMO, password) as client:
            chain = Chain(client, layout, pipeline)
            chain.wait_for_dags(started)
            yield Up(process, banner, client, chain, layout)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=STOP_SECONDS)


def _banner(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    said = ""
    deadline = time.monotonic() + START_SECONDS
    while "Ctrl-C" not in said:
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        said += process.stdout.readline()
    return said


def _address(banner: str, name: str) -> str:
    line = next(line for line in banner.splitlines() if line.strip().startswith(name))
    return line.split()[-1]
