"""Looks for drift, and tells the training DAG when it persists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import Asset, BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from darkroom_airflow.operators.stage import SkippedStageOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

_JUDGED: Final = ("model_digest", "window_number")
"""What tells one alarm from another."""


class MonitorOperator(SkippedStageOperator):
    """Runs the stage ``monitor``; a run that judged no window is skipped, with the reason.

    Raises:
        AirflowSkipException: No model is deployed, nothing is scored, or no window is new.
    """

    counted = "judged"


class DriftAlarmOperator(BaseOperator):
    """Updates the asset of drift when it persists; a task of its own, so that the other succeeds.

    The event's extra says why (``reason``) and where to read more (``report``, a path below the
    workspace).

    Args:
        result: What the stage ``monitor`` returned (templated: the task's output).
        drift: The asset.

    Raises:
        AirflowSkipException: There is no alarm, or this very one was raised before.
    """

    template_fields: Sequence[str] = ("result",)

    def __init__(self, *, result: Any, drift: Asset, **kwargs: Any) -> None:
        # As an inlet too: its earlier events tell what was said before.
        super().__init__(inlets=[drift], outlets=[drift], **kwargs)
        self.result = result
        self.drift = drift

    def execute(self, context: Context) -> None:
        """Describes the alarm in the asset's event, which the end of the task sends."""
        outputs: Mapping[str, Any] = self.result["outputs"]
        if not outputs["alarm"]:
            raise AirflowSkipException(f"no alarm: {outputs['reason']}")
        event = {
            "reason": outputs["reason"],
            "report": self.result["report"],
            **{name: outputs[name] for name in _JUDGED},
        }
        history = context["inlet_events"][self.drift]
        said = (history[-1].extra or {}) if len(history) else {}
        if all(said.get(name) == event[name] for name in _JUDGED):
            raise AirflowSkipException(f"this alarm was raised before: {outputs['reason']}")
        context["outlet_events"][self.drift].extra = event
