"""DAGs ``<pipeline>_watch``: the alias champion is where the ledger says, or somebody hears of it.

One per file in config/pipelines.
"""

from datetime import timedelta

from airflow.sdk import DAG

from darkroom.contract import Stage
from darkroom_airflow.docs import STAGE_DOCS, watch_doc
from darkroom_airflow.operators.stage import StageOperator
from darkroom_airflow.pipelines import load_pipelines

for pipeline in load_pipelines().valid:
    with DAG(
        dag_id=f"{pipeline.name}_watch",
        description=f"Is the champion the ledger's: {pipeline.config.description}",
        doc_md=watch_doc(pipeline.config),
        schedule=pipeline.watch,
        catchup=False,
        max_active_runs=1,
        tags=[pipeline.name, "watch"],
        default_args={
            "owner": pipeline.config.owner,
            "config": str(pipeline.file),
            "retries": 2,
            "retry_delay": timedelta(minutes=1),
            "execution_timeout": timedelta(minutes=10),
        },
    ):
        StageOperator(task_id=Stage.WATCH, doc_md=STAGE_DOCS[Stage.WATCH])
