"""What tells people that they are asked, as a pipeline's file names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import TaskAwaitingInput

from darkroom.contract import ApprovalConfig, ConfigError, NotifierConfig
from darkroom_airflow.notifiers import make_notifiers
from darkroom_airflow.operators.approval import ChallengerApprovalOperator
from darkroom_airflow.pipelines import load_pipelines
from tests.unit.airflow_env.airflow_world import World, outside_airflow
from tests.unit.airflow_env.conftest import PIPELINE
from tests.unit.airflow_env.test_approval import MODEL, answer

LETTER = "tests.unit.airflow_env.letters.Letter"
SMTP = "airflow.providers.smtp.notifications.smtp.SmtpNotifier"
SECRET = (
    " = '***': a secret does not belong in this file: keep it in a connection of Airflow's, and "
    "give the notifier that connection's id"
)


@pytest.fixture(autouse=True)
def _outside_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    outside_airflow(monkeypatch)
    monkeypatch.setattr(
        "airflow.providers.standard.operators.hitl.upsert_hitl_detail", lambda **detail: None
    )


def asking(notifier: str, letters: Path, **config: Any) -> tuple[ChallengerApprovalOperator, Any]:
    """A task that asks, and its context."""
    text = (
        "{{ task.subject }} {{ task.generate_link_to_ui(task_instance=ti, base_url='http://a') }}"
    )
    named = NotifierConfig(notifier=notifier, arguments={"file": str(letters), "text": text})
    task = ChallengerApprovalOperator(
        task_id="approve",
        challenger=Asset("darkroom://signs/challenger"),
        config=ApprovalConfig(notifiers=(named,), **config),
    )
    context = World(triggering=[MODEL]).context
    context["task"] = task
    for name in ("dag_id", "run_id", "task_id"):
        setattr(context["ti"], name, name)
    return task, context


def test_people_are_told_each_time_that_they_are_asked(tmp_path: Path) -> None:
    letters = tmp_path / "letters"
    asked = (
        "May version 3 of signs become champion? "
        "http://a/dags/dag_id/runs/run_id/tasks/task_id/required_actions?map_index=-1\n"
    )
    task, context = asking(LETTER, letters)

    with pytest.raises(TaskAwaitingInput):
        task.execute(context)

    assert letters.read_text() == asked
    with pytest.raises(TaskAwaitingInput):
        task.execute_complete(context, answer("Approve", "  "))
    assert letters.read_text() == 2 * asked


def test_where_nobody_is_asked_nobody_is_told(tmp_path: Path) -> None:
    letters = tmp_path / "letters"
    task, context = asking(LETTER, letters, policy="auto")

    task.execute(context)

    assert not letters.exists()


def test_a_letter_that_is_not_sent_is_in_the_log_and_the_question_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task, context = asking("tests.unit.airflow_env.letters.Unsent", tmp_path / "letters")

    with pytest.raises(TaskAwaitingInput):
        task.execute(context)

    told = "People are asked, but Unsent did not tell them: ConnectionRefusedError: no post today"
    assert told in capsys.readouterr().out


def test_airflows_own_notifier_takes_its_secrets_from_a_connection() -> None:
    arguments = {"smtp_conn_id": "our_mail", "to": ["ada@example.org"], "from_email": None}
    (made,) = make_notifiers([NotifierConfig(notifier=SMTP, arguments=arguments)])

    notifier: Any = made.notifier
    assert (notifier.smtp_conn_id, notifier.to) == ("our_mail", ["ada@example.org"])


@pytest.mark.parametrize(
    ("notifier", "arguments", "text"),
    [
        (
            "letters.Letter",
            {},
            "notifier = 'letters.Letter': Airflow's environment does not have it "
            "(ModuleNotFoundError: No module named 'letters'): install it, or correct the path",
        ),
        (
            f"{LETTER}s",
            {},
            f"notifier = '{LETTER}s': Airflow's environment does not have it (AttributeError: "
            "module 'tests.unit.airflow_env.letters' has no attribute 'Letters'): install it, or "
            "correct the path",
        ),
        (
            "pathlib.Path",
            {},
            "notifier = 'pathlib.Path': it is no airflow.sdk.BaseNotifier with a method notify: "
            "name a class that is one",
        ),
        (
            "tests.unit.airflow_env.letters.Unfinished",
            {},
            "notifier = 'tests.unit.airflow_env.letters.Unfinished': it is no "
            "airflow.sdk.BaseNotifier with a method notify: name a class that is one",
        ),
        (
            LETTER,
            {"file": "f", "txt": "t"},
            "arguments = {'file': 'f', 'txt': 't'}: Letter does not take them (TypeError: "
            "Letter.__init__() got an unexpected keyword argument 'txt'): correct them",
        ),
        (SMTP, {"to": "ada", "smtp_password": "swordfish"}, f"arguments.smtp_password{SECRET}"),
        (
            SMTP,
            {"to": "ada", "custom_headers": [{"X-Api-Key": "swordfish"}]},
            f"arguments.custom_headers[0].X-Api-Key{SECRET}",
        ),
        (LETTER, {"file": "https://ada:swordfish@a.org/x"}, f"arguments.file{SECRET}"),
    ],
)
def test_what_cannot_notify_is_refused(notifier: str, arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_notifiers([NotifierConfig(notifier=notifier, arguments=arguments)])

    assert str(caught.value) == f"approval.notifiers[0].{text}"


def test_a_pipeline_with_a_wrong_notifier_is_one_line_and_the_others_stay(pipelines: Path) -> None:
    wrong = f"approval: {{notifiers: [{{notifier: {SMTP}, arguments: {{cc: ada}}}}]}}\n"
    (pipelines / "cats.yaml").write_text(PIPELINE.replace("signs", "cats") + wrong)

    found = load_pipelines()

    assert [pipeline.name for pipeline in found.valid] == ["signs"]
    assert found.problems == (
        "cats.yaml: approval.notifiers[0].arguments = {'cc': 'ada'}: SmtpNotifier does not take "
        "them (TypeError: SmtpNotifier.__init__() missing 1 required positional argument: 'to'): "
        "correct them",
    )
