"""Stage 5: the candidate, and the champion, on held-out images; then the gate."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from darkroom.contract import (
    GateDecision,
    PipelineConfig,
    Stage,
    StageResult,
    StageStatus,
    Verdict,
    Workspace,
)
from darkroom.contract.stages import CHAMPION
from darkroom.contract.workspace import safe_name
from darkroom.evaluation.comparing import ACCURACY, Tolerance, compare
from darkroom.evaluation.gate import Evidence, Rival, decide
from darkroom.evaluation.metrics import Measured, measure
from darkroom.evaluation.pictures import Chosen, Shown, choose
from darkroom.evaluation.plots import Reliability
from darkroom.evaluation.predictions import Predictions
from darkroom.evaluation.report import ReportData, plot_files, write_report
from darkroom.evaluation.resampling import Bootstrap, Estimate
from darkroom.evaluation.serving import Serving
from darkroom.registry import lookup
from darkroom.registry.package import fetch_package
from darkroom.registry.tracking import EVALUATION_FOLDER, PipelineRun
from darkroom.registry.versions import DECISION_DIGEST_TAG, VERDICT_TAG, Registry, digest_of
from darkroom.stages.held_out import Model, TestSplit, store_predictions
from darkroom.stages.run import StageRun
from darkroom.stages.trying import Golden, Trial

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

EVALUATION_VERSION: Final = "3"
"""Part of the inputs: raise it when a change of the code changes a number or the verdict."""

DECISION_FILE: Final = "decision.json"
CHECK_TAG: Final = "darkroom.gate."
"""Before the name of a check: the tag with its verdict and reason."""
LONGEST_TAG: Final = 5000
"""Characters; MLflow takes no longer value."""


def inputs(config: PipelineConfig, workspace: Workspace, run: StageRun) -> Mapping[str, Any]:
    """What the verdict depends on: the candidate, the test images, the gate, another champion."""
    del workspace
    ingested = run.earlier(Stage.INGEST)
    candidate = run.earlier(Stage.TUNE)["model_digest"]
    champion = lookup.champion(config.name)
    # No model is worse than itself: the verdict that made this one champion stands.
    rival = None if champion and champion[1] == candidate else champion
    return {
        "model_digest": candidate,
        "mlflow_run_id": run.earlier(Stage.TUNE)["mlflow_run_id"],
        "images_snapshot": ingested["images_snapshot"],
        "splits_snapshot": ingested["splits_snapshot"],
        "validation": dict(run.earlier(Stage.VALIDATE)),
        "gate": asdict(config.gate),
        "champion": rival,
        "version": EVALUATION_VERSION,
    }


def still_there(result: StageResult, config: PipelineConfig, workspace: Workspace) -> bool:
    """Whether the report of an earlier result, and the MLflow run with its numbers, exist."""
    if result.report is None or not (workspace.root / result.report).is_file():
        return False
    return lookup.run_exists(result.outputs["mlflow_run_id"])


def evaluate(
    spark: SparkSession,
    config: PipelineConfig,
    workspace: Workspace,
    run: StageRun,
    *,
    trial: type[Trial] = Trial,
) -> StageResult:
    """Judges this run's candidate on the test split.

    Reads `images` and `splits` at this run's snapshots. Writes the report and the predictions;
    logs them, the metrics and the decision to the candidate's MLflow run.

    Args:
        spark: The session.
        config: The pipeline; its name is the registered model's.
        workspace: Where tables, models and reports lie.
        run: Its stages ingest, validate and tune have succeeded.
        trial: Tries the candidate as its users will.

    Returns:
        Outputs: verdict, metrics, test_images, champion_version, decision, decision_digest,
        mlflow_run_id. Status FAILED when the verdict is FAIL.

    Raises:
        ConfigError: MLFLOW_TRACKING_URI is not set, or a slice's column does not exist.
        DataError: A test image cannot be decoded, or is answered with what is no number.
        MissingInputError: An earlier stage of the run is missing.
        DarkroomError: The candidate's files cannot be fetched.
    """
    begun = time.perf_counter()
    # First of all: without a validation there is nothing to judge.
    run.earlier(Stage.VALIDATE)
    judging = _Judging(spark, config, workspace, run)
    tracked = judging.tracked
    folder = workspace.reports / config.name / safe_name(run.run_id)
    # Before the images are read: another process is loading the model meanwhile.
    with trial(spark, judging.tuned["model_uri"]) as tried, closing(judging.split):
        decision, serving = judging.decide(tried)
        store_predictions(folder, judging.said, judging.champion_said)
        data = judging.report(decision, serving, begun)
        file = write_report(data, folder)
    _log(tracked, data, folder)
    return _result(data, config, tracked.id, file.relative_to(workspace.root))


@dataclass(frozen=True)
class _Judging:
    """One evaluation: what it reads, and what it finds out once."""

    spark: SparkSession
    config: PipelineConfig
    workspace: Workspace
    run: StageRun

    @cached_property
    def tuned(self) -> Mapping[str, Any]:
        return self.run.earlier(Stage.TUNE)

    @cached_property
    def tracked(self) -> PipelineRun:
        return PipelineRun.resume(self.tuned["mlflow_run_id"])

    @cached_property
    def split(self) -> TestSplit:
        return TestSplit.of(self.spark, self.config, self.workspace, self.run)

    @cached_property
    def model(self) -> Model:
        package = fetch_package(
            self.tracked.client,
            self.tuned["model_uri"],
            self.tuned["model_digest"],
            self.workspace.models,
        )
        return Model.ready(self.spark, package, self.config, self.workspace)

    @cached_property
    def said(self) -> Predictions:
        return self.model.says(self.split)

    @cached_property
    def bootstrap(self) -> Bootstrap:
        return Bootstrap(confidence=self.config.gate.confidence, seed=self.config.tuning.seed)

    @cached_property
    def measured(self) -> Measured:
        return measure(self.said, self.bootstrap)

    @cached_property
    def registry(self) -> Registry:
        return Registry(self.config.name, self.tracked.client)

    @cached_property
    def champion(self) -> Any:
        """The registry's version, or None."""
        return self.registry.at(CHAMPION)

    @cached_property
    def champion_said(self) -> Predictions | None:
        """What the champion says of the same images; None if there is no other model."""
        if self.champion is None or digest_of(self.champion) == self.tuned["model_digest"]:
            return None
        package = self.registry.fetch(self.champion, self.workspace.models)
        model = Model.ready(self.spark, package, self.config, self.workspace)
        return model.says(self.split)

    @cached_property
    def rival(self) -> Rival | None:
        if self.champion is None:
            return None
        version = str(self.champion.version)
        if self.champion_said is None:
            return Rival(version=version, is_candidate=True)
        gate = self.config.gate
        tolerance = Tolerance(
            overall=gate.max_regression,
            slices=gate.max_slice_regression,
            least_images=gate.min_class_images,
        )
        compared = compare(
            self.said,
            self.champion_said,
            metrics=tuple(gate.thresholds),
            tolerance=tolerance,
            bootstrap=self.bootstrap,
        )
        return Rival(version=version, comparisons=compared)

    def decide(self, trial: Trial) -> tuple[GateDecision, Serving]:
        golden = Golden.of(self.split)
        trial.begin(golden)
        measured, rival = self.measured, self.rival
        serving = trial.finish(self.model, golden, self.said, self.bootstrap)
        evidence = Evidence(
            measured=measured,
            labels=self.tuned["labels"],
            rival=rival,
            validation=self.run.folder.read(Stage.VALIDATE).summary,
            parity=self.tuned.get("parity"),
            serving=serving,
        )
        return decide(self.tuned["model_digest"], evidence, self.config.gate), serving

    def report(self, decision: GateDecision, serving: Serving, begun: float) -> ReportData:
        chosen = choose(self.said, self.champion_said)
        shown = self._shown(chosen)
        reliability = {"candidate": Reliability.of(self.said)}
        measured = None
        if self.champion_said is not None:
            measured = measure(self.champion_said, self.bootstrap)
            reliability["champion"] = Reliability.of(self.champion_said)
        return ReportData(
            pipeline=self.config.name,
            run_id=self.run.run_id,
            decision=decision,
            confidence=self.config.gate.confidence,
            candidate=self.measured,
            champion=measured,
            reliability=reliability,
            serving=serving,
            tuning=self.tuned,
            made=self.model.package.metadata,
            ingest=self.run.earlier(Stage.INGEST),
            stages=[*self._stages(), _so_far(begun)],
            validation_page=self._validation_page(),
            mistakes=[shown[place] for place in chosen.mistakes],
            lost=[shown[place] for place in chosen.lost],
            gained=[shown[place] for place in chosen.gained],
        )

    def _shown(self, chosen: Chosen) -> dict[int, Shown]:
        encoded = self.split.encoded(chosen.places)
        return {
            place: Shown(
                path=self.split.images.paths[place],
                truth=self.split.images.truths[place],
                predicted=self.said.predicted[place],
                probability=float(self.said.confidence[place]),
                champion=self.champion_said.predicted[place] if self.champion_said else None,
                image=image,
            )
            for place, image in zip(chosen.places, encoded, strict=True)
        }

    def _stages(self) -> list[StageResult]:
        """What the earlier stages of the run said and cost."""
        read = self.run.folder.read
        featurized = [read(Stage.FEATURIZE, name) for name in self.config.features.backbones]
        return [read(Stage.INGEST), read(Stage.VALIDATE), *featurized, read(Stage.TUNE)]

    def _validation_page(self) -> str | None:
        """From the report's folder."""
        page = self.run.folder.read(Stage.VALIDATE).report
        folder = self.workspace.reports / self.config.name / safe_name(self.run.run_id)
        return os.path.relpath(self.workspace.root / page, folder) if page else None


def _so_far(begun: float) -> StageResult:
    """What this stage has cost when its report is written."""
    return StageResult(
        stage=Stage.EVALUATE,
        status=StageStatus.DONE,
        summary="up to this page; storing it is not counted",
        seconds=time.perf_counter() - begun,
    )


def _log(tracked: PipelineRun, data: ReportData, folder: Path) -> None:
    """Logs numbers, decision and drawings, unless this very decision has been logged."""
    decision = data.decision
    if tracked.run.data.tags.get(DECISION_DIGEST_TAG) == decision.digest:
        return
    with tempfile.TemporaryDirectory(prefix="darkroom-") as scratch:
        for name, content in plot_files(data).items():
            (Path(scratch) / name).write_bytes(content)
        tracked.client.log_artifacts(tracked.id, scratch, EVALUATION_FOLDER)
    tracked.client.log_artifacts(tracked.id, str(folder), EVALUATION_FOLDER)
    tracked.log_text(DECISION_FILE, decision.to_json())
    # With a time stamp of their own: of equal ones MLflow shows the largest value, not the last.
    for name, value in _measurements(data.serving).items():
        tracked.client.log_metric(tracked.id, name, value)
    # The tags last: with them the decision counts as logged.
    tracked.log(
        metrics=_metrics(data),
        tags={
            **{
                f"{CHECK_TAG}{safe_name(check.name)}": check.line[:LONGEST_TAG]
                for check in decision.checks
            },
            VERDICT_TAG: decision.verdict.value,
            DECISION_DIGEST_TAG: decision.digest,
        },
    )


def _metrics(data: ReportData) -> dict[str, float]:
    """The same for the same model and images."""
    numbers: dict[str, float] = {}
    for name, one in data.candidate.overall.items():
        numbers |= _with_ends(f"test_{name}", one)
    return numbers


def _measurements(serving: Serving | None) -> dict[str, float]:
    """Another each time."""
    if serving is None:
        return {}
    asked, memory = serving.asked, serving.loaded.memory_mb
    return {
        **_with_ends("latency_p50_ms", asked.p50_ms),
        **_with_ends("latency_p95_ms", asked.p95_ms),
        **({} if memory is None else {"memory_mb": memory}),
    }


def _with_ends(name: str, one: Estimate | None) -> dict[str, float]:
    """A number and the ends of its interval, as far as they are known."""
    if one is None:
        return {}
    ends = {"": one.value, "_low": one.low, "_high": one.high}
    return {f"{name}{end}": value for end, value in ends.items() if value is not None}


def _result(
    data: ReportData, config: PipelineConfig, mlflow_run_id: str, report: Path
) -> StageResult:
    decision, values = data.decision, data.candidate.values
    failed = decision.verdict is Verdict.FAIL
    shown = dict.fromkeys((ACCURACY, *config.gate.thresholds))
    numbers = ", ".join(f"{name} {values[name]:.4f}" for name in shown if name in values)
    # Of a failure its reasons alone; what is in doubt besides is in the report.
    reasons = [check.reason for check in decision.checks if check.verdict is decision.verdict]
    why = numbers if decision.verdict is Verdict.PASS else "; ".join(reasons)
    summary = f"{decision.verdict}: {why}"
    against = f"champion {decision.champion}" if decision.champion else "no champion yet"
    return StageResult(
        stage=Stage.EVALUATE,
        status=StageStatus.FAILED if failed else StageStatus.DONE,
        summary=f"{summary} ({data.candidate.images} test images, {against})",
        permanent=failed,
        report=str(report),
        outputs={
            "verdict": decision.verdict.value,
            "metrics": values,
            "test_images": data.candidate.images,
            "champion_version": decision.champion,
            "decision": decision.to_json(),
            "decision_digest": decision.digest,
            "mlflow_run_id": mlflow_run_id,
        },
    )
