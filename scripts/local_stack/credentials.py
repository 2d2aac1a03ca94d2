"""Passwords and keys of the local stack: made once, kept in the workspace, mode 600."""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from local_stack.layout import Layout

ADMIN = "admin"
DEMO = "demo"
VIEWER = "viewer"
USERS = {ADMIN: "admin", DEMO: "user", VIEWER: "viewer"}
"""Role of each user: ``user`` may trigger DAGs and answer approvals, ``viewer`` may only look."""

_KEYS: dict[str, Callable[[], str]] = {
    "AIRFLOW__API__SECRET_KEY": lambda: secrets.token_hex(32),
    "AIRFLOW__API_AUTH__JWT_SECRET": lambda: secrets.token_hex(64),
    "AIRFLOW__CORE__FERNET_KEY": lambda: base64.urlsafe_b64encode(os.urandom(32)).decode(),
}


def passwords(layout: Layout) -> dict[str, str]:
    """The password of each user."""
    return _kept(layout.passwords, {user: lambda: secrets.token_urlsafe(12) for user in USERS})


def keys(layout: Layout) -> dict[str, str]:
    """Airflow's secret keys, as environment variables; the same after every restart."""
    return _kept(layout.workspace.airflow / "keys.json", _KEYS)


def _kept(file: Path, makers: dict[str, Callable[[], str]]) -> dict[str, str]:
    known: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    missing = {name: make() for name, make in makers.items() if name not in known}
    if missing:
        known |= missing
        file.parent.mkdir(parents=True, exist_ok=True)
        scratch = file.with_suffix(".new")
        scratch.unlink(missing_ok=True)
        handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as stream:
            json.dump(known, stream)
        scratch.replace(file)
    return known
