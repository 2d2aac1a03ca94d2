"""What the stage register lets through, and how it reaches the server."""

from __future__ import annotations

import socket

import pytest

from darkroom.contract import (
    Check,
    ConfigError,
    DarkroomError,
    GateDecision,
    GateFailedError,
    MissingInputError,
    Verdict,
)
from darkroom.registry.client import connect, in_one_line
from darkroom.stages.register import passed_decision

DIGEST = "a" * 64
RUN = "manual__1"


def decision(*verdicts: Verdict, candidate: str = DIGEST) -> GateDecision:
    checks = tuple(
        Check(name=f"c{i}", verdict=v, value=0.5, threshold=0.9, reason=f"c{i} is 0.5, not 0.9")
        for i, v in enumerate(verdicts)
    )
    return GateDecision(candidate=candidate, champion=None, checks=checks)


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.INCONCLUSIVE])
def test_a_passed_or_inconclusive_decision_is_let_through(verdict: Verdict) -> None:
    given = decision(Verdict.PASS, verdict)

    assert passed_decision({"decision": given.to_json()}, DIGEST, RUN) == given


def test_a_failed_decision_is_refused_with_its_reasons() -> None:
    given = decision(Verdict.FAIL, Verdict.PASS, Verdict.FAIL)

    with pytest.raises(GateFailedError) as caught:
        passed_decision({"decision": given.to_json()}, DIGEST, RUN)

    assert str(caught.value) == (
        "the gate did not let model aaaaaaaaaaaa pass: c0 is 0.5, not 0.9; c2 is 0.5, not 0.9"
    )
    assert caught.value.permanent


def test_a_decision_without_checks_is_refused() -> None:
    with pytest.raises(GateFailedError, match="no check was made"):
        passed_decision({"decision": decision().to_json()}, DIGEST, RUN)


def test_a_decision_about_another_model_is_refused() -> None:
    given = decision(Verdict.PASS, candidate="b" * 64)

    with pytest.raises(GateFailedError) as caught:
        passed_decision({"decision": given.to_json()}, DIGEST, RUN)

    assert str(caught.value) == (
        "the gate judged model bbbbbbbbbbbb, but the candidate of run manual__1 is aaaaaaaaaaaa: "
        "evaluate this run's candidate"
    )


def test_an_edited_verdict_is_refused() -> None:
    edited = (
        decision(Verdict.FAIL).to_json().replace('"verdict": "FAIL"\n}', '"verdict": "PASS"\n}')
    )

    with pytest.raises(GateFailedError) as caught:
        passed_decision({"decision": edited}, DIGEST, RUN)

    assert str(caught.value) == (
        "the gate's decision of run manual__1 is void: the verdict PASS is not what the checks say"
    )


@pytest.mark.parametrize("text", ["{", "[]", "null", "{}", '{"checks": [1]}'])
def test_what_is_no_decision_is_refused(text: str) -> None:
    with pytest.raises(GateFailedError, match="is void"):
        passed_decision({"decision": text}, DIGEST, RUN)


@pytest.mark.parametrize("outputs", [{}, {"decision": None}, {"decision": ""}])
def test_a_missing_decision_is_a_missing_input(outputs: dict[str, object]) -> None:
    with pytest.raises(MissingInputError) as caught:
        passed_decision(outputs, DIGEST, RUN)

    assert str(caught.value) == "stage evaluate left no decision in run manual__1: run it again"


@pytest.mark.parametrize("value", [None, "", "  "])
def test_an_unset_address_is_named(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if value is not None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", value)

    with pytest.raises(ConfigError) as caught:
        connect()

    assert str(caught.value) == (
        f"MLFLOW_TRACKING_URI = {value!r}: set it to the MLflow server's address, "
        "for example http://127.0.0.1:5000"
    )


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch) -> str:
    """Address of a server that is not there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


def test_a_server_that_does_not_answer_is_named_at_once(gone: str) -> None:
    with pytest.raises(DarkroomError) as caught:
        connect()

    assert str(caught.value) == (
        f"the MLflow server at {gone} does not answer ([Errno 111] Connection refused): "
        "start it with make up, or correct MLFLOW_TRACKING_URI"
    )
    assert not caught.value.permanent


def test_a_server_that_is_gone_amid_a_stage_is_one_line(
    gone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(MlflowException) as caught:
        MlflowClient(tracking_uri=gone).get_run("r")

    error = in_one_line(caught.value)

    assert error is not None
    assert not error.permanent
    assert str(error).startswith(
        f"the MLflow server at {gone} does not answer any more: start it again, then this stage, "
        "which goes on where it was ("
    )
    assert "Connection refused" in str(error)
    assert "\n" not in str(error)
