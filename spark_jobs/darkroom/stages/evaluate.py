"""Stage 5: the candidate, and the champion, on held-out images; then the gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from darkroom.contract import (
    DataError,
    GateDecision,
    PipelineConfig,
    Stage,
    StageResult,
    StageStatus,
    Verdict,
    Workspace,
)
from darkroom.contract import columns as c
from darkroom.contract.stages import CHAMPION
from darkroom.contract.workspace import safe_name
from darkroom.evaluation.gate import Baseline, decide
from darkroom.evaluation.metrics import Measured, Prediction, measure, only_one_right
from darkroom.evaluation.report import ReportData, most_confident_mistakes, write_report
from darkroom.lake import Lake
from darkroom.ml.engines import Engine, prepare, ship
from darkroom.ml.inference import predict_images
from darkroom.registry import lookup
from darkroom.registry.package import ModelPackage, fetch_package
from darkroom.registry.tracking import PipelineRun
from darkroom.registry.versions import DECISION_DIGEST_TAG, VERDICT_TAG, Registry, digest_of
from darkroom.stages.run import StageRun

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

EVALUATION_VERSION: Final = "1"
"""Part of the inputs: raise it when a change of the code changes a number or the verdict."""

DECISION_FILE: Final = "decision.json"


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
    spark: SparkSession, config: PipelineConfig, workspace: Workspace, run: StageRun
) -> StageResult:
    """Judges this run's candidate on the test split.

    Reads `images` and `splits` at this run's snapshots. Writes the report; logs the metrics and
    the decision to the candidate's MLflow run.

    Args:
        spark: The session.
        config: The pipeline; its name is the registered model's.
        workspace: Where tables, models and reports lie.
        run: Its stages ingest and tune have succeeded.

    Returns:
        Outputs: verdict, metrics, test_images, champion_version, decision, decision_digest,
        mlflow_run_id. Status FAILED when the verdict is FAIL.

    Raises:
        ConfigError: MLFLOW_TRACKING_URI is not set.
        DataError: A test image cannot be decoded.
        DarkroomError: The candidate's files cannot be fetched.
    """
    tuned = run.earlier(Stage.TUNE)
    tracked = PipelineRun.resume(tuned["mlflow_run_id"])
    digest = tuned["model_digest"]
    package = fetch_package(tracked.client, tuned["model_uri"], digest, workspace.models)
    test = _test_images(spark, config, workspace, run).persist()
    predictions = _predict(test, package, config, workspace)
    measured = measure(predictions)
    champion = _champion(config, workspace, tracked, digest, test, predictions)
    decision = decide(
        digest,
        measured.overall,
        gate=config.gate,
        test_images=len(predictions),
        untested_classes=sorted({*tuned["labels"]} - {p.truth for p in predictions}),
        baseline=champion.baseline(predictions) if champion else None,
    )
    mistakes = most_confident_mistakes(predictions)
    report = ReportData(
        pipeline=config.name,
        run_id=run.run_id,
        decision=decision,
        candidate=measured,
        champion=measure(champion.predictions) if champion else None,
        test_images=len(predictions),
        tuning=tuned,
        ingest=run.earlier(Stage.INGEST),
        mistakes=_with_images(test, mistakes),
    )
    test.unpersist()
    folder = workspace.reports / config.name / safe_name(run.run_id)
    file = write_report(report, folder)
    _log(tracked, measured, decision)
    return _result(decision, measured, len(predictions), tracked.id, file, workspace)


@dataclass(frozen=True)
class _Champion:
    """The champion's predictions on the test images."""

    version: str
    predictions: Sequence[Prediction]

    def baseline(self, candidate: Sequence[Prediction]) -> Baseline:
        ours, theirs = only_one_right(candidate, self.predictions)
        return Baseline(
            version=self.version,
            metrics=measure(self.predictions).overall,
            only_candidate_right=ours,
            only_champion_right=theirs,
        )


def _test_images(
    spark: SparkSession, config: PipelineConfig, workspace: Workspace, run: StageRun
) -> DataFrame:
    """image_id, path, label, image of the test split."""
    from pyspark.sql import functions as f

    ingested = run.earlier(Stage.INGEST)
    lake = Lake(workspace)
    images = lake.read(spark, config.name, c.IMAGES, ingested["images_snapshot"])
    splits = lake.read(spark, config.name, c.SPLITS, ingested["splits_snapshot"])
    held_out = splits.where(f.col(c.SPLIT) == c.TEST).select(c.IMAGE_ID).distinct()
    labelled = images.where(f.col(c.LABEL).isNotNull())
    joined = labelled.select(c.IMAGE_ID, c.PATH, c.LABEL, c.IMAGE).join(held_out, c.IMAGE_ID)
    return joined.repartition(spark.sparkContext.defaultParallelism)


def _predict(
    test: DataFrame, package: ModelPackage, config: PipelineConfig, workspace: Workspace
) -> list[Prediction]:
    """Runs a portable model over the test images; only label and probability come back."""
    from pyspark.sql import functions as f

    card = package.card
    engine = Engine(config.features.engine)
    prepared = ship(test.sparkSession, prepare(package.model_file, workspace.engines, engine))
    scored = predict_images(test, prepared, image_col=c.IMAGE, output_col=c.VECTOR)
    best = f.array_max(c.VECTOR)
    rows: list[Any] = scored.select(
        c.IMAGE_ID,
        c.PATH,
        c.LABEL,
        best.alias(c.PROBABILITY),
        (f.array_position(c.VECTOR, best) - 1).alias("place"),
    ).collect()
    unreadable = [row[c.PATH] for row in rows if row["place"] is None]
    if unreadable:
        raise DataError(
            f"{len(unreadable)} of {len(rows)} test images cannot be decoded, first "
            f"{unreadable[0]!r}: the images table is damaged, ingest them again"
        )
    return [
        Prediction(
            image_id=row[c.IMAGE_ID],
            path=row[c.PATH],
            truth=row[c.LABEL],
            predicted=card.labels[row["place"]],
            probability=row[c.PROBABILITY],
        )
        for row in rows
    ]


def _champion(
    config: PipelineConfig,
    workspace: Workspace,
    tracked: PipelineRun,
    candidate: str,
    test: DataFrame,
    predictions: Sequence[Prediction],
) -> _Champion | None:
    registry = Registry(config.name, tracked.client)
    version = registry.at(CHAMPION)
    if version is None:
        return None
    if digest_of(version) == candidate:
        return _Champion(str(version.version), predictions)
    package = registry.fetch(version, workspace.models)
    return _Champion(str(version.version), _predict(test, package, config, workspace))


def _with_images(
    test: DataFrame, predictions: Sequence[Prediction]
) -> list[tuple[Prediction, bytes]]:
    from pyspark.sql import functions as f

    if not predictions:
        return []
    wanted = test.where(f.col(c.IMAGE_ID).isin(*[p.image_id for p in predictions]))
    rows: list[Any] = wanted.select(c.IMAGE_ID, c.IMAGE).collect()
    images = {row[c.IMAGE_ID]: bytes(row[c.IMAGE]) for row in rows}
    return [(prediction, images[prediction.image_id]) for prediction in predictions]


def _log(tracked: PipelineRun, measured: Measured, decision: GateDecision) -> None:
    """Logs numbers and decision, unless this very decision has been logged."""
    if tracked.run.data.tags.get(DECISION_DIGEST_TAG) == decision.digest:
        return
    tracked.log_text(DECISION_FILE, decision.to_json())
    # The tags last: with them the decision counts as logged.
    tracked.log(
        metrics={f"test_{name}": value for name, value in measured.overall.items()},
        tags={VERDICT_TAG: decision.verdict.value, DECISION_DIGEST_TAG: decision.digest},
    )


def _result(
    decision: GateDecision,
    measured: Measured,
    test_images: int,
    mlflow_run_id: str,
    report: Path,
    workspace: Workspace,
) -> StageResult:
    failed = decision.verdict is Verdict.FAIL
    numbers = ", ".join(f"{name} {value:.4f}" for name, value in measured.overall.items())
    summary = f"{decision.verdict}: {'; '.join(decision.reasons) or numbers}"
    against = f"champion {decision.champion}" if decision.champion else "no champion yet"
    return StageResult(
        stage=Stage.EVALUATE,
        status=StageStatus.FAILED if failed else StageStatus.DONE,
        summary=f"{summary} ({test_images} test images, {against})",
        permanent=failed,
        report=str(report.relative_to(workspace.root)),
        outputs={
            "verdict": decision.verdict.value,
            "metrics": dict(measured.overall),
            "test_images": test_images,
            "champion_version": decision.champion,
            "decision": decision.to_json(),
            "decision_digest": decision.digest,
            "mlflow_run_id": mlflow_run_id,
        },
    )
