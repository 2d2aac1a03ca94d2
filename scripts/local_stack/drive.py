"""What demo and run have in common: one client, one clock, one way to fail."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from local_stack import console, credentials
from local_stack.chain import Chain, ChainError
from local_stack.client import AirflowClient, ApiError
from local_stack.layout import Layout
from local_stack.ports import PortError
from local_stack.services import StartError
from local_stack.stack import Driver, Running, run_stack

Work = Callable[[Running, Chain], int]


def drive(layout: Layout, pipeline: str, work: Work, extra: dict[str, str] | None = None) -> int:
    """Starts a short-lived stack, works with one pipeline's DAGs as user demo, stops the stack.

    Returns:
        The exit code: the work's, or 1 with one line on the error stream.
    """
    started = datetime.now(UTC)

    def driver(running: Running) -> int:
        password = credentials.passwords(layout)[credentials.DEMO]
        url = running.ports.url(running.ports.airflow)
        try:
            with AirflowClient(url, credentials.DEMO, password) as client:
                chain = Chain(client, layout, pipeline)
                chain.wait_for_dags(started)
                return work(running, chain)
        except (ChainError, ApiError) as error:
            console.error(str(error))
            return 1

    return start(layout, driver, people=False, extra=extra)


def start(
    layout: Layout, driver: Driver, *, people: bool, extra: dict[str, str] | None = None
) -> int:
    """Runs the stack; a stack that cannot start is one line and exit code 1."""
    try:
        return run_stack(layout, driver, people=people, extra=extra)
    except (StartError, PortError) as error:
        console.error(str(error))
        return 1
