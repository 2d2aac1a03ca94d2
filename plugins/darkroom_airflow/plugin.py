"""What Airflow loads: the page of all pipelines, and links to the servers beside Airflow."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

# The scheduler loads plugins before it forks its workers: what is imported here no task imports.
import darkroom_airflow.operators.approval
import darkroom_airflow.operators.register  # noqa: F401
from darkroom_airflow import run_notes
from darkroom_airflow.links import FILES_URL, MLFLOW_URL

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

OVERVIEW = "/darkroom"
"""Path of the page of all pipelines, below Airflow's own."""


class Overview:
    """The page's application, imported at the first request: only the API server needs it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands a request on."""
        from darkroom_airflow.overview.app import application

        await application()(scope, receive, send)


def _apps() -> list[dict[str, Any]]:
    return [{"name": "Darkroom", "app": Overview(), "url_prefix": OVERVIEW}]


def overview_entry() -> dict[str, Any]:
    """The entry of the navigation: a tab of its own, for no link leads out of Airflow's frames.

    In the menu *Plugins*: at the top level, Airflow makes a button of it that does nothing.
    """
    root = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")
    href = f"{root}{OVERVIEW}/"
    return {"name": "Darkroom", "href": href, "destination": "nav"}


def _views() -> list[dict[str, Any]]:
    pages = (("MLflow", MLFLOW_URL, "mlflow"), ("Reports", FILES_URL, "reports"))
    beside = [
        {"name": name, "href": os.environ[variable], "destination": "nav", "url_route": route}
        for name, variable, route in pages
        if os.environ.get(variable, "").startswith("http")
    ]
    return [overview_entry(), *beside]


def _listeners() -> list[Any]:
    return [run_notes]


class DarkroomPlugin(AirflowPlugin):
    """Adds the page of all pipelines, the notes of training runs, and links to other servers."""

    name = "darkroom"
    fastapi_apps = _apps()
    external_views = _views()
    listeners = _listeners()
