"""Quick questions to the MLflow server, for stages that may find that nothing has changed.

Importing MLflow takes seconds, one request takes milliseconds. Where the request needs more than
an address (credentials, another kind of store) MLflow's client is used after all.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from darkroom.contract import DarkroomError, class_and_text
from darkroom.contract.stages import CHAMPION
from darkroom.registry.client import connect, tracking_uri
from darkroom.registry.versions import MODEL_DIGEST_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient

TIMEOUT_SECONDS = 10
_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
_CREDENTIALS = (
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_CLIENT_CERT_PATH",
    "MLFLOW_TRACKING_SERVER_CERT_PATH",
    "MLFLOW_TRACKING_INSECURE_TLS",
    "MLFLOW_TRACKING_AWS_SIGV4",
    "MLFLOW_TRACKING_AUTH",
)


def run_exists(mlflow_run_id: str) -> bool:
    """Whether a run is there and not deleted."""
    found = _ask(
        "2.0/mlflow/runs/get",
        {"run_id": mlflow_run_id},
        lambda client: {"run": {"info": dict(client.get_run(mlflow_run_id).info)}},
    )
    return found is not None and found["run"]["info"]["lifecycle_stage"] == "active"


def model_exists(model_uri: str) -> bool:
    """Whether a logged model (``models:/m-...``) is there and complete."""
    model_id = model_uri.removeprefix("models:/")

    def with_client(client: MlflowClient) -> Mapping[str, Any]:
        status = client.get_logged_model(model_id).status
        return {"model": {"info": {"status": f"LOGGED_MODEL_{status}"}}}

    found = _ask(f"2.0/mlflow/logged-models/{urllib.parse.quote(model_id)}", {}, with_client)
    return found is not None and found["model"]["info"]["status"] == "LOGGED_MODEL_READY"


def champion(name: str) -> tuple[str, str] | None:
    """Version and model digest of a registered model's champion; None if there is none."""
    return at(name, CHAMPION)


def at(name: str, alias: str) -> tuple[str, str] | None:
    """Version and model digest that an alias points to; None if there is none."""

    def with_client(client: MlflowClient) -> Mapping[str, Any]:
        version = client.get_model_version_by_alias(name, alias)
        tags = [{"key": key, "value": value} for key, value in version.tags.items()]
        return {"model_version": {"version": version.version, "tags": tags}}

    found = _ask("2.0/mlflow/registered-models/alias", {"name": name, "alias": alias}, with_client)
    if found is None:
        return None
    version = found["model_version"]
    tags = {tag["key"]: tag["value"] for tag in version.get("tags", [])}
    return str(version["version"]), tags.get(MODEL_DIGEST_TAG, "")


def _ask(
    path: str,
    query: Mapping[str, str],
    with_client: Callable[[MlflowClient], Mapping[str, Any]],
) -> Mapping[str, Any] | None:
    uri = tracking_uri()
    if not uri.startswith(("http://", "https://")) or any(map(os.environ.get, _CREDENTIALS)):
        return _ask_client(with_client)
    parts = urllib.parse.urlencode(query)
    try:
        address = f"{uri.rstrip('/')}/api/{path}?{parts}"
        with urllib.request.urlopen(address, timeout=TIMEOUT_SECONDS) as answer:
            found: Mapping[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        if any(code in text for code in _ABSENT):
            return None
        raise DarkroomError(f"the MLflow server at {uri} answers {error.code}") from None
    except (OSError, ValueError) as error:
        raise DarkroomError(
            f"the MLflow server at {uri} does not answer ({error}): start it with make up, "
            "or correct MLFLOW_TRACKING_URI"
        ) from None


def _ask_client(
    with_client: Callable[[MlflowClient], Mapping[str, Any]],
) -> Mapping[str, Any] | None:
    client = connect()
    from mlflow.exceptions import MlflowException

    try:
        return with_client(client)
    except MlflowException as error:
        if error.error_code in _ABSENT:
            return None
        reason = class_and_text(error)
        raise DarkroomError(f"the MLflow server at {tracking_uri()} fails: {reason}") from None
