"""Results, decisions and the workspace: what is written is what is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.contract import (
    Check,
    GateDecision,
    MissingInputError,
    Stage,
    StageResult,
    StageStatus,
    Verdict,
    Workspace,
)
from darkroom.contract.workspace import safe_name


def check(verdict: Verdict, name: str = "accuracy") -> Check:
    return Check(name=name, verdict=verdict, value=0.5, threshold=0.9, reason=f"{name} is low")


def decision(*verdicts: Verdict) -> GateDecision:
    return GateDecision(candidate="abc", champion=None, checks=tuple(map(check, verdicts)))


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ((Verdict.PASS, Verdict.PASS), Verdict.PASS),
        ((Verdict.PASS, Verdict.INCONCLUSIVE), Verdict.INCONCLUSIVE),
        ((Verdict.INCONCLUSIVE, Verdict.FAIL), Verdict.FAIL),
        ((), Verdict.FAIL),
    ],
)
def test_a_gate_fails_closed(verdicts: tuple[Verdict, ...], expected: Verdict) -> None:
    assert decision(*verdicts).verdict is expected


def test_a_decision_without_checks_says_why_it_fails() -> None:
    assert decision().reasons == ("no check was made",)


def test_a_decision_survives_its_json() -> None:
    made = decision(Verdict.PASS, Verdict.INCONCLUSIVE)
    read = GateDecision.from_json(made.to_json())
    assert read == made
    assert read.digest == made.digest


def test_an_edited_verdict_is_not_believed() -> None:
    values = json.loads(decision(Verdict.FAIL).to_json())
    values["verdict"] = "PASS"
    with pytest.raises(ValueError, match=r"^the verdict PASS is not what the checks say$"):
        GateDecision.from_json(json.dumps(values))


def test_a_result_survives_its_json() -> None:
    result = StageResult(
        stage=Stage.INGEST, status=StageStatus.DONE, summary="3 files", outputs={"found": 3}
    )
    assert StageResult.from_json(result.to_json()) == result


def test_something_else_is_not_a_result() -> None:
    with pytest.raises(ValueError, match=r"^not a stage result: 'stage'$"):
        StageResult.from_json("{}")


def test_a_run_folder_gives_what_was_written(tmp_path: Path) -> None:
    folder = Workspace(tmp_path).run("signs", "manual__2026-01-01T00:00:00+00:00")
    result = StageResult(stage=Stage.FEATURIZE, status=StageStatus.DONE, summary="done")
    folder.write(result, "ResNet50")
    assert folder.read(Stage.FEATURIZE, "ResNet50") == result
    assert folder.result_file(Stage.FEATURIZE, "ResNet50") == (
        tmp_path / "runs/signs/manual__2026-01-01T00_00_00_00_00/featurize.ResNet50.json"
    )


def test_a_stage_that_has_not_run_is_named(tmp_path: Path) -> None:
    folder = Workspace(tmp_path).run("signs", "r1")
    with pytest.raises(MissingInputError) as caught:
        folder.read(Stage.TUNE)
    assert str(caught.value) == "stage tune has not run in run r1: run it first"


def test_a_failed_stage_is_no_input(tmp_path: Path) -> None:
    folder = Workspace(tmp_path).run("signs", "r1")
    folder.write(StageResult(stage=Stage.TUNE, status=StageStatus.FAILED, summary="no"))
    with pytest.raises(MissingInputError) as caught:
        folder.read(Stage.TUNE)
    assert str(caught.value) == "stage tune failed in run r1: run it first"


@given(st.text(min_size=1))
def test_safe_names_are_file_names(text: str) -> None:
    name = safe_name(text)
    assert len(name) == len(text)
    assert "/" not in name
