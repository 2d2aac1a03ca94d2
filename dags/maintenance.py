"""DAGs ``<pipeline>_maintenance``: old snapshots, abandoned files and many small files go.

One per file in config/pipelines.
"""

from datetime import timedelta

from airflow.sdk import DAG, chain

from darkroom_airflow.docs import HOUSEKEEPING_DOCS, maintenance_doc
from darkroom_airflow.forms import KEEP_DAYS, maintenance_form
from darkroom_airflow.operators.housekeeping import Housekeeping, HousekeepingOperator
from darkroom_airflow.pipelines import load_pipelines

OPTIONS = {Housekeeping.EXPIRE: {"days": f"{{{{ params.{KEEP_DAYS} }}}}"}}

for pipeline in load_pipelines().valid:
    with DAG(
        dag_id=f"{pipeline.name}_maintenance",
        description=f"Keep the tables tidy: {pipeline.config.description}",
        doc_md=maintenance_doc(pipeline.config),
        schedule=pipeline.maintenance,
        catchup=False,
        max_active_runs=1,
        params=maintenance_form(pipeline.config),
        tags=[pipeline.name, "maintenance"],
        default_args={
            "owner": pipeline.config.owner,
            "retries": 3,
            "retry_delay": timedelta(minutes=5),
            "retry_exponential_backoff": True,
            "execution_timeout": timedelta(hours=2),
        },
    ):
        chain(
            *(
                HousekeepingOperator(
                    task_id=task,
                    pipeline=pipeline.name,
                    options=OPTIONS.get(task),
                    doc_md=HOUSEKEEPING_DOCS[task],
                )
                for task in Housekeeping
            )
        )
