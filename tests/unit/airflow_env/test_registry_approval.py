"""An answer given in MLflow: by tags of the version, while the question is open."""

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from airflow.models.trigger import Trigger
from airflow.sdk import Asset
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowRuntimeError,
    ErrorType,
    TaskDeferred,
)
from airflow.sdk.execution_time.comms import ErrorResponse

from darkroom.contract import ApprovalConfig
from darkroom_airflow.operators.approval import ChallengerApprovalOperator
from darkroom_airflow.triggers.approval import RegistryApprovalTrigger
from tests.unit.airflow_env.airflow_world import World, outside_airflow
from tests.unit.airflow_env.test_approval import MODEL

TI = UUID("00000000-0000-0000-0000-000000000001")
MOMENT = datetime(2026, 1, 2, tzinfo=UTC)


class Mlflow(ThreadingHTTPServer):
    """As much of MLflow's REST API as the answer needs."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.tags: dict[str, str] = {}
        self.asked: list[tuple[str, str | None]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Mlflow

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        tags = [{"key": key, "value": value} for key, value in self.server.tags.items()]
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(json.dumps({"model_version": {"tags": tags}}).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mlflow]:
    server = Mlflow()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}/")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class Question:
    """Airflow's record of the question, and who has answered it there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answer: dict[str, Any] = {}
        self.answered_meanwhile = False
        place = "airflow.providers.standard.triggers.hitl"
        monkeypatch.setattr(f"{place}.get_hitl_detail_content_detail", self.read)
        monkeypatch.setattr(f"{place}.update_hitl_detail_response", self.write)
        own = "darkroom_airflow.triggers.approval.update_hitl_detail_response"
        monkeypatch.setattr(own, self.write)

    def read(self, ti_id: UUID) -> SimpleNamespace:
        assert ti_id == TI
        empty: dict[str, Any] = {
            "chosen_options": None,
            "params_input": {},
            "responded_by_user": None,
        }
        said = {**empty, **self.answer}
        return SimpleNamespace(**said, response_received=bool(self.answer), responded_at=MOMENT)

    def write(
        self, ti_id: UUID, chosen_options: list[str], params_input: dict[str, Any]
    ) -> SimpleNamespace:
        if self.answered_meanwhile:
            self.by("ada", "Reject")
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))
        self.answer = {"chosen_options": chosen_options, "params_input": params_input}
        return self.read(ti_id)

    def by(self, who: str, option: str) -> None:
        user = SimpleNamespace(id=who, name=who)
        self.answer = {"chosen_options": [option], "responded_by_user": user}


@pytest.fixture
def question(monkeypatch: pytest.MonkeyPatch) -> Question:
    return Question(monkeypatch)


def waiting(seen: dict[str, str] | None = None, hours: float = 1) -> RegistryApprovalTrigger:
    return RegistryApprovalTrigger(
        model="signs",
        version="3",
        seen=seen or {"approval": "", "reason": ""},
        ti_id=TI,
        options=["Approve", "Reject"],
        defaults=["Reject"],
        params={"reason": {"value": None, "description": "Why", "schema": {}}},
        timeout_datetime=datetime.now(UTC) + timedelta(hours=hours),
        poke_interval=0.01,
    )


async def event_of(trigger: RegistryApprovalTrigger, seconds: float = 10) -> dict[str, Any]:
    event = await asyncio.wait_for(anext(trigger.run()), seconds)
    payload: dict[str, Any] = event.payload
    return payload


def test_an_approval_by_tags_closes_the_question_in_airflow(
    mlflow: Mlflow, question: Question
) -> None:
    mlflow.tags = {"approval": "approved", "approval_reason": " seen it ", "else": "1"}

    event = asyncio.run(event_of(waiting()))

    assert event == {
        "chosen_options": ["Approve"],
        "params_input": {"reason": "seen it"},
        "responded_by_user": None,
        "responded_at": MOMENT,
        "timedout": False,
        "registry": True,
    }
    assert question.answer["chosen_options"] == ["Approve"]
    assert mlflow.asked[0] == ("/api/2.0/mlflow/model-versions/get?name=signs&version=3", None)


def test_the_task_that_asked_is_gone_before_an_answer_is_looked_for(
    mlflow: Mlflow, question: Question, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow.tags = {"approval": "rejected"}
    asked_before: list[tuple[float, int]] = []
    really_sleep = asyncio.sleep

    async def sleep(seconds: float) -> None:
        asked_before.append((seconds, len(mlflow.asked)))
        await really_sleep(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    asyncio.run(event_of(waiting()))

    assert asked_before == [(0.02, 0)]


def test_a_rejection_by_tags_needs_no_reason(mlflow: Mlflow, question: Question) -> None:
    mlflow.tags = {"approval": "rejected"}

    event = asyncio.run(event_of(waiting()))

    assert (event["chosen_options"], event["params_input"]) == (["Reject"], {"reason": None})


@pytest.mark.parametrize(
    ("tags", "log"),
    [
        ({"approval": "approved"}, "approval_reason = '': say in a few words why"),
        ({"approval": "yes"}, "approval = 'yes': set it to approved or rejected"),
        ({"approval_reason": "fine"}, "approval = '': set it to approved or rejected"),
        (
            {"approval": "approved", "approval_reason": "a" * 1001},
            "approval_reason has 1001 characters, 1000 are enough",
        ),
    ],
)
def test_half_an_answer_is_reported_once_and_the_whole_one_is_taken(
    mlflow: Mlflow, question: Question, tags: dict[str, str], log: str
) -> None:
    mlflow.tags = tags
    trigger = waiting()
    said: list[str] = []
    trigger.log.warning = lambda text, *values: said.append(text % values)  # type: ignore[method-assign]

    async def complete() -> dict[str, Any]:
        event = asyncio.ensure_future(event_of(trigger))
        while len(mlflow.asked) < 3:
            await asyncio.sleep(0.01)
        mlflow.tags = {"approval": "approved", "approval_reason": "whole"}
        return await event

    event = asyncio.run(complete())

    assert event["params_input"] == {"reason": "whole"}
    assert said == [f"The tags of version 3 are no answer: {log}"]


def test_what_was_there_before_the_question_is_no_answer_until_it_is_set_anew(
    mlflow: Mlflow, question: Question
) -> None:
    before = {"approval": "approved", "approval_reason": "last week"}
    mlflow.tags = dict(before)
    trigger = waiting({"approval": "approved", "reason": "last week"})

    async def anew() -> tuple[bool, dict[str, Any]]:
        event = asyncio.ensure_future(event_of(trigger))
        while len(mlflow.asked) < 3:
            await asyncio.sleep(0.01)
        early = event.done()
        mlflow.tags = {}
        asked = len(mlflow.asked)
        while len(mlflow.asked) < asked + 3:
            await asyncio.sleep(0.01)
        mlflow.tags = before
        return early, await event

    early, event = asyncio.run(anew())

    assert not early
    assert event["params_input"] == {"reason": "last week"}


def test_while_mlflow_is_down_airflow_can_still_answer(mlflow: Mlflow, question: Question) -> None:
    mlflow.status = 500

    async def answered() -> dict[str, Any]:
        event = asyncio.ensure_future(event_of(waiting()))
        while len(mlflow.asked) < 2:
            await asyncio.sleep(0.01)
        question.by("ada", "Reject")
        return await event

    event = asyncio.run(answered())

    assert event["responded_by_user"] == {"id": "ada", "name": "ada"}
    assert "registry" not in event


def test_whoever_answers_in_airflow_meanwhile_is_the_one_who_decides(
    mlflow: Mlflow, question: Question
) -> None:
    mlflow.tags = {"approval": "approved", "approval_reason": "too late"}
    question.answered_meanwhile = True

    event = asyncio.run(event_of(waiting()))

    assert event["chosen_options"] == ["Reject"]
    assert event["responded_by_user"] == {"id": "ada", "name": "ada"}


def test_no_answer_in_time_rejects(mlflow: Mlflow, question: Question) -> None:
    event = asyncio.run(event_of(waiting(hours=-1)))

    assert (event["chosen_options"], event["timedout"]) == (["Reject"], True)


def test_a_trigger_survives_airflows_database() -> None:
    trigger = waiting({"approval": "approved", "reason": "last week"})

    stored = Trigger.from_object(trigger)
    again = RegistryApprovalTrigger(**stored.kwargs)

    assert stored.classpath == "darkroom_airflow.triggers.approval.RegistryApprovalTrigger"
    assert again.serialize() == trigger.serialize()
    assert again.seen == trigger.seen


def test_a_secured_server_is_asked_with_mlflows_own_variables(
    mlflow: Mlflow, question: Question, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow.tags = {"approval": "rejected"}
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ann")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "pass")
    asyncio.run(event_of(waiting()))
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "token")
    question.answer = {}
    asyncio.run(event_of(waiting()))

    assert [secret for _, secret in mlflow.asked] == ["Basic YW5uOnBhc3M=", "Bearer token"]


@pytest.fixture
def approve(monkeypatch: pytest.MonkeyPatch) -> ChallengerApprovalOperator:
    outside_airflow(monkeypatch)
    monkeypatch.setattr(
        "airflow.providers.standard.operators.hitl.upsert_hitl_detail", lambda **detail: None
    )
    return ChallengerApprovalOperator(
        task_id="approve",
        challenger=Asset("darkroom://signs/challenger"),
        config=ApprovalConfig(in_registry=True, timeout_hours=2),
    )


def test_the_task_waits_for_both_and_remembers_the_tags_of_before(
    mlflow: Mlflow, approve: ChallengerApprovalOperator
) -> None:
    mlflow.tags = {"approval": "rejected", "approval_reason": "last week"}

    with pytest.raises(TaskDeferred) as deferred:
        approve.execute(World(triggering=[MODEL]).context)

    trigger: Any = deferred.value.trigger
    assert (trigger.model, trigger.version) == ("signs", "3")
    assert (trigger.seen.approval, trigger.seen.reason) == ("rejected", "last week")
    assert trigger.defaults == ["Reject"]
    left = trigger.timeout_datetime - datetime.now(UTC)
    assert timedelta(hours=1.9) < left <= timedelta(hours=2)
    assert deferred.value.timeout == timedelta(hours=3)
    assert "`approval` (`approved` or `rejected`)" in (approve.body or "")


def test_an_answer_from_mlflow_leaves_the_same_record(
    mlflow: Mlflow, approve: ChallengerApprovalOperator
) -> None:
    event = {
        "chosen_options": ["Approve"],
        "params_input": {"reason": "seen it"},
        "responded_by_user": None,
        "responded_at": MOMENT,
        "timedout": False,
        "registry": True,
    }

    value = approve.execute_complete(World(triggering=[MODEL]).context, event)

    assert (value["decision"], value["approved_by"], value["reason"]) == (
        "Approve",
        "MLflow",
        "seen it",
    )
    assert value["model_digest"] == "d1"


def test_a_server_that_is_down_is_asked_again_in_another_try(
    mlflow: Mlflow, approve: ChallengerApprovalOperator
) -> None:
    mlflow.status = 503

    with pytest.raises(AirflowException, match=r"^MLflow does not answer: .*503") as raised:
        approve.execute(World(triggering=[MODEL]).context)

    assert not isinstance(raised.value, AirflowFailException)


def test_without_a_server_the_question_is_not_asked(
    approve: ChallengerApprovalOperator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")

    with pytest.raises(AirflowFailException) as raised:
        approve.execute(World(triggering=[MODEL]).context)

    assert str(raised.value) == (
        "MLFLOW_TRACKING_URI names no MLflow server: approval.in_registry needs one"
    )
