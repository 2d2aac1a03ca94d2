"""A real PostgreSQL server on a socket and a port of loopback, where one is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.spark_env.ports import free_port

OTHER_USER = "nobody"
"""Runs it where the tests run as root, which PostgreSQL refuses."""


def installed() -> bool:
    """Whether this machine has the server's programs."""
    return all(shutil.which(name) for name in ("initdb", "pg_ctl"))


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Runs an empty server.

    Args:
        folder: Takes the database's files; on a path that another user may enter.

    Yields:
        SQLAlchemy URI of a database of its own.
    """
    user = OTHER_USER if os.geteuid() == 0 else None
    folder.mkdir(mode=0o700)
    if user:
        shutil.chown(folder, user)
    port = free_port()
    data = str(folder / "data")
    settings = f"-h 127.0.0.1 -p {port} -k {folder} -c fsync=off"

    def call(*command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, user=user, cwd="/")

    call("initdb", "--auth=trust", "--username=mlflow", f"--pgdata={data}")
    call(
        "pg_ctl",
        f"--pgdata={data}",
        f"--log={folder}/log",
        f"--options={settings}",
        "--wait",
        "start",
    )
    try:
        yield f"postgresql+psycopg://mlflow@127.0.0.1:{port}/postgres"
    finally:
        call("pg_ctl", f"--pgdata={data}", "--mode=fast", "--wait", "stop")
