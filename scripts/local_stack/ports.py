"""Which loopback ports the servers use."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

HOST = "127.0.0.1"
_WANTED = {
    "airflow": ("AIRFLOW_PORT", 8080),
    "mlflow": ("MLFLOW_PORT", 5000),
    "files": ("FILES_PORT", 8090),
    "sql": ("SQL_PORT", 10000),
    "sql_health": ("SQL_HEALTH_PORT", 10002),
}

ANY_PORTS = {variable: "0" for variable, _ in _WANTED.values()}
"""Environment of a stack that runs beside others."""


class PortError(Exception):
    """A port that was asked for cannot be used; the message is one line for a person."""


@dataclass(frozen=True)
class Ports:
    """One port per server.

    Attributes:
        airflow: Airflow's pages and API.
        mlflow: MLflow's pages and API.
        files: Reports and Data Docs.
        sql: JDBC and ODBC.
        sql_health: Whether that works.
    """

    airflow: int
    mlflow: int
    files: int
    sql: int
    sql_health: int

    def url(self, port: int) -> str:
        """Address of a port on this machine."""
        return f"http://{HOST}:{port}"


def choose_ports() -> Ports:
    """Chooses free ports: the usual ones (8080, 5000, 8090, 10000, 10002) where they are free.

    They are the same each time for the sake of the links that tasks keep, which should still open
    when the stack is started again.

    Returns:
        Ports that were free a moment ago; ``AIRFLOW_PORT``, ``MLFLOW_PORT``, ``FILES_PORT``,
        ``SQL_PORT`` and ``SQL_HEALTH_PORT`` decide where they are set, and 0 stands for any free
        port.

    Raises:
        PortError: A port that one of these variables names is taken or is no port.
    """
    taken: set[int] = set()
    chosen = {}
    for name, (variable, usual) in _WANTED.items():
        given = os.environ.get(variable)
        chosen[name] = _given(variable, given, taken) if given else _free(usual, taken)
        taken.add(chosen[name])
    return Ports(**chosen)


def _given(variable: str, text: str, taken: set[int]) -> int:
    if not text.isdecimal() or not int(text) < 65536:
        raise PortError(f"{variable} = {text!r}: give a port number up to 65535, or 0 for any")
    if text == "0":
        return _free(0, taken)
    if not _is_free(int(text)):
        raise PortError(f"{variable} = {text!r}: something else listens there, give another port")
    return int(text)


def _free(preferred: int, taken: set[int]) -> int:
    if preferred and preferred not in taken and _is_free(preferred):
        return preferred
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port: int = probe.getsockname()[1]
        if port not in taken:
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # A server that has just ended leaves its port in TIME_WAIT: that is free enough.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
