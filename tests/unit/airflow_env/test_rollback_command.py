"""What ``make rollback`` and ``make run`` refuse before they start anything."""

import fcntl
from pathlib import Path

import pytest

from local_stack.layout import Layout
from local_stack.rollback import run_rollback
from local_stack.run import run_pipeline
from local_stack.stack import running_airflow
from tests.unit.airflow_env.conftest import PIPELINE


def test_nobody_approves_for_several_people(
    layout: Layout, photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (layout.pipelines / "signs.yaml").write_text(
        PIPELINE.replace("photographs", str(photographs)) + "approval: {policy: two_person}\n"
    )

    assert run_pipeline(layout, "signs", None, approve="yes") == 2

    problem = "several people have to approve this pipeline's models, in Airflow: make up"
    assert capsys.readouterr() == ("", f"error: APPROVE = 'yes': {problem}\n")
    assert not layout.workspace.root.exists()


@pytest.mark.parametrize(
    ("pipeline", "reason", "message"),
    [
        ("cats", "why", "PIPELINE = 'cats': there is no such pipeline, known are: signs"),
        ("signs", " ", "REASON = ' ': say in a few words why the champion has to go"),
    ],
)
def test_a_rollback_of_nothing_or_without_a_reason_starts_nothing(
    layout: Layout,
    pipeline: str,
    reason: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_rollback(layout, pipeline, reason, None) == 2

    assert capsys.readouterr() == ("", f"error: {message}\n")
    assert not layout.workspace.root.exists()


def test_only_a_stack_that_runs_has_an_address(layout: Layout) -> None:
    assert running_airflow(layout) is None
    layout.workspace.root.mkdir(parents=True)
    state = layout.workspace.root / "stack.json"
    state.write_text('{"airflow": "http://127.0.0.1:8080"}')

    with (layout.workspace.root / "stack.lock").open("w") as lock:
        left_behind = running_airflow(layout)
        fcntl.flock(lock, fcntl.LOCK_EX)
        held = running_airflow(layout)

    assert (left_behind, held) == (None, "http://127.0.0.1:8080")
