"""What a person is asked, and what an answer does."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, Asset
from airflow.sdk.exceptions import AirflowFailException, TaskAwaitingInput

from darkroom.contract import ApprovalConfig, Verdict
from darkroom_airflow.operators.approval import ChallengerApprovalOperator, ask_for_approval
from darkroom_airflow.operators.question import request_text
from tests.unit.airflow_env.airflow_world import RUN_AFTER, World, outside_airflow
from tests.unit.airflow_env.fake_spark_submit import DECISION

JUDGED = replace(DECISION, champion="2")
MODEL = {
    "version": "3",
    "model_digest": "d1",
    "decision_digest": JUDGED.digest,
    "verdict": "PASS",
    "decision": JUDGED.to_json(),
    "test_images": 200,
    "champion_version": "2",
    "report": "reports/signs/r/index.html",
    "training_run_id": "run7",
    "requested_by": "eve",
}
UNSURE = replace(
    DECISION,
    checks=(replace(DECISION.checks[0], verdict=Verdict.INCONCLUSIVE, reason="too few to tell"),),
)


class Asked(ChallengerApprovalOperator):
    """Keeps what would go to Airflow's database."""

    skipped: list[str]

    def skip(self, ti: Any, tasks: Any) -> None:
        self.skipped = [task.task_id for task in tasks]


@pytest.fixture(autouse=True)
def requests(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    outside_airflow(monkeypatch)
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "airflow.providers.standard.operators.hitl.upsert_hitl_detail",
        lambda **detail: sent.append(detail),
    )
    return sent


def asking(after: str | None = None, **config: Any) -> Asked:
    return Asked(
        task_id="approve",
        challenger=Asset("darkroom://signs/challenger"),
        config=ApprovalConfig(**config),
        after=after,
    )


@pytest.fixture
def approve() -> Asked:
    return asking(timeout_hours=1.5)


def answer(option: str, reason: str | None, who: str | None = "ada") -> dict[str, Any]:
    return {
        "chosen_options": [option],
        "params_input": {"reason": reason},
        "responded_at": datetime(2026, 1, 2, tzinfo=UTC),
        "responded_by_user": {"id": who, "name": who} if who else None,
    }


def test_the_question_holds_the_essence_of_the_decision(
    approve: Asked, requests: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_FILES_URL", "http://127.0.0.1:8090")

    with pytest.raises(TaskAwaitingInput) as parked:
        approve.execute(World(triggering=[MODEL]).context)

    assert parked.value.timeout is not None
    assert parked.value.timeout.total_seconds() == 5400
    (asked,) = requests
    assert asked["subject"] == "May version 3 of signs become champion?"
    assert asked["defaults"] == ["Reject"]
    assert asked["options"] == ["Approve", "Reject"]
    assert asked["params"]["reason"]["value"] is None
    for part in (
        "**Verdict: PASS** (champion version 2, 200 held-out images)",
        "| accuracy | 0.93 | 0.85 | PASS |",
        "digest `d1`",
        f"Decision `{JUDGED.digest}`",
        "Training run `run7`",
        "[Report](http://127.0.0.1:8090/reports/signs/r/index.html)",
        "An approval is of this model alone, and void once version 2 is champion no more.",
    ):
        assert part in asked["body"]


def test_the_first_model_has_no_champion_to_beat_and_may_lack_a_report() -> None:
    first = {**MODEL, "decision": DECISION.to_json(), "report": None}

    text = request_text(first, ApprovalConfig())

    assert "(no champion yet, 200 held-out images)" in text
    assert "void once there is a champion." in text
    assert "No report" in text


def test_what_kept_the_gate_from_passing_stands_above_the_numbers() -> None:
    text = request_text({**MODEL, "decision": UNSURE.to_json()}, ApprovalConfig())

    assert "**Verdict: INCONCLUSIVE**" in text
    assert text.index("* too few to tell\n") < text.index("| accuracy | 0.93 | 0.85 | INCONCLUSIVE")


def test_an_approval_hands_on_who_when_why_and_the_digests(approve: Asked) -> None:
    world = World(triggering=[{"version": "2"}, MODEL])

    value = approve.execute_complete(world.context, answer("Approve", "  seen the report "))

    assert value == {
        "version": "3",
        "model_digest": "d1",
        "decision_digest": JUDGED.digest,
        "requested_run_id": "run7",
        "decision": "Approve",
        "approved_by": "ada",
        "approved_at": "2026-01-02T00:00:00+00:00",
        "reason": "seen the report",
        "answers": [{"id": "ada", "name": "ada", "reason": "seen the report"}],
    }
    assert approve.multiple_outputs


@pytest.mark.parametrize("reason", [None, "", "  \n"])
def test_an_approval_without_a_reason_is_asked_again(
    approve: Asked, requests: list[dict[str, Any]], reason: str | None
) -> None:
    with pytest.raises(TaskAwaitingInput):
        approve.execute_complete(World(triggering=[MODEL]).context, answer("Approve", reason))

    assert len(requests) == 1


@pytest.mark.parametrize("who", ["ada", None])
def test_a_rejection_or_a_timeout_skips_everything_downstream(
    approve: Asked, who: str | None
) -> None:
    approve.downstream_task_ids.add("promote")
    world = World(triggering=[MODEL])
    below = [SimpleNamespace(task_id=t, is_teardown=False) for t in ("promote", "deploy")]
    world.context["task"] = SimpleNamespace(get_flat_relatives=lambda upstream: below)

    value = approve.execute_complete(world.context, answer("Reject", None, who))

    assert approve.skipped == ["promote", "deploy"]
    assert (value["decision"], value["approved_by"]) == ("Reject", who)


def test_a_run_by_hand_asks_about_the_newest_challenger_of_all(approve: Asked) -> None:
    world = World(history=[{"version": "2"}, MODEL])

    value = approve.execute_complete(world.context, answer("Approve", "again"))

    assert value["version"] == "3"


def test_a_challenger_that_comes_while_the_question_is_open_is_not_approved(
    approve: Asked,
) -> None:
    world = World(history=[MODEL])
    newer = SimpleNamespace(
        extra={**MODEL, "version": "4"}, timestamp=RUN_AFTER + timedelta(seconds=1)
    )
    world.context["inlet_events"][world.asset].append(newer)

    value = approve.execute_complete(world.context, answer("Approve", "seen the report"))

    assert value["version"] == "3"


def test_a_run_by_hand_without_any_challenger_says_what_to_do(approve: Asked) -> None:
    with pytest.raises(AirflowFailException) as raised:
        approve.execute(World().context)

    assert str(raised.value) == (
        "darkroom://signs/challenger has no event: there is no challenger to approve, run the "
        "training first"
    )


def test_the_policy_auto_asks_nobody_about_a_pass(requests: list[dict[str, Any]]) -> None:
    value = asking(policy="auto").execute(World(triggering=[MODEL]).context)

    assert requests == []
    assert datetime.now(UTC) - datetime.fromisoformat(value.pop("approved_at")) < timedelta(hours=1)
    assert value == {
        "version": "3",
        "model_digest": "d1",
        "decision_digest": JUDGED.digest,
        "requested_run_id": "run7",
        "decision": "Approve",
        "approved_by": "approval.policy auto",
        "reason": "the gate said PASS",
        "answers": [
            {
                "id": "approval.policy auto",
                "name": "approval.policy auto",
                "reason": "the gate said PASS",
            }
        ],
    }


def test_the_policy_auto_asks_a_person_about_the_rest(requests: list[dict[str, Any]]) -> None:
    # What the event calls the verdict counts for nothing: the checks say what it is.
    unsure = {"decision": UNSURE.to_json(), "decision_digest": UNSURE.digest}
    model = {**MODEL, **unsure, "verdict": "PASS"}

    with pytest.raises(TaskAwaitingInput):
        asking(policy="auto").execute(World(triggering=[model]).context)

    assert len(requests) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"decision": DECISION.to_json()},
        {"decision_digest": UNSURE.digest},
        {"model_digest": "d2"},
    ],
)
@pytest.mark.parametrize("policy", ["auto", "ask"])
def test_a_decision_that_is_not_the_one_to_approve_is_not_shown(
    policy: str, changes: dict[str, str]
) -> None:
    with pytest.raises(AirflowFailException) as raised:
        asking(policy=policy).execute(World(triggering=[{**MODEL, **changes}]).context)

    assert str(raised.value) == (
        "the event of version 3 is void: its decision is not the one that it names, or of another "
        "model; train again"
    )


def test_only_the_approvers_are_asked(requests: list[dict[str, Any]]) -> None:
    approve = asking(approvers=("ada", "eve"))
    world = World(triggering=[MODEL])

    with pytest.raises(TaskAwaitingInput):
        approve.execute(world.context)
    with pytest.raises(TaskAwaitingInput):
        approve.execute_complete(world.context, answer("Approve", "me too", "mallory"))

    assert [user["id"] for user in requests[0]["assigned_users"]] == ["ada", "eve"]
    assert approve.execute_complete(world.context, answer("Approve", "yes", "eve"))


@pytest.mark.parametrize(
    ("who", "triggered_by"), [("eve", None), ("bob", "bob"), ("ada", None), (None, None)]
)
def test_of_two_people_neither_is_the_requester_or_the_same(
    requests: list[dict[str, Any]], who: str | None, triggered_by: str | None
) -> None:
    approve = asking(after="approve", policy="two_person")
    world = World(triggering=[MODEL], triggered_by=triggered_by)
    world.xcoms["approve.answers"] = [{"id": "ada", "name": "ada", "reason": "fine\nby me"}]

    with pytest.raises(TaskAwaitingInput):
        approve.execute_complete(world.context, answer("Approve", "mine", who))

    (asked,) = requests
    barred = "bob or eve" if triggered_by else "eve"
    assert (
        f"* Approval 2 of 2, each by somebody else, but not {barred}, who asked for it\n"
        "* Approved by ada: fine by me\n"
    ) in asked["body"]


def test_two_approvals_are_one_record() -> None:
    approve = asking(after="approve", policy="two_person")
    world = World(triggering=[MODEL])
    world.xcoms["approve.answers"] = [{"id": "ada", "name": "ada", "reason": "fine"}]

    value = approve.execute_complete(world.context, answer("Approve", "seen it", "bob"))

    assert value["approved_by"] == "ada, bob"
    assert value["reason"] == "ada: fine; bob: seen it"


def test_the_second_of_two_is_asked_of_those_who_are_left(requests: list[dict[str, Any]]) -> None:
    approve = asking(after="approve", policy="two_person", approvers=("ada", "bob", "eve"))
    world = World(triggering=[MODEL])
    world.xcoms["approve.answers"] = [{"id": "ada", "name": "ada", "reason": "fine"}]

    with pytest.raises(TaskAwaitingInput):
        approve.execute(world.context)

    assert requests[0]["assigned_users"] == [{"id": "bob", "name": "bob"}]


def test_nobody_left_to_ask_is_one_line() -> None:
    approve = asking(after="approve", policy="two_person", approvers=("ada", "eve"))
    world = World(triggering=[MODEL])
    world.xcoms["approve.answers"] = [{"id": "ada", "name": "ada", "reason": "fine"}]

    with pytest.raises(AirflowFailException) as raised:
        approve.execute(world.context)

    assert str(raised.value) == (
        "approval.approvers = ['ada', 'eve']: ada, eve may not approve, and nobody else is named: "
        "name more users"
    )


def test_as_many_tasks_ask_as_people_have_to_approve() -> None:
    challenger = Asset("darkroom://signs/challenger")
    with DAG("signs_promotion"):
        tasks = ask_for_approval(ApprovalConfig(policy="two_person", people=3), challenger)

    assert [task.task_id for task in tasks] == ["approve", "approve_2", "approve_3"]
    assert [task.after for task in tasks] == [None, "approve", "approve_2"]
    assert tasks[0].downstream_task_ids == {"approve_2"}
    assert {task.defaults[0] for task in tasks if task.defaults} == {"Reject"}
