"""An earlier champion becomes champion again; what comes next deploys it."""

from __future__ import annotations

from darkroom.contract import PipelineConfig, Stage, StageResult, StageStatus, Workspace
from darkroom.lake import Lake
from darkroom.registry import rollback
from darkroom.registry.ledger import Ledger
from darkroom.registry.ledger_copy import copy_ledger
from darkroom.registry.versions import Registry
from darkroom.stages.run import StageRun

OPTIONS = ("version", "requested_by", "reason")
"""The command line's own options; an empty version means the champion before this one."""


def roll_back(config: PipelineConfig, workspace: Workspace, run: StageRun) -> StageResult:
    """Moves the champion back, on the record.

    Args:
        config: The pipeline.
        workspace: Holds the ledger.
        run: The rollback's run; its options are `OPTIONS`.

    Returns:
        Outputs: model_name, version, previous_version.

    Raises:
        ConfigError: There is no person or no reason.
        MissingInputError: There is no earlier champion, or no such version.
        GateFailedError: The version never was champion, is champion, or is not what was approved.
    """
    ledger = Ledger(Lake(workspace), config.name)
    entry = rollback.roll_back(
        Registry(config.name),
        ledger,
        pipeline=config.name,
        version=run.options["version"].strip() or None,
        who=run.options["requested_by"],
        why=run.options["reason"],
        run_id=run.run_id,
    )
    copy_ledger(ledger, workspace.ledger(config.name))
    return StageResult(
        stage=Stage.ROLLBACK,
        status=StageStatus.DONE,
        summary=f"{config.name} version {entry.to_version} is champion again, after version "
        f"{entry.from_version}; asked for by {entry.who}: {' '.join(entry.why.split())}",
        outputs={
            "model_name": config.name,
            "version": entry.to_version,
            "previous_version": entry.from_version,
        },
    )
