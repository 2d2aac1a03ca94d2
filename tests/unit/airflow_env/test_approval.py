"""What a person is asked, and what an answer does."""

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowFailException, TaskAwaitingInput

from darkroom.contract import Verdict
from darkroom_airflow.operators.approval import ChallengerApprovalOperator, request_text
from tests.unit.airflow_env.airflow_world import World, outside_airflow
from tests.unit.airflow_env.fake_spark_submit import DECISION

MODEL = {
    "version": "3",
    "model_digest": "aaa",
    "decision_digest": "bbb",
    "verdict": "PASS",
    "decision": DECISION.to_json(),
    "test_images": 200,
    "champion_version": "2",
    "report": "reports/signs/r/index.html",
    "training_run_id": "run7",
}


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


@pytest.fixture
def approve() -> Asked:
    challenger = Asset("darkroom://signs/challenger")
    return Asked(task_id="approve", challenger=challenger, timeout_hours=1.5)


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
        "digest `aaa`",
        "Decision `bbb`",
        "Training run `run7`",
        "[Report](http://127.0.0.1:8090/reports/signs/r/index.html)",
    ):
        assert part in asked["body"]


def test_the_first_model_has_no_champion_to_beat_and_may_lack_a_report() -> None:
    text = request_text({**MODEL, "champion_version": None, "report": None})

    assert "(no champion yet, 200 held-out images)" in text
    assert "No report" in text


def test_what_kept_the_gate_from_passing_stands_above_the_numbers() -> None:
    unsure = replace(DECISION.checks[0], verdict=Verdict.INCONCLUSIVE, reason="too few to tell")
    decision = replace(DECISION, checks=(unsure,)).to_json()

    text = request_text({**MODEL, "decision": decision})

    assert "**Verdict: INCONCLUSIVE**" in text
    assert text.index("* too few to tell\n") < text.index("| accuracy | 0.93 | 0.85 | INCONCLUSIVE")


def test_an_approval_hands_on_who_when_why_and_the_digests(approve: Asked) -> None:
    world = World(triggering=[{"version": "2"}, MODEL])

    value = approve.execute_complete(world.context, answer("Approve", "  seen the report "))

    assert value == {
        "version": "3",
        "model_digest": "aaa",
        "decision_digest": "bbb",
        "requested_run_id": "run7",
        "decision": "Approve",
        "approved_by": "ada",
        "approved_at": "2026-01-02T00:00:00+00:00",
        "reason": "seen the report",
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


def test_a_run_by_hand_without_any_challenger_says_what_to_do(approve: Asked) -> None:
    with pytest.raises(AirflowFailException) as raised:
        approve.execute(World().context)

    assert str(raised.value) == (
        "darkroom://signs/challenger has no event: there is no challenger to approve, run the "
        "training first"
    )
