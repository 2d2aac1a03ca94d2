"""The stages of a pipeline, in the data's order."""

from __future__ import annotations

from enum import StrEnum

CANDIDATE_RUN_TAG = "darkroom.run_id"
"""MLflow tag that says which run of the pipeline made a model."""

MODEL_DIGEST_TAG = "darkroom.model_digest"
VERDICT_TAG = "darkroom.verdict"
REPORT_TAG = "darkroom.report"
"""MLflow tags of a version: its file's SHA-256, what the gate said, the path of the evaluation's
report below the workspace."""

CHALLENGER = "challenger"
CHAMPION = "champion"
PREVIOUS = "previous"


class Stage(StrEnum):
    """A stage; its value is the Airflow task id and the name of its result file."""

    INGEST = "ingest"
    VALIDATE = "validate"
    FEATURIZE = "featurize"
    TUNE = "tune"
    EVALUATE = "evaluate"
    REGISTER = "register"
    PROMOTE = "promote"
    DEPLOY = "deploy"
    SCORE = "score"
    SHADOW = "shadow"
    MONITOR = "monitor"
    ROLLBACK = "rollback"
    WATCH = "watch"

    @property
    def entrypoint(self) -> str:
        """File name below ``spark_jobs/`` that spark-submit runs."""
        return _ENTRYPOINTS[self]


_ENTRYPOINTS = {
    Stage.INGEST: "ingest_images.py",
    Stage.VALIDATE: "validate_images.py",
    Stage.FEATURIZE: "featurize_images.py",
    Stage.TUNE: "tune_classifier.py",
    Stage.EVALUATE: "evaluate_candidate.py",
    Stage.REGISTER: "register_model.py",
    Stage.PROMOTE: "promote_model.py",
    Stage.DEPLOY: "deploy_function.py",
    Stage.SCORE: "score_images.py",
    Stage.SHADOW: "shadow_challenger.py",
    Stage.MONITOR: "monitor_drift.py",
    Stage.ROLLBACK: "roll_back_model.py",
    Stage.WATCH: "watch_champion.py",
}
