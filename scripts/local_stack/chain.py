"""The whole chain as an operator drives it: train, approve, deploy."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from darkroom.contract import Stage
from local_stack.client import AirflowClient, OpenRun, TaskState
from local_stack.layout import Layout

APPROVE_TASK = "approve"
_ASKING = {"awaiting_input", "deferred"}
"""States of a task that waits for an answer: in Airflow alone, or in MLflow too."""
_POLL_SECONDS = 0.5
_PARSE_SECONDS = 120.0
_EVENT_SECONDS = 60.0
_SETTLE_SECONDS = 3.0
"""No person answers faster. Airflow 3.3 takes an answer that arrives before the scheduler has
noticed that the asking process ended for a crash of the task, and asks again."""


class ChainError(Exception):
    """The chain cannot go on; the message is for a person, one line and a log's place."""


@dataclass(frozen=True)
class Ended:
    """A task that has ended.

    Attributes:
        task: The task.
        result: Its stage's result as a mapping; empty where there is none.
        summary: Its one line.
    """

    task: TaskState
    result: Mapping[str, Any]
    summary: str

    @property
    def outputs(self) -> Mapping[str, Any]:
        """The outputs of its stage."""
        outputs: Mapping[str, Any] = self.result.get("outputs", {})
        return outputs


OnEnd = Callable[[Ended], None]


class Chain:
    """Drives the DAGs of one pipeline.

    Args:
        client: Airflow, as some user.
        layout: Where the logs are.
        pipeline: The pipeline's name.
    """

    def __init__(self, client: AirflowClient, layout: Layout, pipeline: str) -> None:
        self.client = client
        self.layout = layout
        self.training = f"{pipeline}_training"
        self.promotion = f"{pipeline}_promotion"
        self.rollback = f"{pipeline}_rollback"

    def wait_for_dags(self, since: datetime, dags: Sequence[str] = ()) -> None:
        """Waits until DAGs were read after a moment.

        Args:
            since: The moment.
            dags: Which ones; training and promotion by default.

        Raises:
            ChainError: They do not appear; the reason is Airflow's.
        """
        deadline = time.monotonic() + _PARSE_SECONDS
        waiting = list(dags) or [self.training, self.promotion]
        while waiting := [dag for dag in waiting if not self._was_read(dag, since)]:
            if time.monotonic() > deadline:
                errors = "; ".join(self.client.import_errors())
                raise ChainError(
                    f"Airflow does not show {waiting[0]}: {errors or 'no reason given'}"
                )
            time.sleep(_POLL_SECONDS)

    def in_the_way(self) -> OpenRun | None:
        """A training run that an interrupted stack has left: the next one starts after it."""
        return next(iter(self.client.unfinished(self.training)), None)

    def train(self, params: Mapping[str, Any], on_end: OnEnd) -> tuple[str, TaskState]:
        """Runs the training DAG.

        Args:
            params: Values of its form; what is left out is as the pipeline's file says.
            on_end: Called for each stage when it ends, in that order.

        Returns:
            The run's id, and its ``register`` task: ``skipped`` when nothing is to approve.

        Raises:
            ChainError: A task failed.
        """
        run = self.client.trigger(self.training, params)
        tasks = self.follow(self.training, run, on_end)
        return run, next(task for task in tasks if task.task == Stage.REGISTER)

    def promotion_of(self, training_run: str) -> str:
        """Waits for the promotion run that a training run's event starts; returns its id.

        Raises:
            ChainError: It does not come.
        """
        deadline = time.monotonic() + _EVENT_SECONDS
        while time.monotonic() < deadline:
            for run in self.client.runs(self.promotion):
                if training_run in self.client.sources(self.promotion, run):
                    return run
            time.sleep(_POLL_SECONDS)
        raise ChainError(f"{self.promotion} was not started by the event of {training_run}")

    def unanswered(self) -> str | None:
        """The newest promotion run that waits for a person's answer."""
        for run in self.client.runs(self.promotion):
            tasks = self.client.tasks(self.promotion, run)
            if any(t.task == APPROVE_TASK and t.state in _ASKING for t in tasks):
                return run
        return None

    def wait_for_question(self, run: str) -> Mapping[str, Any] | None:
        """Waits until a promotion run asks; returns the question, None where nobody is asked.

        Raises:
            ChainError: It ends before it asks.
        """
        while True:
            tasks = self.client.tasks(self.promotion, run)
            approve = next((t for t in tasks if t.task == APPROVE_TASK), None)
            if approve and approve.state in _ASKING:
                return self.client.question(self.promotion, run, APPROVE_TASK)
            if approve and approve.state == "success":
                return None
            if approve and approve.ended:
                raise ChainError(self._why(self.promotion, run, approve))
            time.sleep(_POLL_SECONDS)

    def approve(self, run: str, reason: str, on_end: OnEnd) -> Ended:
        """Approves if asked, and waits until the model is deployed; returns the task ``deploy``.

        Raises:
            ChainError: A task failed, or this user's approval is not enough.
        """
        ended: list[Ended] = []

        def keep(task: Ended) -> None:
            ended.append(task)
            on_end(task)

        answered: list[str] = []

        def answer(task: TaskState) -> None:
            if not task.task.startswith(APPROVE_TASK) or task.state not in _ASKING:
                return
            if answered:
                raise ChainError(
                    f"{task.name}: Airflow asks again, for somebody else has to approve this model "
                    "(too): see Required Actions in its pages"
                )
            time.sleep(_SETTLE_SECONDS)
            self.client.answer(self.promotion, run, task.task, "Approve", reason)
            answered.append(task.task)

        self.follow(self.promotion, run, keep, answer)
        return next(task for task in ended if task.task.task == Stage.DEPLOY)

    def follow(
        self,
        dag: str,
        run: str,
        on_end: OnEnd,
        on_look: Callable[[TaskState], None] = lambda task: None,
    ) -> list[TaskState]:
        """Waits for a run's end.

        Args:
            dag: The DAG.
            run: The run.
            on_end: Called once for each stage that has ended.
            on_look: Called for every task each time that the run is looked at.

        Returns:
            The run's tasks.

        Raises:
            ChainError: The run failed; what on_end saw comes before it.
        """
        seen: set[tuple[str, int]] = set()
        state = ""
        while state not in {"success", "failed"}:
            tasks = self.client.tasks(dag, run)
            for task in tasks:
                on_look(task)
                if (task.task, task.map_index) not in seen and self._shows(task):
                    seen.add((task.task, task.map_index))
                    on_end(self._ended(dag, run, task))
            # A queued run has no task yet, and no run ends before its tasks.
            if tasks and all(task.ended for task in tasks):
                state = self.client.run_state(dag, run)
            time.sleep(_POLL_SECONDS)
        for task in tasks:
            if task.state == "failed":
                raise ChainError(self._why(dag, run, task))
        if state == "failed":
            raise ChainError(f"run {run} of {dag} failed without a failed task")
        return tasks

    def _was_read(self, dag: str, since: datetime) -> bool:
        known = self.client.dag(dag)
        read_at = known["last_parsed_time"] if known else None
        return bool(read_at) and datetime.fromisoformat(str(read_at)) >= since

    def _shows(self, task: TaskState) -> bool:
        return task.task in {*Stage} and task.state in {"success", "failed", "skipped"}

    def _ended(self, dag: str, run: str, task: TaskState) -> Ended:
        result = self.client.xcom(dag, run, task) or {}
        summary = self.client.xcom(dag, run, task, "summary") or task.state or ""
        return Ended(task, result, str(summary))

    def _why(self, dag: str, run: str, task: TaskState) -> str:
        log = self.layout.task_log(dag, run, task.task, task.map_index, task.attempt)
        summary = self.client.xcom(dag, run, task, "summary")
        what = str(summary or "it ended without saying why")
        return f"{task.name}: {what}\n  log: {self.layout.shown(log)}"
