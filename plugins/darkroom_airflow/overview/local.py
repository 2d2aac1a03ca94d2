"""What Airflow's database and the workspace say of the pipelines that a user may see."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from airflow.api_fastapi.app import API_ROOT_PATH, get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from airflow.utils.state import State, TaskInstanceState
from sqlalchemy import select

from darkroom.contract import PipelineConfig, Workspace
from darkroom_airflow.operators.entrypoint import workspace
from darkroom_airflow.pipelines import load_pipelines

if TYPE_CHECKING:
    from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
    from sqlalchemy.orm import Session

TRAINING: Final = "_training"
PROMOTION: Final = "_promotion"
"""Behind a pipeline's name: the DAG that decides who sees it, and the one that asks people."""

SHOWN_ROWS: Final = 10
_OF_RUNS: Final = (DagAccessEntity.RUN, DagAccessEntity.TASK_INSTANCE)
_OF_QUESTIONS: Final = (DagAccessEntity.HITL_DETAIL,)
"""What of a DAG a user must be allowed to read to see its newest run, and its questions."""

_WAITING: Final = (TaskInstanceState.AWAITING_INPUT, TaskInstanceState.DEFERRED)


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a person is asked in Airflow, and has not answered.

    Attributes:
        subject: The question.
        since: When it was asked.
        link: Path of the page where it is answered.
        assigned: Names of who may answer; empty for everybody who may answer at all.
    """

    subject: str
    since: datetime
    link: str
    assigned: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Training:
    """A run of a training DAG.

    Attributes:
        run_id: Its id.
        state: Airflow's word for it: queued, running, success or failed.
        since: When it was asked for.
        failed: The tasks that failed, in no order.
        link: Path of its page.
    """

    run_id: str
    state: str
    since: datetime
    failed: frozenset[str]
    link: str


@dataclass(frozen=True, kw_only=True)
class Change:
    """A row of the ledger.

    Attributes:
        at: When, as the ledger has it.
        action: What kind of change, or ``refuse``: a champion that does not answer.
        from_version: The champion before, if any; of a refusal what goes on answering.
        to_version: The champion after, or what was refused.
        who: Who asked for it or approved it, or what has refused.
        why: The reason.
    """

    at: datetime
    action: str
    from_version: str | None
    to_version: str
    who: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Known:
    """One pipeline, as far as this machine knows it.

    Attributes:
        config: Its file's content.
        newest: The newest run of the training DAG and, if it goes on, the newest that has ended;
            empty where there is none, or none to be seen.
        questions: What is open, oldest first.
        changes: The newest rows of the ledger, newest first.
        problem: Why the ledger cannot be shown, or None.
        training: Path of the training DAG's page.
    """

    config: PipelineConfig
    newest: tuple[Training, ...]
    questions: tuple[Question, ...]
    changes: tuple[Change, ...]
    problem: str | None
    training: str


def known_pipelines(user: BaseUser, session: Session) -> list[Known]:
    """The pipelines whose training DAG the user may read.

    Args:
        user: Who looks.
        session: Of Airflow's database.
    """
    readable = get_auth_manager().get_authorized_dag_ids(user=user, method="GET", session=session)
    configs = [
        pipeline.config
        for pipeline in load_pipelines().valid
        if f"{pipeline.name}{TRAINING}" in readable
    ]
    return [_known(config, user, session) for config in configs]


def _known(config: PipelineConfig, user: BaseUser, session: Session) -> Known:
    training, asking = f"{config.name}{TRAINING}", f"{config.name}{PROMOTION}"
    changes, problem = ledger_of(workspace(), config.name)
    return Known(
        config=config,
        newest=_newest(training, session) if _may_see(training, user, *_OF_RUNS) else (),
        questions=_questions(asking, session) if _may_see(asking, user, *_OF_QUESTIONS) else (),
        changes=changes,
        problem=problem,
        training=page_of("dags", training),
    )


def page_of(*parts: str) -> str:
    """Path of a page of Airflow's."""
    return API_ROOT_PATH + "/".join(quote(part, safe="") for part in parts)


def ledger_of(place: Workspace, pipeline: str) -> tuple[tuple[Change, ...], str | None]:
    """Reads the copy of the ledger that the stages leave.

    Returns:
        The newest rows, newest first, and what is wrong with the file, if anything is.
    """
    try:
        rows = json.loads(place.ledger(pipeline).read_text())
        return tuple(_change(row) for row in rows[:SHOWN_ROWS]), None
    except FileNotFoundError:
        return (), None
    except (OSError, ValueError, KeyError, TypeError) as error:
        return (), f"The ledger's copy cannot be read ({type(error).__name__})."


def _change(row: Mapping[str, Any]) -> Change:
    before = row["from_version"]
    return Change(
        at=datetime.fromisoformat(row["at"]),
        action=str(row.get("action", "promote")),
        from_version=None if before is None else str(before),
        to_version=str(row["to_version"]),
        who=str(row["who"]),
        why=str(row["why"]),
    )


def _may_see(dag_id: str, user: BaseUser, *parts: DagAccessEntity) -> bool:
    details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))
    return all(
        get_auth_manager().is_authorized_dag(
            method="GET", access_entity=part, details=details, user=user
        )
        for part in parts
    )


def _newest(dag_id: str, session: Session) -> tuple[Training, ...]:
    newest_first = (
        select(DagRun)
        .where(DagRun.dag_id == dag_id)
        .order_by(DagRun.run_after.desc(), DagRun.id.desc())
        .limit(1)
    )
    ended = newest_first.where(DagRun.state.in_(State.finished_dr_states))
    found = [session.scalar(query) for query in (newest_first, ended)]
    return tuple(_training(run, session) for run in dict.fromkeys(found) if run)


def _training(run: DagRun, session: Session) -> Training:
    failed = session.scalars(
        select(TaskInstance.task_id).where(
            TaskInstance.dag_id == run.dag_id,
            TaskInstance.run_id == run.run_id,
            TaskInstance.state == TaskInstanceState.FAILED,
        )
    )
    return Training(
        run_id=run.run_id,
        state=str(run.state),
        since=run.run_after,
        failed=frozenset(failed),
        link=page_of("dags", run.dag_id, "runs", run.run_id),
    )


def _questions(dag_id: str, session: Session) -> tuple[Question, ...]:
    found = session.execute(
        select(HITLDetail, TaskInstance)
        .join(TaskInstance, HITLDetail.ti_id == TaskInstance.id)
        .where(
            TaskInstance.dag_id == dag_id,
            TaskInstance.state.in_(_WAITING),
            HITLDetail.responded_at.is_(None),
        )
        .order_by(HITLDetail.created_at)
    )
    return tuple(
        Question(
            subject=asked.subject,
            since=asked.created_at,
            link=page_of(
                *("dags", task.dag_id, "runs", task.run_id, "tasks", task.task_id),
                *(("mapped", str(task.map_index)) if task.map_index >= 0 else ()),
                "required_actions",
            ),
            assigned=tuple(user["name"] for user in asked.assigned_users),
        )
        for asked, task in found
    )
