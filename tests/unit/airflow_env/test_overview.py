"""The page of all pipelines: what it shows, and what it never does."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from darkroom.contract import Stage, StageResult, StageStatus, Workspace
from darkroom_airflow.overview.local import Change, Known, Question, Training, ledger_of
from darkroom_airflow.overview.page import render
from darkroom_airflow.overview.registry import Registered, Version
from darkroom_airflow.pipelines import load_pipelines
from tests.pages import Reader, shown

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>"
FIRST = Version(number="1", digest="a" * 64, verdict="PASS", run_id="t1", report="")


def known(pipelines: Path, **changes: Any) -> Known:
    (pipeline,) = load_pipelines(pipelines).valid
    values: dict[str, Any] = {
        "config": pipeline.config,
        "newest": (),
        "questions": (),
        "changes": (),
        "problem": None,
        "training": "/dags/signs_training",
    }
    return Known(**values | changes)


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


def training(state: str, *failed: str) -> Training:
    return Training(
        run_id="t9",
        state=state,
        since=NOON,
        failed=frozenset(failed),
        link="/dags/signs_training/runs/t9",
    )


def leave(place: Workspace, stage: Stage, summary: str, **values: Any) -> None:
    """Leaves what a stage of the newest run has to say."""
    given = {"status": StageStatus.DONE, **values}
    place.run("signs", "t9").write(StageResult(stage=stage, summary=summary, **given))


def test_a_blocked_candidate_is_shown_with_its_reason(
    pipelines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_FILES_URL", "http://files")
    monkeypatch.setenv("DARKROOM_MLFLOW_URL", "http://mlflow")
    place = Workspace(tmp_path)
    (tmp_path / "reports/signs/t9").mkdir(parents=True)
    (tmp_path / "reports/signs/t9/index.html").touch()
    leave(place, Stage.TUNE, "chose C=1")
    leave(
        place,
        Stage.EVALUATE,
        "FAIL: it loses in stop",
        status=StageStatus.FAILED,
        outputs={"verdict": "FAIL", "mlflow_run_id": "m9"},
        report="reports/signs/t9/index.html",
    )

    newest = training("failed", "evaluate")
    page = render([known(pipelines, newest=(newest,))], {}, None, place)

    said = shown(page)
    assert (
        "Newest training run 2026-03-01 12:00 UTC failed at evaluate , gate: FAIL "
        "FAIL: it loses in stop Report MLflow" in said
    )
    assert 'class="newest FAIL"' in page
    links = set(re.findall(r'href="([^"]+)"', page))
    assert links >= {
        "/dags/signs_training/runs/t9",
        "http://files/reports/signs/t9/index.html",
        "http://mlflow/#/runs/m9",
    }


@pytest.mark.parametrize(
    ("newest", "line"),
    [
        (training("queued"), "queued"),
        (training("running"), "running chose C=1"),
        (training("success"), "success chose C=1"),
        (training("failed"), "failed chose C=1"),
        (training("failed", "featurize"), "failed at featurize"),
        (training("failed", "validate", "backbones"), "failed at validate too few"),
    ],
)
def test_the_newest_training_says_how_far_it_is(
    newest: Training, line: str, pipelines: Path, tmp_path: Path
) -> None:
    place = Workspace(tmp_path)
    if newest.state != "queued":
        leave(place, Stage.VALIDATE, "too few")
        leave(place, Stage.TUNE, "chose C=1")

    said = shown(render([known(pipelines, newest=(newest,))], {}, None, place))

    assert f"12:00 UTC {line} Changes of the champion" in said


def test_a_result_that_cannot_be_read_is_left_out(pipelines: Path, tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    file = place.run("signs", "t9").result_file(Stage.EVALUATE)
    file.parent.mkdir(parents=True)
    file.write_text("{}")

    newest = training("failed", "evaluate")
    said = shown(render([known(pipelines, newest=(newest,))], {}, None, place))

    assert "12:00 UTC failed at evaluate Changes" in said


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
    place = Workspace(tmp_path)
    leave(place, Stage.EVALUATE, HOSTILE, outputs={"verdict": HOSTILE}, report=HOSTILE)
    newest = training("failed", "evaluate")

    page = render(
        [known(pipelines, newest=(newest,), questions=(question,), changes=(change,))],
        {"signs": Registered(version, version)},
        HOSTILE,
        place,
    )

    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 9


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
