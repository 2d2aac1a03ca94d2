"""What people see of a version in shadow: in the question, and on the page of all pipelines."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskAwaitingInput

from darkroom.contract import ApprovalConfig, Disagreement, ShadowComparison, Workspace
from darkroom_airflow.operators.question import request_text
from darkroom_airflow.overview.page import render
from darkroom_airflow.overview.registry import Registered, Version
from darkroom_airflow.shadow import shadow_of
from tests.pages import shown
from tests.unit.airflow_env.airflow_world import World, outside_airflow
from tests.unit.airflow_env.test_approval import MODEL, Asked, asking
from tests.unit.airflow_env.test_overview import FIRST, known

COMPARED = ShadowComparison(
    champion="2",
    challenger="3",
    challenger_digest="d1",
    compared=1000,
    differing=37,
    low=0.0269,
    high=0.0505,
    confidence=0.95,
    compared_at="2026-03-01T12:00:00+00:00",
    examples=(
        Disagreement(path="night/7.jpg", champion="stop", challenger="yield"),
        Disagreement(path="a `[x](y)`\n<b>.jpg", champion="stop", challenger=None),
    ),
    page="reports/signs/shadow/version-3.html",
)
SENTENCE = (
    "version 3 disagrees with version 2 on 37 of 1,000 images: 3.7 % (95% interval 2.7 % to 5.1 %)"
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace in which version 3 has been compared."""
    made = Workspace(tmp_path / "workspace")
    made.shadow("signs").parent.mkdir(parents=True)
    made.shadow("signs").write_text(COMPARED.to_json())
    assert COMPARED.page is not None
    (made.root / COMPARED.page).parent.mkdir(parents=True)
    (made.root / COMPARED.page).touch()
    monkeypatch.setenv("DARKROOM_WORKSPACE", str(made.root))
    monkeypatch.setenv("DARKROOM_FILES_URL", "http://files")
    return made


def test_the_question_says_how_often_and_on_which_pictures(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside_airflow(monkeypatch)
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "airflow.providers.standard.operators.hitl.upsert_hitl_detail",
        lambda **detail: sent.append(detail),
    )
    approve: Asked = asking()

    with pytest.raises(TaskAwaitingInput):
        approve.execute(World(triggering=[MODEL]).context)

    assert (
        f"**In shadow**, on the newest images, {SENTENCE}: "
        "[the pictures](http://files/reports/signs/shadow/version-3.html)\n"
        "* `night/7.jpg`: `stop` → `yield`\n"
        "* `a '[x](y)' <b>.jpg`: `stop` → no answer\n"
        "* and 35 more\n"
    ) in sent[0]["body"]


def test_two_that_agree_are_one_line() -> None:
    agreed = replace(COMPARED, differing=0, low=0.0, high=0.0038, examples=())

    text = request_text(MODEL, ApprovalConfig(), shadow=(agreed, None))

    assert (
        "**In shadow**, on the newest images, version 3 disagrees with version 2 on 0 of 1,000 "
        "images: 0.0 % (95% interval 0.0 % to 0.4 %)\n\n"
    ) in text


@pytest.mark.parametrize(
    ("pipeline", "version", "digest"),
    [("signs", "4", "d1"), ("signs", "3", "d2"), ("cats", "3", "d1")],
)
def test_another_versions_comparison_is_not_shown(
    place: Workspace, pipeline: str, version: str, digest: str
) -> None:
    assert shadow_of(place, pipeline, version, digest) == (None, None)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"examples": [{"path": 1}]}'])
def test_a_file_that_cannot_be_read_is_one_line(place: Workspace, text: str) -> None:
    place.shadow("signs").write_text(text)

    found, problem = shadow_of(place, "signs", "3", "d1")

    assert found is None
    assert problem is not None
    assert problem.startswith("The comparison in shadow cannot be read (")
    assert problem in request_text(MODEL, ApprovalConfig(), shadow=(None, problem))


def test_the_page_of_all_pipelines_shows_it_beside_the_challenger(
    place: Workspace, pipelines: Path
) -> None:
    waiting = Version(number="3", digest="d1", verdict="PASS", run_id="t3", report="")

    page = render([known(pipelines)], {"signs": Registered(FIRST, waiting)}, None, place)

    champion, _, challenger = shown(page).partition("Challenger")
    assert f"In shadow, {SENTENCE}." in challenger
    assert "shadow" not in champion
    assert 'href="http://files/reports/signs/shadow/version-3.html"' in page
