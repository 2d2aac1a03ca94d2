"""Stage 6: a version in the registry for the candidate that the gate let pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
from darkroom.lake import Lake
from darkroom.registry.lineage import TAGGED, record
from darkroom.registry.versions import (
    DECISION_DIGEST_TAG,
    MODEL_DIGEST_TAG,
    RUN_TAG,
    SNAPSHOT_TAG,
    VERDICT_TAG,
    Registry,
    digest_of,
)
from darkroom.stages.run import StageRun


def register(config: PipelineConfig, workspace: Workspace, run: StageRun) -> StageResult:
    """Registers the candidate and makes it challenger, unless it already is champion.

    A model file that already has a version keeps it: a retry never makes a second one. The
    snapshots that trained it get the version's tag before anybody can choose it.

    Args:
        config: The pipeline; its name is the registered model's.
        workspace: Holds the tables.
        run: Its stages ingest, tune and evaluate have succeeded.

    Returns:
        Outputs: model_name, version, model_digest, decision_digest, already_champion.

    Raises:
        MissingInputError: An earlier stage of the run is missing.
        GateFailedError: The gate did not let this very model pass.
        DataError: The snapshots that trained it are gone.
    """
    candidate = run.earlier(Stage.TUNE)
    digest = candidate["model_digest"]
    decision = passed_decision(run.earlier(Stage.EVALUATE), digest, run.run_id)
    tags = {
        MODEL_DIGEST_TAG: digest,
        DECISION_DIGEST_TAG: decision.digest,
        VERDICT_TAG: decision.verdict.value,
        RUN_TAG: run.run_id,
        SNAPSHOT_TAG: str(run.earlier(Stage.INGEST)["images_snapshot"]),
    }
    registry = Registry(config.name)
    champion = registry.at(CHAMPION)
    if champion and digest_of(champion) == digest:
        return _result(champion.version, config, tags, already_champion=True)
    version = registry.with_digest(digest)
    if version:
        # The same file was judged again: an approval has to refer to the newest decision.
        registry.tag(version.version, tags)
    else:
        version = registry.create(candidate["model_uri"], candidate["mlflow_run_id"], tags)
    record_lineage(config, workspace, run, version.version, digest)
    registry.point(CHALLENGER, version.version)
    return _result(version.version, config, tags, already_champion=False)


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
    version: str, config: PipelineConfig, tags: Mapping[str, str], *, already_champion: bool
) -> StageResult:
    digest = tags[MODEL_DIGEST_TAG]
    role = "already is champion" if already_champion else f"is {CHALLENGER}"
    return StageResult(
        stage=Stage.REGISTER,
        status=StageStatus.DONE,
        summary=f"{config.name} version {version} (model {digest[:12]}) {role}; "
        f"the gate said {tags[VERDICT_TAG]}",
        outputs={
            "model_name": config.name,
            "version": version,
            "model_digest": digest,
            "decision_digest": tags[DECISION_DIGEST_TAG],
            "already_champion": already_champion,
        },
    )
