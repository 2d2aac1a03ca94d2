"""Starts all services, runs something against them, stops them all."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]
from honcho.manager import SIGNALS, Manager  # type: ignore[import-untyped]

from local_stack import console, processes
from local_stack.environment import airflow_environment
from local_stack.layout import PROJECT, Layout
from local_stack.ports import Ports, choose_ports
from local_stack.services import Service, StartError, prepare, services

START_SECONDS = 180.0


@dataclass(frozen=True)
class Running:
    """A stack that works.

    Attributes:
        layout: Where everything is.
        ports: The servers' ports.
        environment: The environment of Airflow's components.
    """

    layout: Layout
    ports: Ports
    environment: dict[str, str]


Driver = Callable[[Running], int]


class StoppedError(Exception):
    """The stack is stopping: whoever waits for it should give up."""


def run_stack(
    layout: Layout, driver: Driver, *, people: bool, extra: dict[str, str] | None = None
) -> int:
    """Starts the stack, runs a driver beside it, and stops the stack when the driver returns.

    Args:
        layout: Where everything is.
        driver: Called in a thread of its own once all services work; its result is the exit code.
        people: True for a stack that people use: DAG files are read again and again, a triggerer
            and the SQL gateway run.
        extra: More environment variables for Airflow.

    Returns:
        The exit code: the driver's, 130 or 143 after Ctrl-C or SIGTERM, 1 when a service died.

    Raises:
        StartError: Another stack uses the workspace, or the database can not be migrated.
        PortError: A port that was asked for is taken.
    """
    with _only_one(layout) as state_file:
        ports = choose_ports()
        environment = airflow_environment(layout, ports, quick=not people, extra=extra)
        prepare(layout, environment)
        processes.adopt_orphans()
        running = Running(layout, ports, environment)
        listed = services(layout, ports, environment, people=people)
        return _Stack(running, listed, driver, state_file).run()


def running_airflow(layout: Layout) -> str | None:
    """Address of Airflow in the stack that runs on a workspace; None where none has come up."""
    lock = _lock(layout)
    if not lock.exists():
        return None
    with lock.open() as held:
        try:
            fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _state(_state_file(layout)).get("airflow")
    return None


class _Stack(Manager):  # type: ignore[misc]  # honcho has no type hints
    """honcho's manager, with readiness, a driver, and no orphans."""

    def __init__(
        self, running: Running, listed: list[Service], driver: Driver, state_file: Path
    ) -> None:
        super().__init__(printer=_Silent())
        self._running = running
        self._services = {service.name: service for service in listed}
        self._driver = driver
        self._state_file = state_file
        self._driver_code: int | None = None
        self._died: dict[str, int] = {}
        self._stopping = threading.Event()
        self._ending: threading.Thread | None = None
        for service in listed:
            self.add_process(
                service.name, service.shell_command, env=dict(service.environment), cwd=PROJECT
            )

    def run(self) -> int:
        """Runs until the driver returns, a service dies or a signal comes."""
        driver = threading.Thread(target=self._drive, name="driver", daemon=True)
        self._driver_thread = driver
        handlers = {number: signal.getsignal(number) for number in SIGNALS}
        try:
            self.loop()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        if self._ending:
            self._ending.join()
        driver.join(timeout=5)
        return self._exit_code()

    def _start(self) -> None:
        super()._start()
        # Not before all forks are done: a fork beside a running thread may inherit its locks.
        self._driver_thread.start()

    def terminate(self) -> None:
        if self._stopping.is_set():
            return
        self._stopping.set()
        # What has ended by now was not told to.
        self._died = {
            name: process["returncode"]
            for name, process in self._processes.items()
            if process.get("returncode") is not None
        }
        alive = processes.descendants()
        super().terminate()
        self._ending = threading.Thread(target=processes.end, args=(alive,), name="ending")
        self._ending.start()

    def _drive(self) -> None:
        try:
            self._wait_until_ready()
            self._driver_code = self._driver(self._running)
        except StoppedError:
            return
        except StartError as error:
            console.error(str(error))
            self._driver_code = 1
        except Exception as error:
            if not self._stopping.is_set():
                console.unexpected(error)
            self._driver_code = 1
        finally:
            self.terminate()

    def _wait_until_ready(self) -> None:
        while not self._all_started():
            self.pause(0.05)
        self._remember()
        deadline = time.monotonic() + START_SECONDS
        for service in self._services.values():
            while service.health and not _answers(service.health):
                if time.monotonic() > deadline:
                    log = self._running.layout.shown(service.log)
                    raise StartError(
                        f"{service.name} does not answer after {START_SECONDS:.0f} s: see {log}"
                    )
                self.pause(0.2)

    def pause(self, seconds: float) -> None:
        """Sleeps unless the stack stops.

        Raises:
            StoppedError: It does.
        """
        if self._stopping.wait(seconds):
            raise StoppedError

    def _remember(self) -> None:
        own = [(p.pid, p.create_time()) for p in processes.descendants() if p.is_running()]
        ports = self._running.ports
        state = {"pid": os.getpid(), "airflow": ports.url(ports.airflow), "processes": own}
        self._state_file.write_text(json.dumps(state))

    def _exit_code(self) -> int:
        if self._driver_code is not None:
            return self._driver_code
        if self.returncode in (130, 143):
            return int(self.returncode)
        for name, code in self._died.items():
            how = f"stopped (exit {code})" if code >= 0 else f"was killed (signal {-code})"
            log = self._running.layout.shown(self._services[name].log)
            console.error(f"{name} {how}: see {log}")
        return 1


class _Silent:
    """Takes honcho's messages: each service has a log file of its own."""

    width = 0

    def write(self, message: Any) -> None:
        """Does nothing."""


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=30).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


@contextmanager
def _only_one(layout: Layout) -> Iterator[Path]:
    """Holds the workspace for one stack; ends what a killed one has left behind."""
    layout.workspace.root.mkdir(parents=True, exist_ok=True)
    state_file = _state_file(layout)
    # The lock goes with the process: a stack that was killed leaves none behind.
    with _lock(layout).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartError(_taken(layout, _state(state_file))) from None
        leftovers = [(int(p), float(c)) for p, c in _state(state_file).get("processes", [])]
        if ended := processes.end_leftovers(leftovers):
            console.note(f"Ended {ended} processes of a stack that was killed.")
        state_file.write_text(json.dumps({"pid": os.getpid()}))
        try:
            yield state_file
        finally:
            state_file.unlink(missing_ok=True)


def _lock(layout: Layout) -> Path:
    return layout.workspace.root / "stack.lock"


def _state_file(layout: Layout) -> Path:
    return layout.workspace.root / "stack.json"


def _taken(layout: Layout, state: dict[str, Any]) -> str:
    pid = state.get("pid")
    where = f" at {state['airflow']}" if "airflow" in state else ""
    who = f" (pid {pid})" if pid and psutil.pid_exists(pid) else ""
    return (
        f"a stack already runs on {layout.shown(layout.workspace.root)}{where}{who}: "
        "use that one, or stop it with Ctrl-C first"
    )


def _state(file: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = json.loads(file.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return state
