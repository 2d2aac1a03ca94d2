"""What the console's chain does with a question, against an Airflow that only pretends."""

from pathlib import Path
from typing import Any, cast

import pytest

from local_stack import chain as chain_module
from local_stack.chain import Chain, ChainError
from local_stack.client import AirflowClient, TaskState
from local_stack.layout import Layout


class Pretended:
    """A promotion run whose tasks never change."""

    def __init__(self, **states: str) -> None:
        self.states = states
        self.answers: list[tuple[str, str]] = []

    def tasks(self, dag: str, run: str) -> list[TaskState]:
        return [TaskState(task, -1, None, state, 1, 0.1) for task, state in self.states.items()]

    def question(self, dag: str, run: str, task: str) -> dict[str, str]:
        return {"subject": f"{task} of {run}?"}

    def answer(self, dag: str, run: str, task: str, option: str, reason: str) -> None:
        self.answers.append((task, option))

    def xcom(self, dag: str, run: str, task: TaskState, key: str = "return_value") -> Any:
        return None

    def run_state(self, dag: str, run: str) -> str:
        return "success"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_module, "_SETTLE_SECONDS", 0)
    monkeypatch.setattr(chain_module, "_POLL_SECONDS", 0)


def chain(client: Pretended, tmp_path: Path) -> Chain:
    return Chain(cast(AirflowClient, client), cast(Layout, tmp_path), "signs")


@pytest.mark.parametrize("state", ["awaiting_input", "deferred"])
def test_a_question_is_one_whatever_it_waits_for(state: str, tmp_path: Path) -> None:
    asked = chain(Pretended(approve=state), tmp_path).wait_for_question("r1")

    assert asked == {"subject": "approve of r1?"}


def test_where_nobody_is_asked_there_is_no_question(quick: None, tmp_path: Path) -> None:
    client = Pretended(approve="success", deploy="success")

    assert chain(client, tmp_path).wait_for_question("r1") is None
    assert chain(client, tmp_path).approve("r1", "fine", lambda task: None).task.task == "deploy"
    assert client.answers == []


@pytest.mark.parametrize(
    ("states", "task"),
    [
        ({"approve": "awaiting_input"}, "approve"),
        ({"approve": "awaiting_input", "approve_2": "awaiting_input"}, "approve_2"),
    ],
)
def test_an_approval_that_is_not_enough_is_one_line(
    quick: None, states: dict[str, str], task: str, tmp_path: Path
) -> None:
    client = Pretended(**states)

    with pytest.raises(ChainError) as raised:
        chain(client, tmp_path).approve("r1", "fine", lambda task: None)

    assert str(raised.value) == (
        f"{task}: Airflow asks again, for somebody else has to approve this model (too): see "
        "Required Actions in its pages"
    )
    assert client.answers == [("approve", "Approve")]
