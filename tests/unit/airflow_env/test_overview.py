"""The page of all pipelines: what it asks MLflow, what it shows, and what it never does."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from darkroom.contract import Stage, StageResult, StageStatus, Workspace
from darkroom_airflow.overview.local import Change, Known, Question, ledger_of
from darkroom_airflow.overview.page import render
from darkroom_airflow.overview.registry import Registered, RegistryError, Version, registered
from darkroom_airflow.pipelines import load_pipelines
from tests.unit.airflow_env.mlflow_stub import Stub, stub

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>"
FIRST = Version(number="1", digest="a" * 64, verdict="PASS", run_id="t1", report="")


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    for name in ("USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    with stub() as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        yield server


def ask(*names: str, seconds: float = 4.0) -> dict[str, Registered]:
    return asyncio.run(registered(names, seconds))


def known(pipelines: Path, **changes: Any) -> Known:
    (pipeline,) = load_pipelines(pipelines).valid
    values: dict[str, Any] = {
        "config": pipeline.config,
        "questions": (),
        "changes": (),
        "problem": None,
        "training": "/dags/signs_training",
    }
    return Known(**values | changes)


class Reader(HTMLParser):
    """Notes a page's tags and words."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.words += data.split()


def shown(page: str) -> str:
    """The page's words, on one line."""
    return " ".join(Reader(page.partition("<body>")[2]).words)


def test_champion_and_challenger_are_asked_for_by_their_aliases(mlflow: Stub) -> None:
    tags = {"model_digest": "d", "verdict": "PASS", "run_id": "t1", "report": "reports/x"}
    listed = [{"key": f"darkroom.{key}", "value": value} for key, value in tags.items()]
    mlflow.versions["signs", "champion"] = {"version": "3", "tags": listed}
    mlflow.versions["cats", "challenger"] = {"version": 4}

    found = ask("signs", "cats")

    three = Version(number="3", digest="d", verdict="PASS", run_id="t1", report="reports/x")
    four = Version(number="4", digest="", verdict="", run_id="", report="")
    assert found == {"signs": Registered(three, None), "cats": Registered(None, four)}


def test_no_pipeline_is_no_question(mlflow: Stub) -> None:
    assert ask() == {}
    assert mlflow.seen == []


def test_user_and_password_of_the_environment_are_used(
    mlflow: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "kim")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "p:w")

    ask("signs")

    expected = f"Basic {base64.b64encode(b'kim:p:w').decode()}"
    assert {headers["Authorization"] for headers in mlflow.seen} == {expected}


def test_a_token_of_the_environment_is_used(mlflow: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")

    ask("signs")

    assert {headers["Authorization"] for headers in mlflow.seen} == {"Bearer t0ken"}


@pytest.mark.parametrize(
    ("status", "text", "line"),
    [
        (500, "{}", "MLflow answers 500"),
        (200, "<html>", "what answers is not MLflow (Expecting value: line 1 column 1 (char 0))"),
        (200, "{}", "what answers is not MLflow ('model_version')"),
        (404, "gone", "what answers is not MLflow (Expecting value: line 1 column 1 (char 0))"),
        (404, '{"error_code": "ENDPOINT_NOT_FOUND"}', "MLflow answers 404"),
        (
            401,
            "who are you",
            "MLflow refuses the user of MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
        ),
        (302, "", "MLflow answers 302"),
    ],
)
def test_a_server_in_trouble_is_one_line(mlflow: Stub, status: int, text: str, line: str) -> None:
    mlflow.status, mlflow.text = status, text

    with pytest.raises(RegistryError) as caught:
        ask("signs")

    assert str(caught.value) == line


def test_a_server_that_hangs_is_given_up(mlflow: Stub) -> None:
    mlflow.delay = 2
    begun = time.monotonic()

    with pytest.raises(RegistryError, match=r"^MLflow did not answer within 0\.2 s$"):
        ask(*(f"p{number}" for number in range(40)), seconds=0.2)

    assert time.monotonic() - begun < 1


def test_a_server_that_is_away_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with stub() as gone:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", gone.url)

    with pytest.raises(RegistryError, match=r"^MLflow does not answer \(ConnectError\)$"):
        ask("signs")


def test_an_address_that_is_none_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:port")

    with pytest.raises(RegistryError, match=r"^MLflow does not answer \(InvalidURL\)$"):
        ask("signs")


@pytest.mark.parametrize("address", ["", "sqlite:///mlflow.db", "file:/etc"])
def test_what_is_no_server_is_not_asked(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)

    with pytest.raises(RegistryError, match=r"^MLFLOW_TRACKING_URI names no MLflow server$"):
        ask("signs")


def test_the_page_shows_roles_questions_and_ledger(
    pipelines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_FILES_URL", "http://files")
    monkeypatch.setenv("DARKROOM_MLFLOW_URL", "http://mlflow")
    place = Workspace(tmp_path)
    for path in ("reports/signs/t1/index.html", "data_docs/signs/t1/index.html"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).touch()
    validated = StageResult(
        stage=Stage.VALIDATE,
        status=StageStatus.DONE,
        summary="",
        report="data_docs/signs/t1/index.html",
    )
    place.run("signs", "t1").write(validated)
    champion = Version(
        number="1",
        digest="a" * 64,
        verdict="PASS",
        run_id="t1",
        report="reports/signs/t1/index.html",
    )
    challenger = Version(number="2", digest="", verdict="odd", run_id="t2", report="")
    question = Question(
        subject="May version 2 become champion?",
        since=NOON,
        link="/dags/signs_promotion/runs/r/tasks/approve/required_actions",
        assigned=("kim",),
    )
    change = Change(
        at=NOON, action="promote", from_version=None, to_version="1", who="kim", why="good"
    )

    page = render(
        [known(pipelines, questions=(question,), changes=(change,))],
        {"signs": Registered(champion, challenger)},
        None,
        place,
    )

    said = shown(page)
    assert "Champion version 1 Gate: PASS model aaaaaaaaaaaa Report Validation MLflow" in said
    assert "Challenger version 2 The gate has left no verdict MLflow" in said
    assert "May version 2 become champion? asked 2026-03-01 12:00 UTC , of kim" in said
    assert "2026-03-01 12:00 promote 1 by kim good" in said
    links = set(re.findall(r'href="([^"]+)"', page))
    assert links >= {
        "/dags/signs_training",
        "/dags/signs_promotion/runs/r/tasks/approve/required_actions",
        "/required_actions?response_received=false",
        "http://files/reports/signs/t1/index.html",
        "http://files/data_docs/signs/t1/index.html",
        "http://mlflow/#/models/signs/versions/1",
    }


def test_without_the_registry_the_rest_is_shown(pipelines: Path, tmp_path: Path) -> None:
    change = Change(
        at=NOON, action="rollback", from_version="2", to_version="1", who="kim", why="worse"
    )

    page = render(
        [known(pipelines, changes=(change,))], {}, "MLflow does not answer", Workspace(tmp_path)
    )

    said = shown(page)
    assert "Champions and challengers are not known: MLflow does not answer." in said
    assert "rollback 2 → 1 by kim worse" in said
    assert "No champion and no challenger yet" not in said


@pytest.mark.parametrize(("serving", "stays"), [("1", ", 1 answers"), (None, "")])
def test_a_version_that_may_not_answer_is_shown(
    serving: str | None, stays: str, pipelines: Path, tmp_path: Path
) -> None:
    change = Change(
        at=NOON,
        action="refuse",
        from_version=serving,
        to_version="2",
        who="sql-gateway",
        why="fails its load check",
    )

    page = render([known(pipelines, changes=(change,))], {}, None, Workspace(tmp_path))

    said = f"2026-03-01 12:00 refuse 2 {stays} by sql-gateway fails its load check"
    assert " ".join(said.split()) in shown(page)


def test_who_may_see_nothing_is_told_so(tmp_path: Path) -> None:
    assert "There is no pipeline that you may see." in shown(
        render([], {}, None, Workspace(tmp_path))
    )


def test_hostile_texts_are_shown_as_they_are_written(pipelines: Path, tmp_path: Path) -> None:
    text = (pipelines / "signs.yaml").read_text()
    (pipelines / "signs.yaml").write_text(text.replace("Recognises signs", f"'{HOSTILE}'"))
    version = Version(
        number=f"1{HOSTILE}", digest=HOSTILE, verdict=HOSTILE, run_id=HOSTILE, report=HOSTILE
    )
    change = Change(
        at=NOON, action=HOSTILE, from_version=HOSTILE, to_version=HOSTILE, who=HOSTILE, why=HOSTILE
    )
    question = Question(subject=HOSTILE, since=NOON, link="/x", assigned=(HOSTILE,))

    page = render(
        [known(pipelines, questions=(question,), changes=(change,), problem=None)],
        {"signs": Registered(version, version)},
        HOSTILE,
        Workspace(tmp_path),
    )

    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 8


@pytest.mark.parametrize(
    "report",
    ["/etc/passwd", "reports/../airflow/passwords.json", "airflow/passwords.json", "..", ""],
)
def test_a_report_that_lies_elsewhere_is_not_linked(
    report: str, pipelines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_FILES_URL", "http://files")
    (tmp_path / "airflow").mkdir()
    (tmp_path / "airflow" / "passwords.json").touch()
    (tmp_path / "reports").mkdir()
    version = Version(number="1", digest="", verdict="PASS", run_id="..", report=report)

    page = render([known(pipelines)], {"signs": Registered(version)}, None, Workspace(tmp_path))

    assert ">Report</a>" not in page


def test_the_page_loads_nothing_and_runs_nothing(pipelines: Path, tmp_path: Path) -> None:
    page = render([known(pipelines)], {"signs": Registered(FIRST)}, None, Workspace(tmp_path))

    assert not {"script", "link", "img", "iframe", "form", "button"} & Reader(page).tags
    assert '<html lang="en">' in page
    assert "prefers-color-scheme: dark" in page


def test_the_ledgers_copy_is_read_newest_first(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    rows = [
        {
            "at": f"2026-03-{day:02}T12:00:00+00:00",
            "from_version": str(day - 1) if day > 1 else None,
            "to_version": str(day),
            "who": "kim",
            "why": "good",
            "action": "promote",
            "pipeline": "signs",
        }
        for day in range(20, 0, -1)
    ]
    assert ledger_of(place, "signs") == ((), None)
    place.ledger("signs").parent.mkdir()
    place.ledger("signs").write_text(json.dumps(rows))

    changes, problem = ledger_of(place, "signs")

    assert problem is None
    assert [change.to_version for change in changes] == [str(day) for day in range(20, 10, -1)]
    assert changes[0].at == datetime(2026, 3, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize("text", ["{", '[{"at": "yesterday"}]', "[1]", '{"a": 1}', "7"])
def test_a_copy_that_cannot_be_read_is_one_line(text: str, tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    place.ledger("signs").parent.mkdir()
    place.ledger("signs").write_text(text)

    changes, problem = ledger_of(place, "signs")

    assert changes == ()
    assert problem is not None
    assert problem.startswith("The ledger's copy cannot be read (")
