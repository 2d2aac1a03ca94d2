"""What Airflow loads: entries in its navigation for the pages beside it."""

from __future__ import annotations

import os
from typing import Any

from airflow.plugins_manager import AirflowPlugin

# The scheduler loads plugins before it forks its workers: what is imported here no task imports.
import darkroom_airflow.operators.approval
import darkroom_airflow.operators.register  # noqa: F401
from darkroom_airflow.links import FILES_URL, MLFLOW_URL


def _views() -> list[dict[str, Any]]:
    pages = (("MLflow", MLFLOW_URL, "mlflow"), ("Reports", FILES_URL, "reports"))
    return [
        {"name": name, "href": os.environ[variable], "destination": "nav", "url_route": route}
        for name, variable, route in pages
        if os.environ.get(variable, "").startswith("http")
    ]


class DarkroomPlugin(AirflowPlugin):
    """Adds MLflow and the report server to the navigation where they are configured."""

    name = "darkroom"
    external_views = _views()
