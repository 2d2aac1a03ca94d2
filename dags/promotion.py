"""DAGs ``<pipeline>_promotion``: a person approves the challenger, and it answers in SQL.

One per file in config/pipelines; each starts when its training DAG registers a challenger.
"""

from datetime import timedelta

from airflow.sdk import DAG, TriggerRule

from darkroom.contract import Stage
from darkroom_airflow.docs import APPROVE_DOC, STAGE_DOCS, promotion_doc
from darkroom_airflow.operators.approval import ask_for_approval
from darkroom_airflow.operators.score import ShadowOperator
from darkroom_airflow.operators.stage import StageOperator
from darkroom_airflow.pipelines import load_pipelines

for pipeline in load_pipelines().valid:
    with DAG(
        dag_id=f"{pipeline.name}_promotion",
        description=f"Approve and deploy: {pipeline.config.description}",
        doc_md=promotion_doc(pipeline.config),
        schedule=[pipeline.challenger],
        catchup=False,
        tags=[pipeline.name, "promotion"],
        default_args={
            "owner": pipeline.config.owner,
            "config": str(pipeline.file),
            "retries": 2,
            "retry_delay": timedelta(seconds=10),
        },
    ):
        approvals = ask_for_approval(
            pipeline.config.approval, pipeline.challenger, doc_md=APPROVE_DOC
        )
        if pipeline.config.scoring.shadow:
            shadow = ShadowOperator(
                task_id=Stage.SHADOW,
                execution_timeout=timedelta(hours=1),
                doc_md=STAGE_DOCS[Stage.SHADOW],
            )
            # People are asked in any case: what the shadow shows is no gate.
            approvals[0].trigger_rule = TriggerRule.ALL_DONE
            shadow >> approvals[0]
        promote = StageOperator(
            task_id=Stage.PROMOTE,
            options=approvals[-1].approved,
            execution_timeout=timedelta(minutes=30),
            doc_md=STAGE_DOCS[Stage.PROMOTE],
        )
        deploy = StageOperator(
            task_id=Stage.DEPLOY,
            outlets=[pipeline.deployed],
            execution_timeout=timedelta(hours=1),
            doc_md=STAGE_DOCS[Stage.DEPLOY],
        )
        promote >> deploy
