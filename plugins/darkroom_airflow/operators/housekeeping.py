"""Keeps a pipeline's tables tidy: one command of ``spark_jobs/lake.py`` per task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
)

from darkroom.contract import ExitCode
from darkroom_airflow.operators.entrypoint import (
    EntrypointOperator,
    exit_code,
    shown_exit,
    workspace,
)

if TYPE_CHECKING:
    from airflow.sdk import Context


class Housekeeping(StrEnum):
    """What can be done; its value is the task id, and the command of ``lake.py``."""

    EXPIRE = "expire"
    VACUUM = "vacuum"
    COMPACT = "compact"


class HousekeepingOperator(EntrypointOperator):
    """Does one thing to all tables of a pipeline.

    Args:
        task_id: One of `Housekeeping`.
        pipeline: The pipeline's name.
        options: The command's own options (templated), for example ``{"days": 30}``.

    Raises:
        ValueError: The task id is none of `Housekeeping`.
        AirflowSkipException: The pipeline has no tables yet.
        AirflowFailException: It failed, and would do so again; the log says why.
        AirflowException: It failed; another try may succeed, for example where a training
            changed a table at the same time.
    """

    template_fields: Sequence[str] = (*EntrypointOperator.template_fields, "options")
    template_fields_renderers: ClassVar[dict[str, str]] = {"options": "json"}
    ui_color = "#e8ecf3"

    def __init__(
        self,
        *,
        task_id: str,
        pipeline: str,
        options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if task_id not in {*Housekeeping}:
            raise ValueError(f"task_id = {task_id!r}: give {', '.join(Housekeeping)}")
        super().__init__(
            task_id=str(task_id), entrypoint="lake.py", name=f"{pipeline} {task_id}", **kwargs
        )
        self.pipeline = pipeline
        self.options = options or {}

    def execute(self, context: Context) -> None:
        """Runs the command; what it has done is in the log."""
        place = workspace()
        if not place.tables(self.pipeline).exists():
            raise AirflowSkipException(
                f"pipeline {self.pipeline} has no tables yet: nothing to {self.task_id}"
            )
        arguments = [self.task_id, "--pipeline", self.pipeline, "--workspace", str(place.root)]
        for name, value in self.options.items():
            arguments += [f"--{name}", str(value)]
        crash = self.submit(context, arguments)
        if crash is not None:
            again = exit_code(crash) not in (ExitCode.CONFIG, ExitCode.DATA)
            kind = AirflowException if again else AirflowFailException
            raise kind(f"{self.task_id}: spark-submit failed ({shown_exit(crash)})")
