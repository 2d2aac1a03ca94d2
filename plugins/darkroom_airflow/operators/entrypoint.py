"""Runs an entrypoint of the project with spark-submit, and ends all of it when asked to."""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped]
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from darkroom.contract import Workspace
from darkroom_airflow.pipelines import PROJECT

if TYPE_CHECKING:
    from airflow.sdk import Context

SPARK_JOBS = PROJECT / "spark_jobs"


class EntrypointOperator(SparkSubmitOperator):
    """Base: submits a file of ``spark_jobs/``.

    Args:
        entrypoint: The file's name.
    """

    def __init__(self, *, entrypoint: str, **kwargs: Any) -> None:
        super().__init__(application=str(SPARK_JOBS / entrypoint), **kwargs)

    def submit(self, context: Context, arguments: list[str]) -> Exception | None:
        """Runs the entrypoint to its end.

        Args:
            context: The task's.
            arguments: The entrypoint's own.

        Returns:
            What spark-submit failed with; None if it did not.

        Raises:
            AirflowFailException: There is no spark-submit.
        """
        self.application_args = arguments
        self.env_vars = {
            "DARKROOM_LAUNCHED_AT": repr(time.time()),
            "PYTHONPATH": str(SPARK_JOBS),
            **(self.env_vars or {}),
        }
        try:
            # Relative paths of a pipeline's file start at the project.
            with contextlib.chdir(PROJECT):
                super().execute(context)
        except FileNotFoundError as error:
            raise AirflowFailException(
                f"{error.filename or 'spark-submit'} was not found: PATH must name the folder of "
                "Spark's commands (`make setup` installs them)"
            ) from None
        except AirflowException as error:
            return error
        return None

    def on_kill(self) -> None:
        """Ends spark-submit and all that it started."""
        # The provider kills the first process alone: the JVM's Python driver would go on.
        submitted = getattr(self._hook, "_submit_sp", None)
        orphans = _descendants(submitted.pid) if submitted else []
        super().on_kill()
        for process in orphans:
            if process.is_running():
                process.kill()


def workspace() -> Workspace:
    """The workspace of this Airflow: ``DARKROOM_WORKSPACE``, or the project's own."""
    return Workspace(Path(os.environ.get("DARKROOM_WORKSPACE") or PROJECT / "workspace"))


def exit_code(crash: Exception | None) -> int | None:
    """The code that spark-submit ended with, where its failure says so."""
    found = re.search(r"Error code is: (\d+)", str(crash or ""))
    return int(found[1]) if found else None


def shown_exit(crash: Exception | None) -> str:
    """For people; the provider's message repeats the whole log after the code."""
    code = exit_code(crash)
    return "see the log above" if code is None else f"exit code {code}: see the log above"


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        children: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return children
