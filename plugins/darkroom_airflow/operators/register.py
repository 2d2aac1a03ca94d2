"""Registers a candidate and tells the promotion DAG, unless there is nothing to approve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowSkipException

from darkroom.contract import Stage
from darkroom_airflow.operators.stage import StageOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class RegisterOperator(StageOperator):
    """Runs the stage ``register`` and describes the challenger in the event of its asset.

    Args:
        challenger: The asset to update when there is something new to approve.

    Raises:
        AirflowSkipException: The candidate is champion, or people were asked about this very model
            and decision before: no event is sent.
    """

    def __init__(self, *, challenger: Asset, **kwargs: Any) -> None:
        # As an inlet too: its earlier events tell what people were asked before.
        super().__init__(inlets=[challenger], outlets=[challenger], **kwargs)
        self.challenger = challenger

    def execute(self, context: Context) -> dict[str, Any]:  # type: ignore[override]
        """Runs the stage; the event's extra is what an approval is asked about."""
        result = super().execute(context)
        outputs = result["outputs"]
        if outputs["already_champion"]:
            raise AirflowSkipException(
                f"version {outputs['version']} already is champion: nothing to approve"
            )
        history = context["inlet_events"][self.challenger]
        if len(history) and _same(history[-1].extra or {}, outputs):
            raise AirflowSkipException(
                f"people were asked about version {outputs['version']} before: to ask again, "
                "trigger the promotion DAG"
            )
        context["outlet_events"][self.challenger].extra = self._describe(context, result)
        return result

    def _describe(self, context: Context, result: dict[str, Any]) -> dict[str, Any]:
        evaluation = self.run_folder(context).read(Stage.EVALUATE)
        registered = {
            name: result["outputs"][name] for name in ("version", "model_digest", "decision_digest")
        }
        decided = {
            name: evaluation.outputs[name]
            for name in ("verdict", "decision", "test_images", "champion_version")
        }
        return {
            **registered,
            **decided,
            "report": evaluation.report,
            "training_run_id": str(context["run_id"]),
            # Nobody, for a run on schedule.
            "requested_by": context["dag_run"].triggering_user_name,
        }


def _same(asked: Mapping[str, Any], outputs: Mapping[str, Any]) -> bool:
    names = ("version", "model_digest", "decision_digest")
    return all(asked.get(name) == outputs[name] for name in names)
