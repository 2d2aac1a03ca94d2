"""Stage 8: the approved version becomes champion."""

from __future__ import annotations

from darkroom.contract import (
    GateFailedError,
    PipelineConfig,
    Stage,
    StageResult,
    StageStatus,
    Workspace,
)
from darkroom.lake import Lake
from darkroom.registry import promotion
from darkroom.registry.ledger import Ledger
from darkroom.registry.ledger_copy import copy_ledger
from darkroom.registry.promotion import Approval
from darkroom.registry.versions import Registry
from darkroom.stages.register import passed_decision, record_lineage
from darkroom.stages.run import StageRun

OPTIONS = (
    "version",
    "model_digest",
    "decision_digest",
    "approved_by",
    "reason",
    "requested_run_id",
)
"""The command line's own options; ``requested_run_id`` is the training run."""


def promote(config: PipelineConfig, workspace: Workspace, run: StageRun) -> StageResult:
    """Checks the approval against the registry and the gate, then moves the champion.

    Args:
        config: The pipeline.
        workspace: Holds the training run's decision and the ledger.
        run: The promotion's run; its options are `OPTIONS`.

    Returns:
        Outputs: version, previous_version (or None).

    Raises:
        ConfigError: The approval lacks a name or a reason.
        MissingInputError: The version or the training run's decision is missing.
        GateFailedError: What was approved is not what is registered, or the champion has moved.
        DataError: The snapshots that trained the version are gone.
    """
    options = dict(run.options)
    requested = options.pop("requested_run_id")
    approval = Approval(**options)
    evaluated = workspace.run(config.name, requested).read(Stage.EVALUATE).outputs
    decision = passed_decision(evaluated, approval.model_digest, requested)
    if decision.digest != approval.decision_digest:
        raise GateFailedError(
            f"run {requested} was judged in decision {decision.digest[:12]}, but "
            f"{approval.decision_digest[:12]} was approved: approve the decision of that run"
        )
    registry = Registry(config.name)
    ledger = Ledger(Lake(workspace), config.name)
    promotion.verify(registry, approval)
    training = StageRun(folder=workspace.run(config.name, requested))
    record_lineage(config, workspace, training, approval.version, approval.model_digest)
    previous = promotion.promote(
        registry,
        ledger,
        approval,
        pipeline=config.name,
        judged_against=decision.champion,
        run_id=run.run_id,
    )
    copy_ledger(ledger, workspace.ledger(config.name))
    after = f"after version {previous}" if previous else "the first"
    return StageResult(
        stage=Stage.PROMOTE,
        status=StageStatus.DONE,
        summary=f"{config.name} version {approval.version} is champion, {after}; "
        f"approved by {approval.approved_by}: {' '.join(approval.reason.split())}",
        outputs={"version": approval.version, "previous_version": previous},
    )
