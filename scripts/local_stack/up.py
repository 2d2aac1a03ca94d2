"""``python -m local_stack up``: the stack for people, until Ctrl-C."""

from __future__ import annotations

import threading

from local_stack import console, credentials
from local_stack.drive import start
from local_stack.layout import Layout
from local_stack.ports import HOST
from local_stack.stack import Running

INTERRUPTED = 130


def run_up(layout: Layout) -> int:
    """Runs the stack until it is stopped; Ctrl-C is the regular end and no failure."""
    console.title("Darkroom: Airflow, MLflow and the report server start on loopback ...")

    def work(running: Running) -> int:
        ports = running.ports
        console.line()
        console.verbatim(f"Airflow    {ports.url(ports.airflow)}")
        console.verbatim(f"MLflow     {ports.url(ports.mlflow)}")
        console.verbatim(f"Reports    {ports.url(ports.files)}")
        console.verbatim(f"SQL        jdbc:hive2://{HOST}:{ports.sql} (some seconds later)")
        console.verbatim(f"Health     {ports.url(ports.sql_health)}/health")
        console.verbatim(f"Users      {', '.join(credentials.USERS)}")
        console.verbatim(f"Passwords  {layout.shown(layout.passwords)}")
        console.verbatim(f"Logs       {layout.shown(layout.logs)}")
        console.line()
        console.line("Ctrl-C stops all.")
        # Daemon thread: it ends with the stack.
        threading.Event().wait()
        return 0

    code = start(layout, work, people=True)
    return 0 if code == INTERRUPTED else code
