"""Runs one stage with spark-submit and hands its result to Airflow."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from darkroom.contract import RunFolder, Stage, StageResult, StageStatus
from darkroom_airflow.forms import stage_arguments
from darkroom_airflow.links import MlflowLink, ReportLink
from darkroom_airflow.operators.entrypoint import EntrypointOperator, shown_exit, workspace
from darkroom_airflow.operators.progress import PROGRESS, followed

if TYPE_CHECKING:
    from airflow.sdk import BaseOperatorLink, Context

SUMMARY = "summary"
"""XCom key of the one line for people."""


class StageOperator(EntrypointOperator):
    """Submits a stage's entrypoint and reads the `StageResult` that it leaves.

    The return value (XCom) is the result as a mapping: ``stage``, ``status``, ``summary``,
    ``outputs``, ``report``, ``seconds``, ... ; XCom ``summary`` is its one line, also of a
    failed stage. While the stage runs, XCom ``progress`` says how far it is, if the stage does.

    Args:
        task_id: The stage's name: it says which entrypoint is run.
        config: The pipeline's YAML file, named after the pipeline.
        options: The stage's own options (templated), for example ``{"backbone": "embedded"}``.
        key_option: The option that tells mapped tasks of one stage apart.

    Raises:
        ValueError: The task id is not a stage's name, there is no ``config``, or ``key_option`` is
            not among ``options``.
        AirflowFailException: The stage failed for good; the message is its one line.
        AirflowException: The stage failed; another try may succeed.
    """

    template_fields: Sequence[str] = (*EntrypointOperator.template_fields, "options")
    template_fields_renderers: ClassVar[dict[str, str]] = {"options": "json"}
    operator_extra_links: Sequence[BaseOperatorLink] = (ReportLink(), MlflowLink())
    ui_color = "#e8f0e3"

    def __init__(
        self,
        *,
        task_id: str,
        config: str = "",
        options: Mapping[str, Any] | None = None,
        key_option: str | None = None,
        **kwargs: Any,
    ) -> None:
        if task_id not in {*Stage}:
            raise ValueError(f"task_id = {task_id!r}: name a stage: {', '.join(Stage)}")
        if not config:
            raise ValueError("config: name the pipeline's YAML file")
        if key_option is not None and isinstance(options, Mapping) and key_option not in options:
            raise ValueError(f"key_option = {key_option!r}: must be one of the options")
        stage = Stage(task_id)
        super().__init__(
            task_id=stage.value,
            entrypoint=stage.entrypoint,
            name=f"{Path(config).stem} {stage}",
            **kwargs,
        )
        self.stage = stage
        self.config = config
        self.options = options or {}
        self.key_option = key_option
        self.result: StageResult | None = None

    def execute(self, context: Context) -> dict[str, Any]:  # type: ignore[override]
        """Runs the stage.

        Returns:
            The stage's result as a mapping of JSON values.
        """
        folder = self.run_folder(context)
        key = self.options[self.key_option] if self.key_option else None
        # A result of an earlier try must not be taken for this one's.
        folder.result_file(self.stage, key).unlink(missing_ok=True)
        push = context["ti"].xcom_push
        file = folder.progress_file(self.stage, key)
        with followed(file, functools.partial(push, PROGRESS), self.log):
            crash = self.submit(context, self._arguments(context, folder.run_id))
        result = self.result = folder.result(self.stage, key)
        if result is not None:
            push(SUMMARY, result.summary)
        if result is None or crash is not None or result.status is StageStatus.FAILED:
            raise _failure(self.stage, result, crash)
        self.log.info("%s: %s (%.1f s)", self.stage, result.summary, result.seconds)
        values: dict[str, Any] = json.loads(result.to_json())
        return values

    def run_folder(self, context: Context) -> RunFolder:
        """Where the stages of this run leave their results."""
        return workspace().run(Path(self.config).stem, str(context["run_id"]))

    def _arguments(self, context: Context, run_id: str) -> list[str]:
        root = str(workspace().root)
        arguments = ["--config", self.config, "--workspace", root, "--run-id", run_id]
        arguments += stage_arguments(context["params"])
        for name, value in self.options.items():
            arguments += [f"--{name.replace('_', '-')}", str(value)]
        return arguments


def _failure(stage: Stage, result: StageResult | None, crash: Exception | None) -> AirflowException:
    if result is None:
        return AirflowException(
            f"{stage}: spark-submit ended without a result ({shown_exit(crash)})"
        )
    if result.status is not StageStatus.FAILED:
        return AirflowException(
            f"{stage}: done, but then spark-submit failed ({shown_exit(crash)})"
        )
    kind = AirflowFailException if result.permanent else AirflowException
    return kind(result.summary)


class SkippedStageOperator(StageOperator):
    """Runs a stage; a run in which there was nothing to do is skipped, with the reason.

    Attributes:
        counted: The output that is 0 then.

    Raises:
        AirflowSkipException: It is 0, or the result is an earlier one.
    """

    counted: ClassVar[str]

    def execute(self, context: Context) -> dict[str, Any]:  # type: ignore[override]
        """Runs the stage."""
        result = super().execute(context)
        if not result["outputs"][self.counted] or result["status"] == "unchanged":
            raise AirflowSkipException(result[SUMMARY])
        return result
