"""Links from a task in Airflow's pages to what its stage made."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

from darkroom.contract import StageResult

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

FILES_URL = "DARKROOM_FILES_URL"
MLFLOW_URL = "DARKROOM_MLFLOW_URL"
"""Where people's browsers find MLflow; the stages may know it under another name."""


def file_url(path: str | None) -> str:
    """Address of a page below the workspace; empty when there is no page or no file server."""
    base = os.environ.get(FILES_URL)
    return f"{base.rstrip('/')}/{path}" if base and path else ""


def mlflow_url(outputs: dict[str, Any]) -> str:
    """Address of the MLflow run or model version that a stage names; empty when it names none."""
    base = os.environ.get(MLFLOW_URL, "")
    if not base:
        return ""
    if "mlflow_run_id" in outputs:
        return f"{base.rstrip('/')}/#/runs/{outputs['mlflow_run_id']}"
    if "model_name" in outputs and "version" in outputs:
        page = f"models/{outputs['model_name']}/versions/{outputs['version']}"
        return f"{base.rstrip('/')}/#/{page}"
    return ""


def _result_of(operator: BaseOperator) -> StageResult | None:
    return getattr(operator, "result", None)


class ReportLink(BaseOperatorLink):
    """Opens the stage's report (Data Docs, evaluation report)."""

    name = "Report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The address; called once, when the task has ended."""
        result = _result_of(operator)
        return file_url(result.report) if result else ""


class MlflowLink(BaseOperatorLink):
    """Opens the MLflow run or the registered model version."""

    name = "MLflow"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The address; called once, when the task has ended."""
        result = _result_of(operator)
        return mlflow_url(dict(result.outputs)) if result else ""
