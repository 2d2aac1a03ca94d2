"""Reaching the MLflow server."""

from __future__ import annotations

import os
import re
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from darkroom.contract import ConfigError, DarkroomError, one_line

if TYPE_CHECKING:
    from mlflow import MlflowClient

TRACKING_URI = "MLFLOW_TRACKING_URI"
"""Environment variable that holds the server's address."""

USERNAME = "MLFLOW_TRACKING_USERNAME"
PASSWORD = "MLFLOW_TRACKING_PASSWORD"
"""Environment variables with which MLflow's own client introduces itself."""

HEALTH_SECONDS = 10

_REFUSED = re.compile(r"error code (401|403)\b")
_LOST = re.compile(r"^API request to \S+ failed with (timeout )?exception ")
"""How MLflow's client says that it has no answer, after it has asked again for minutes."""

_MLFLOW_ERRORS = "mlflow.exceptions"


def tracking_uri() -> str:
    """The MLflow server's address.

    Raises:
        ConfigError: It is not set.
    """
    uri = os.environ.get(TRACKING_URI, "").strip()
    if not uri:
        remedy = "set it to the MLflow server's address, for example http://127.0.0.1:5000"
        raise ConfigError(TRACKING_URI, os.environ.get(TRACKING_URI), remedy)
    return uri


def connect() -> MlflowClient:
    """A client of the MLflow server, which has answered just now.

    Raises:
        ConfigError: The server's address is not set.
        DarkroomError: The server does not answer; a retry may help.
    """
    uri = tracking_uri()
    if uri.startswith(("http://", "https://")):
        # MLflow's own client retries for minutes before it gives up, without a word.
        _check_health(uri)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def in_one_line(error: Exception) -> DarkroomError | None:
    """What an error of MLflow's client means: no answer, or a refusal of its user; else None."""
    if type(error).__module__ != _MLFLOW_ERRORS:
        return None
    return _outage(str(error)) or _refusal(str(error))


def _outage(text: str) -> DarkroomError | None:
    found = _LOST.search(text)
    if found is None:
        return None
    return DarkroomError(
        f"the MLflow server at {tracking_uri()} does not answer any more: start it again, then "
        f"this stage, which goes on where it was ({one_line(text[found.end() :], limit=None)})"
    )


def _refusal(text: str) -> ConfigError | None:
    found = _REFUSED.search(text)
    if found is None:
        return None
    server = f"the MLflow server at {tracking_uri()}"
    if found[1] == "401":
        remedy = f"{server} does not know this user with {PASSWORD}: correct both"
    else:
        remedy = f"{server} does not permit this user to do that: have its administrator allow it"
    return ConfigError(USERNAME, os.environ.get(USERNAME), remedy)


def _check_health(uri: str) -> None:
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=HEALTH_SECONDS):
            return
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise DarkroomError(
            f"the MLflow server at {uri} does not answer ({reason}): start it with make up, "
            f"or correct {TRACKING_URI}"
        ) from None
