"""An auth manager that lets a user read some pipelines' DAGs only, as a company's does."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

READERS = {"kim": "signs", "robin": "cats", "nobody": "none"}
"""Whose DAGs each user may read."""


class PartialAuthManager(SimpleAuthManager):
    """See the module."""

    def is_authorized_dag(self, *, user: Any, details: Any = None, **kwargs: Any) -> bool:
        """By the DAG's name."""
        own = f"{READERS[user.username]}_"
        return details is not None and details.id.startswith(own)
