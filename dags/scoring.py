"""DAGs ``<pipeline>_scoring``: predictions of the deployed model for images that have none.

One per file in config/pipelines; what starts it is the file's group ``scoring``.
"""

from datetime import timedelta

from airflow.sdk import DAG, TriggerRule

from darkroom.contract import Stage
from darkroom_airflow.docs import STAGE_DOCS, scoring_doc
from darkroom_airflow.forms import SCORING_OPTIONS, scoring_form
from darkroom_airflow.operators.score import ScoreOperator, ShadowOperator
from darkroom_airflow.pipelines import load_pipelines

for pipeline in load_pipelines().valid:
    with DAG(
        dag_id=f"{pipeline.name}_scoring",
        description=f"Score new images: {pipeline.config.description}",
        doc_md=scoring_doc(pipeline.config),
        schedule=pipeline.scoring_schedule,
        catchup=False,
        # Two at once would look at the same images: the second would have to begin again.
        max_active_runs=1,
        params=scoring_form(),
        tags=[pipeline.name, "scoring"],
        default_args={
            "owner": pipeline.config.owner,
            "config": str(pipeline.file),
            "retries": 2,
            "retry_delay": timedelta(seconds=30),
            "retry_exponential_backoff": True,
            "execution_timeout": timedelta(hours=6),
        },
    ):
        score = ScoreOperator(
            task_id=Stage.SCORE,
            options=SCORING_OPTIONS,
            doc_md=STAGE_DOCS[Stage.SCORE],
        )
        if pipeline.config.scoring.shadow:
            # Whether or not there were new images: the version that waits may be new.
            score >> ShadowOperator(
                task_id=Stage.SHADOW,
                trigger_rule=TriggerRule.NONE_FAILED,
                doc_md=STAGE_DOCS[Stage.SHADOW],
            )
