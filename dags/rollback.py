"""DAGs ``<pipeline>_rollback``: an earlier champion answers again, within a minute.

One per file in config/pipelines.
"""

from datetime import timedelta

from airflow.sdk import DAG

from darkroom.contract import Stage
from darkroom_airflow.docs import STAGE_DOCS, rollback_doc
from darkroom_airflow.forms import REASON, VERSION, rollback_form
from darkroom_airflow.operators.stage import StageOperator
from darkroom_airflow.pipelines import load_pipelines

OPTIONS = {
    "version": f"{{{{ params.{VERSION} or '' }}}}",
    "requested_by": "{{ dag_run.triggering_user_name or '' }}",
    "reason": f"{{{{ params.{REASON} }}}}",
}

for pipeline in load_pipelines().valid:
    with DAG(
        dag_id=f"{pipeline.name}_rollback",
        description=f"Back to an earlier model: {pipeline.config.description}",
        doc_md=rollback_doc(pipeline.config),
        schedule=None,
        max_active_runs=1,
        params=rollback_form(),
        tags=[pipeline.name, "rollback"],
        default_args={
            "owner": pipeline.config.owner,
            "config": str(pipeline.file),
            "retries": 2,
            "retry_delay": timedelta(seconds=5),
            "execution_timeout": timedelta(minutes=30),
        },
    ):
        rollback = StageOperator(
            task_id=Stage.ROLLBACK, options=OPTIONS, doc_md=STAGE_DOCS[Stage.ROLLBACK]
        )
        deploy = StageOperator(
            task_id=Stage.DEPLOY, outlets=[pipeline.deployed], doc_md=STAGE_DOCS[Stage.DEPLOY]
        )
        rollback >> deploy
