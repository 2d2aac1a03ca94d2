"""When a training has nothing new to work on: the same images, the same way to a model."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from darkroom.contract import (
    DarkroomError,
    FeaturesConfig,
    GateConfig,
    PipelineConfig,
    SourceConfig,
    Stage,
    StageResult,
    StageStatus,
    TuningConfig,
    ValidationConfig,
    Workspace,
)
from darkroom.registry import lookup
from darkroom.stages.judged import NOTHING_NEW, with_nothing_new
from darkroom.stages.run import StageRun

REPORT = "reports/signs/r1/index.html"
VALIDATED = "data_docs/signs/r1/index.html"
INGESTED = {
    "images_snapshot": 11,
    "splits_snapshot": 12,
    "found": 9,
    "refused": {"TRUNCATED": 1},
    "split_leaks": 0,
}


class Training:
    """A pipeline's runs, as their stages leave them in the workspace."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace(root)
        self.config = PipelineConfig(
            name="signs",
            function="f",
            view="v",
            source=SourceConfig(path="photos"),
            gate=GateConfig(thresholds={"accuracy": 0.5}),
        )
        for page in (REPORT, VALIDATED):
            (root / page).parent.mkdir(parents=True, exist_ok=True)
            (root / page).touch()

    def ingest(self, run_id: str, **changes: Any) -> str | None:
        """What a run's ingestion says of what is new."""
        run = StageRun(folder=self.workspace.run("signs", run_id))
        result = StageResult(
            stage=Stage.INGEST,
            status=StageStatus.UNCHANGED,
            summary="9 files",
            outputs={**INGESTED, **changes},
        )
        said = with_nothing_new(result, self.config, self.workspace, run)
        assert {**said.outputs, NOTHING_NEW: None} == {**result.outputs, NOTHING_NEW: None}
        found: str | None = said.outputs[NOTHING_NEW]
        return found

    def end(
        self,
        stage: Stage,
        status: StageStatus = StageStatus.DONE,
        summary: str = "",
        report: str | None = None,
        **outputs: Any,
    ) -> None:
        result = StageResult(
            stage=stage, status=status, summary=summary, outputs=outputs, report=report
        )
        self.workspace.run("signs", "r1").write(result)

    def evaluate(self, verdict: str = "PASS", status: StageStatus = StageStatus.DONE) -> None:
        self.end(
            Stage.EVALUATE,
            status,
            f"{verdict}: accuracy 0.9",
            REPORT,
            verdict=verdict,
            mlflow_run_id="m",
        )

    def judge(self) -> None:
        """Run r1 comes to its end: people are asked."""
        assert self.ingest("r1") is None
        self.evaluate()
        self.end(Stage.REGISTER, version="1")


@pytest.fixture
def training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Training:
    monkeypatch.setattr(lookup, "run_exists", lambda run_id: run_id == "m")
    return Training(tmp_path)


def asked(training: Training) -> None:
    training.evaluate()
    training.end(Stage.REGISTER, version="1")


def failed_by_the_gate(training: Training) -> None:
    training.evaluate("FAIL", StageStatus.FAILED)


def refused_by_the_validation(training: Training) -> None:
    training.end(
        Stage.VALIDATE, StageStatus.FAILED, "1 of 5 not met", VALIDATED, failed=["min_images"]
    )


def of_unchanged_stages(training: Training) -> None:
    training.evaluate(status=StageStatus.UNCHANGED)
    training.end(Stage.REGISTER, version="1")


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (asked, "evaluate with PASS: accuracy 0.9"),
        (failed_by_the_gate, "evaluate with FAIL: accuracy 0.9"),
        (refused_by_the_validation, "validate with 1 of 5 not met"),
        (of_unchanged_stages, "evaluate with PASS: accuracy 0.9"),
    ],
)
def test_nothing_is_new_once_a_run_of_the_same_came_to_its_end(
    training: Training, end: Callable[[Training], None], said: str
) -> None:
    first = training.ingest("r1")
    end(training)

    assert first is None
    assert training.ingest("r2") == (
        f"nothing new: images and configuration are those of run r1, which ended in {said}"
    )
    assert "run r1" in (training.ingest("r3") or "")


def test_a_run_that_began_meanwhile_and_came_to_nothing_changes_nothing(training: Training) -> None:
    training.ingest("r1")
    training.ingest("r2")
    asked(training)

    assert "run r1" in (training.ingest("r3") or "")


def broke_off(training: Training) -> None:
    """A worker died, for example."""
    training.end(Stage.VALIDATE, report=VALIDATED, expectations=5)
    training.end(Stage.TUNE, StageStatus.FAILED, "unexpected OSError")


def nobody_was_asked(training: Training) -> None:
    training.evaluate()
    training.end(Stage.REGISTER, StageStatus.FAILED, "the MLflow server does not answer")


def evaluation_broke_off(training: Training) -> None:
    training.end(Stage.EVALUATE, StageStatus.FAILED, "MLFLOW_TRACKING_URI is not set")


def validation_broke_off(training: Training) -> None:
    training.end(Stage.VALIDATE, StageStatus.FAILED, "unexpected OSError")


@pytest.mark.parametrize(
    "end", [broke_off, nobody_was_asked, evaluation_broke_off, validation_broke_off]
)
def test_a_run_that_broke_off_is_made_up_for(
    training: Training, end: Callable[[Training], None]
) -> None:
    training.ingest("r1")
    end(training)

    assert training.ingest("r2") is None


@pytest.mark.parametrize(
    "change",
    [
        {"images_snapshot": 13},
        {"splits_snapshot": 13},
        {"found": 10, "refused": {"TRUNCATED": 2}},
    ],
)
def test_other_images_are_new(training: Training, change: dict[str, Any]) -> None:
    training.judge()

    assert training.ingest("r2", **change) is None


@pytest.mark.parametrize(
    ("group", "value"),
    [
        ("validation", ValidationConfig(min_images_per_class=11)),
        ("tuning", TuningConfig(folds=4)),
        ("features", FeaturesConfig(backbones=("embedded", "ResNet50"))),
        ("gate", GateConfig(thresholds={"accuracy": 0.4})),
    ],
)
def test_another_way_to_make_a_model_of_them_is_new(
    training: Training, group: str, value: Any
) -> None:
    training.judge()
    training.config = replace(training.config, **{group: value})

    assert training.ingest("r2") is None


def test_what_concerns_people_and_clocks_is_not_new(training: Training) -> None:
    training.judge()
    training.config = replace(training.config, owner="vision", schedule="0 4 * * *")

    assert training.ingest("r2") is not None


def test_other_weights_in_the_same_file_are_new(training: Training, tmp_path: Path) -> None:
    file = tmp_path / "weights.h5"
    file.write_bytes(b"these")
    features = FeaturesConfig(backbones=("ResNet50",), weights={"ResNet50": str(file)})
    training.config = replace(training.config, features=features)
    training.judge()
    before = training.ingest("r2")

    file.write_bytes(b"those")

    assert before is not None
    assert training.ingest("r3") is None


def test_a_run_that_is_cleared_is_not_held_up_by_itself(training: Training) -> None:
    training.judge()

    assert training.ingest("r1") is None


@pytest.mark.parametrize("lost", [REPORT, "mlflow"])
def test_what_nobody_can_look_at_any_more_is_made_anew(
    training: Training, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    training.judge()
    if lost == "mlflow":
        monkeypatch.setattr(lookup, "run_exists", lambda run_id: False)
    else:
        (training.workspace.root / lost).unlink()

    assert training.ingest("r2") is None


def test_what_cannot_be_found_out_is_said_and_the_run_goes_on(
    training: Training, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    training.judge()

    def away(run_id: str) -> bool:
        raise DarkroomError("the MLflow server does not answer")

    monkeypatch.setattr(lookup, "run_exists", away)
    with caplog.at_level(logging.INFO, "darkroom"):
        assert training.ingest("r2") is None

    assert caplog.messages == [
        "whether there is anything new to train on is not known: the MLflow server does not answer"
    ]
