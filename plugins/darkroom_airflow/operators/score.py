"""Scores new images, or says why there are none; compares versions, or says why not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.exceptions import AirflowSkipException

from darkroom_airflow.operators.stage import SUMMARY, StageOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class ScoreOperator(StageOperator):
    """Runs the stage ``score``; a run that scored nothing is skipped, with the reason.

    Attributes:
        counted: The output that is 0 where there was nothing to do.

    Raises:
        AirflowSkipException: No image was without prediction, or no model is deployed.
    """

    counted: ClassVar[str] = "scored"

    def execute(self, context: Context) -> dict[str, Any]:  # type: ignore[override]
        """Runs the stage."""
        result = super().execute(context)
        if not result["outputs"][self.counted] or result["status"] == "unchanged":
            raise AirflowSkipException(result[SUMMARY])
        return result


class ShadowOperator(ScoreOperator):
    """Runs the stage ``shadow``; a run that compared nothing new is skipped, with the reason.

    Raises:
        AirflowSkipException: No version waits, none is deployed, or both have been compared on
            these images before.
    """

    counted = "compared"
