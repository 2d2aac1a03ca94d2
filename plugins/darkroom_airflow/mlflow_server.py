"""MLflow's REST API, reached as MLflow's own client reaches it: by variables of the environment."""

from __future__ import annotations

import os

import httpx

from darkroom.contract import ConfigError

TRACKING_URI = "MLFLOW_TRACKING_URI"
USERNAME = "MLFLOW_TRACKING_USERNAME"
PASSWORD = "MLFLOW_TRACKING_PASSWORD"
TOKEN = "MLFLOW_TRACKING_TOKEN"


def rest_client(seconds: float) -> httpx.AsyncClient:
    """A client of the API's version 2, with user and password, or else the token, if there are any.

    Args:
        seconds: How long one step of a request may take.

    Raises:
        ConfigError: There is no server's address.
    """
    address = os.environ.get(TRACKING_URI, "")
    if not address.startswith(("http://", "https://")):
        remedy = "set it to the MLflow server's address, for example http://127.0.0.1:5000"
        raise ConfigError(TRACKING_URI, address, remedy)
    user, token = os.environ.get(USERNAME), os.environ.get(TOKEN)
    return httpx.AsyncClient(
        base_url=f"{address.rstrip('/')}/api/2.0/mlflow/",
        auth=(user, os.environ.get(PASSWORD, "")) if user else None,
        headers={"Authorization": f"Bearer {token}"} if token and not user else None,
        timeout=seconds,
    )
