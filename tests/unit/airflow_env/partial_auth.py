"""An auth manager that lets a user read some pipelines' DAGs only, as a company's does."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

READERS = {"kim": "signs", "robin": "cats", "nobody": "none"}
"""Whose DAGs each user may read, runs and questions included."""

NO_RUNS = "lee"
"""May read the DAGs of signs alone, and nothing of their runs."""


class PartialAuthManager(SimpleAuthManager):
    """See the module."""

    def is_authorized_dag(
        self, *, user: Any, details: Any = None, access_entity: Any = None, **kwargs: Any
    ) -> bool:
        """By the DAG's name."""
        if user.username == NO_RUNS and access_entity is not None:
            return False
        own = f"{READERS.get(user.username, 'signs')}_"
        return details is not None and details.id.startswith(own)
