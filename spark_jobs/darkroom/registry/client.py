"""Reaching the MLflow server."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from darkroom.contract import ConfigError, DarkroomError

if TYPE_CHECKING:
    from mlflow import MlflowClient

TRACKING_URI = "MLFLOW_TRACKING_URI"
"""Environment variable that holds the server's address."""

HEALTH_SECONDS = 10


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
