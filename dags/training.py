"""DAGs ``<pipeline>_training``: from a folder of labelled images to a challenger in the registry.

One per file in config/pipelines.
"""

from datetime import timedelta

from airflow.sdk import DAG

from darkroom.contract import Stage
from darkroom_airflow.docs import CHOICE_DOC, STAGE_DOCS, training_doc
from darkroom_airflow.forms import training_form
from darkroom_airflow.operators.choice import BackboneChoiceOperator
from darkroom_airflow.operators.ingest import IngestOperator
from darkroom_airflow.operators.register import RegisterOperator
from darkroom_airflow.operators.stage import StageOperator
from darkroom_airflow.pipelines import load_pipelines

for pipeline in load_pipelines().valid:
    with DAG(
        dag_id=f"{pipeline.name}_training",
        description=pipeline.config.description,
        doc_md=training_doc(pipeline.config),
        schedule=pipeline.training_schedule,
        catchup=False,
        max_active_runs=1,
        params=training_form(pipeline.config),
        tags=[pipeline.name, "training"],
        default_args={
            "owner": pipeline.config.owner,
            "config": str(pipeline.file),
            "retries": 2,
            "retry_delay": timedelta(seconds=30),
            "retry_exponential_backoff": True,
            "execution_timeout": timedelta(hours=2),
        },
    ):
        choice = BackboneChoiceOperator(task_id="backbones", doc_md=CHOICE_DOC)
        ingest = IngestOperator(task_id=Stage.INGEST, doc_md=STAGE_DOCS[Stage.INGEST])
        validate = StageOperator(task_id=Stage.VALIDATE, doc_md=STAGE_DOCS[Stage.VALIDATE])
        featurize = StageOperator.partial(
            task_id=Stage.FEATURIZE.value,
            key_option="backbone",
            map_index_template="{{ task.options['backbone'] }}",
            doc_md=STAGE_DOCS[Stage.FEATURIZE],
        ).expand(options=choice.output)
        tune = StageOperator(task_id=Stage.TUNE, doc_md=STAGE_DOCS[Stage.TUNE])
        evaluate = StageOperator(task_id=Stage.EVALUATE, doc_md=STAGE_DOCS[Stage.EVALUATE])
        register = RegisterOperator(
            task_id=Stage.REGISTER,
            doc_md=STAGE_DOCS[Stage.REGISTER],
            challenger=pipeline.challenger,
        )
        ingest >> validate >> featurize >> tune >> evaluate >> register
