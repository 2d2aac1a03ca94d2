"""DAGs ``<pipeline>_monitoring``: is the world still what the deployed model was trained on?

One per file in config/pipelines; what starts it is the file's group ``monitoring``.
"""

from datetime import timedelta

from airflow.sdk import DAG

from darkroom.contract import Stage
from darkroom_airflow.docs import ALARM_DOC, STAGE_DOCS, monitoring_doc
from darkroom_airflow.forms import MONITORING_OPTIONS, monitoring_form
from darkroom_airflow.operators.monitor import DriftAlarmOperator, MonitorOperator
from darkroom_airflow.pipelines import load_pipelines

for pipeline in load_pipelines().valid:
    with DAG(
        dag_id=f"{pipeline.name}_monitoring",
        description=f"Look for drift: {pipeline.config.description}",
        doc_md=monitoring_doc(pipeline.config),
        schedule=pipeline.monitoring_schedule,
        catchup=False,
        # Two at once would write the same windows' results.
        max_active_runs=1,
        params=monitoring_form(),
        tags=[pipeline.name, "monitoring"],
        default_args={
            "owner": pipeline.config.owner,
            "retries": 2,
            "retry_delay": timedelta(seconds=30),
            "retry_exponential_backoff": True,
            "execution_timeout": timedelta(hours=2),
        },
    ):
        monitor = MonitorOperator(
            task_id=Stage.MONITOR,
            config=str(pipeline.file),
            options=MONITORING_OPTIONS,
            doc_md=STAGE_DOCS[Stage.MONITOR],
        )
        DriftAlarmOperator(
            task_id="alarm", result=monitor.output, drift=pipeline.drift, doc_md=ALARM_DOC
        )
