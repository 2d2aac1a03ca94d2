"""Scores new images, or says why there are none; compares versions, or says why not."""

from __future__ import annotations

from darkroom_airflow.operators.stage import SkippedStageOperator


class ScoreOperator(SkippedStageOperator):
    """Runs the stage ``score``; a run that scored nothing is skipped, with the reason.

    Raises:
        AirflowSkipException: No image was without prediction, or no model is deployed.
    """

    counted = "scored"


class ShadowOperator(SkippedStageOperator):
    """Runs the stage ``shadow``; a run that compared nothing new is skipped, with the reason.

    Raises:
        AirflowSkipException: No version waits, none is deployed, or both have been compared on
            these images before.
    """

    counted = "compared"
