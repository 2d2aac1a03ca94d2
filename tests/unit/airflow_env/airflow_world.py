"""The few parts of a task's context that the operators use."""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.bases.operator import ExecutorSafeguard

RUN = "manual__2026-01-01T00:00:00+00:00"
RUN_AFTER = datetime(2026, 1, 1, tzinfo=UTC)
SAFE_RUN = "manual__2026-01-01T00_00_00_00_00"


class World:
    """One run's context, and what the tasks in it left."""

    def __init__(
        self,
        params: Mapping[str, Any] | None = None,
        history: list[dict[str, Any]] | None = None,
        triggering: list[dict[str, Any]] | None = None,
        triggered_by: str | None = None,
    ) -> None:
        self.asset = Asset("darkroom://signs/challenger")
        self.xcoms: dict[str, Any] = {}
        self.event = SimpleNamespace(extra={})
        self.context: Any = {
            "run_id": RUN,
            "params": params or {},
            "ti": SimpleNamespace(
                xcom_push=self.xcoms.__setitem__,
                xcom_pull=lambda task_ids, key: self.xcoms[f"{task_ids}.{key}"],
                id="ti",
                map_index=-1,
            ),
            "dag_run": SimpleNamespace(triggering_user_name=triggered_by, run_after=RUN_AFTER),
            "task_instance": SimpleNamespace(id="ti"),
            "outlet_events": {self.asset: self.event},
            "inlet_events": {
                self.asset: [SimpleNamespace(extra=e, timestamp=RUN_AFTER) for e in history or []]
            },
            "triggering_asset_events": {
                self.asset: [SimpleNamespace(extra=e) for e in triggering or []]
            },
        }


def outside_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a test call ``execute`` itself."""
    monkeypatch.setattr(ExecutorSafeguard, "test_mode", True)
