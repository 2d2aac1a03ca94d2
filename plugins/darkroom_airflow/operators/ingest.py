"""Brings the images up to date, and ends a run that has nothing new to train on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from darkroom_airflow.operators.stage import SUMMARY, StageOperator
from darkroom_airflow.run_types import BY_HAND

if TYPE_CHECKING:
    from airflow.sdk import Context


class IngestOperator(StageOperator):
    """Runs the stage ingest.

    A run by hand goes on whatever there is: its stages return their earlier results.

    Raises:
        AirflowSkipException: Nobody triggered the run, and a candidate was judged before that was
            made of the same images in the same way.
    """

    def execute(self, context: Context) -> dict[str, Any]:  # type: ignore[override]
        """Runs the stage."""
        result = super().execute(context)
        reason = result["outputs"].get("nothing_new")
        if reason and context["dag_run"].run_type != BY_HAND:
            context["ti"].xcom_push(SUMMARY, reason)
            raise AirflowSkipException(reason)
        return result
