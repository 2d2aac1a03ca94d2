"""What the page of all pipelines asks MLflow, and what it makes of the answers."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator

import pytest

from darkroom_airflow.overview.registry import Registered, RegistryError, Version, registered
from tests.unit.airflow_env.mlflow_stub import Stub, stub


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    for name in ("USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    with stub() as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        yield server


def ask(*names: str, seconds: float = 4.0) -> dict[str, Registered]:
    return asyncio.run(registered(names, seconds))


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

    with pytest.raises(RegistryError, match=r"^MLflow did not answer within 0\.2 s$"):
        ask(*(f"p{number}" for number in range(40)), seconds=0.2)

    # Those that were asked at once: the time is for all of them together, not for each.
    assert len(mlflow.seen) <= 8


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
