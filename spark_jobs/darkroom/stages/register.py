"""Stage 6: a version in the registry for the candidate that the gate let pass."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from darkroom.contract import (
    GateDecision,
    GateFailedError,
    MissingInputError,
    PipelineConfig,
    Stage,
    StageResult,
    StageStatus,
    Verdict,
    Workspace,
)
from darkroom.contract.stages import CHALLENGER, CHAMPION
from darkroom.files.digests import digest_of as file_digest
from darkroom.lake import Lake
from darkroom.registry.lineage import TAGGED, record
from darkroom.registry.model_card import CardFacts, model_card, preprocessing
from darkroom.registry.package import ModelPackage, fetch_package
from darkroom.registry.provenance import UNKNOWN
from darkroom.registry.tracking import EVALUATION_FOLDER, quiet_client
from darkroom.registry.versions import (
    DECISION_DIGEST_TAG,
    GIT_COMMIT_TAG,
    LABELS_TAG,
    LOCK_DIGEST_TAG,
    METADATA_DIGEST_TAG,
    MODEL_DIGEST_TAG,
    PREPROCESSING_TAG,
    REPORT_TAG,
    RUN_TAG,
    SNAPSHOT_TAG,
    SPLITS_SNAPSHOT_TAG,
    VERDICT_TAG,
    Registry,
    digest_of,
)
from darkroom.stages.run import StageRun

if TYPE_CHECKING:
    from mlflow import MlflowClient

LONGEST_TAG: Final = 100_000
"""Characters; MLflow takes no longer value of a version's tag."""


def register(config: PipelineConfig, workspace: Workspace, run: StageRun) -> StageResult:
    """Registers the candidate and makes it challenger, unless it already is champion.

    A model file that already has a version keeps it: a retry never makes a second one. The
    snapshots that trained it get the version's tag before anybody can choose it.

    Args:
        config: The pipeline; its name is the registered model's.
        workspace: Holds the tables and the model's files.
        run: Its stages ingest, tune and evaluate have succeeded.

    Returns:
        Outputs: model_name, version, model_digest, decision_digest, already_champion.

    Raises:
        MissingInputError: An earlier stage of the run is missing.
        GateFailedError: The gate did not let this very model pass, or its files were changed.
        DataError: The snapshots that trained it are gone.
    """
    candidate = run.earlier(Stage.TUNE)
    digest = candidate["model_digest"]
    decision = passed_decision(run.earlier(Stage.EVALUATE), digest, run.run_id)
    client = quiet_client()
    registry = Registry(config.name, client)
    champion = registry.at(CHAMPION)
    if champion and digest_of(champion) == digest:
        return _result(champion.version, config, decision, already_champion=True)
    version = registry.with_digest(digest)
    judged = _judged(decision, run)
    if version:
        # The same file was judged again: an approval has to refer to the newest decision.
        package = registry.fetch(version, workspace.models)
        registry.describe(version.version, _card(config, decision, run, package, client))
        registry.tag(version.version, judged)
    else:
        uri = candidate["model_uri"]
        package = fetch_package(client, uri, digest, workspace.models)
        version = registry.create(
            uri,
            candidate["mlflow_run_id"],
            {**_made(package), **judged},
            _card(config, decision, run, package, client),
        )
    record_lineage(config, workspace, run, version.version, digest)
    registry.point(CHALLENGER, version.version)
    return _result(version.version, config, decision, already_champion=False)


def _judged(decision: GateDecision, run: StageRun) -> dict[str, str]:
    """The tags that change when the same model is judged again."""
    tags = {
        DECISION_DIGEST_TAG: decision.digest,
        VERDICT_TAG: decision.verdict.value,
        RUN_TAG: run.run_id,
        SNAPSHOT_TAG: str(run.earlier(Stage.INGEST)["images_snapshot"]),
        SPLITS_SNAPSHOT_TAG: str(run.earlier(Stage.INGEST)["splits_snapshot"]),
    }
    report = run.folder.read(Stage.EVALUATE).report
    return {**tags, REPORT_TAG: report} if report else tags


def _made(package: ModelPackage) -> dict[str, str]:
    """The tags that belong to the files."""
    made = package.metadata
    labels = json.dumps(made["labels"], ensure_ascii=False)
    tags = {
        MODEL_DIGEST_TAG: package.digest,
        METADATA_DIGEST_TAG: file_digest(package.metadata_file),
        PREPROCESSING_TAG: preprocessing(made),
        GIT_COMMIT_TAG: made.get("git_commit", UNKNOWN),
        LOCK_DIGEST_TAG: made.get("lock_digest", UNKNOWN),
    }
    # The files hold them in any case.
    return {**tags, LABELS_TAG: labels} if len(labels) <= LONGEST_TAG else tags


def _card(
    config: PipelineConfig,
    decision: GateDecision,
    run: StageRun,
    package: ModelPackage,
    client: MlflowClient,
) -> str:
    report = run.folder.read(Stage.EVALUATE).report
    mlflow_run = client.get_run(run.earlier(Stage.TUNE)["mlflow_run_id"]).info
    # From MLflow's own page, under whatever address people find it.
    page = f"#/experiments/{mlflow_run.experiment_id}/runs/{mlflow_run.run_id}/artifacts"
    facts = CardFacts(
        config=config,
        decision=decision,
        made=package.metadata,
        run_id=run.run_id,
        report=f"{page}/{EVALUATION_FOLDER}/{PurePosixPath(report).name}" if report else None,
    )
    return model_card(facts)


def record_lineage(
    config: PipelineConfig, workspace: Workspace, run: StageRun, version: str, digest: str
) -> None:
    """Tags the snapshots that trained a version; safe to repeat.

    Args:
        config: The pipeline.
        workspace: Holds the tables.
        run: The training run; its ingestion names the snapshots.
        version: The version.
        digest: SHA-256 of its model file.

    Raises:
        DataError: The snapshots are gone.
        MissingInputError: The run has no ingestion.
    """
    ingested = run.earlier(Stage.INGEST)
    snapshots = {table: ingested[f"{table}_snapshot"] for table in TAGGED}
    record(Lake(workspace), config.name, version, digest, snapshots)


def passed_decision(outputs: Mapping[str, Any], digest: str, run_id: str) -> GateDecision:
    """Reads the gate's decision and refuses everything but a pass of this very model.

    Args:
        outputs: Outputs of the stage evaluate.
        digest: SHA-256 of the candidate's model file.
        run_id: For the message.

    Returns:
        The decision; its verdict is PASS or INCONCLUSIVE.

    Raises:
        MissingInputError: There is no decision.
        GateFailedError: The decision is unreadable, about another model, or says FAIL.
    """
    if not outputs.get("decision"):
        raise MissingInputError(f"stage evaluate left no decision in run {run_id}: run it again")
    try:
        decision = GateDecision.from_json(str(outputs["decision"]))
    except ValueError as error:
        raise GateFailedError(f"the gate's decision of run {run_id} is void: {error}") from None
    if decision.candidate != digest:
        raise GateFailedError(
            f"the gate judged model {decision.candidate[:12]}, but the candidate of run {run_id} "
            f"is {digest[:12]}: evaluate this run's candidate"
        )
    if decision.verdict is Verdict.FAIL:
        raise GateFailedError(
            f"the gate did not let model {digest[:12]} pass: {'; '.join(decision.reasons)}"
        )
    return decision


def _result(
    version: str, config: PipelineConfig, decision: GateDecision, *, already_champion: bool
) -> StageResult:
    digest = decision.candidate
    role = "already is champion" if already_champion else f"is {CHALLENGER}"
    return StageResult(
        stage=Stage.REGISTER,
        status=StageStatus.DONE,
        summary=f"{config.name} version {version} (model {digest[:12]}) {role}; "
        f"the gate said {decision.verdict}",
        outputs={
            "model_name": config.name,
            "version": version,
            "model_digest": digest,
            "decision_digest": decision.digest,
            "already_champion": already_champion,
        },
    )
