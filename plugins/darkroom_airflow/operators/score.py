"""Scores new images, or says why there are none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from darkroom_airflow.operators.stage import SUMMARY, StageOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class ScoreOperator(StageOperator):
    """Runs the stage ``score``; a run that scored nothing is skipped, with the reason.

    Raises:
        AirflowSkipException: No image was without prediction, or no model is deployed.
    """

    def execute(self, context: Context) -> dict[str, Any]:  # type: ignore[override]
        """Runs the stage."""
        result = super().execute(context)
        if not result["outputs"]["scored"] or result["status"] == "unchanged":
            raise AirflowSkipException(result[SUMMARY])
        return result
