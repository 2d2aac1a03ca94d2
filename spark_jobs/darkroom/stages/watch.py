"""Whether the alias `champion` is where the ledger says."""

from __future__ import annotations

from darkroom.contract import (
    GateFailedError,
    PipelineConfig,
    Stage,
    StageResult,
    StageStatus,
    Workspace,
)
from darkroom.contract.stages import CHAMPION
from darkroom.lake import Lake
from darkroom.registry import rollback
from darkroom.registry.champion import settle
from darkroom.registry.ledger import Ledger
from darkroom.registry.ledger_copy import copy_ledger
from darkroom.registry.versions import Registry
from darkroom.stages.run import StageRun


def watch(config: PipelineConfig, workspace: Workspace, run: StageRun) -> StageResult:
    """Flags a champion that no entry of the ledger made one, or puts the alias back.

    Args:
        config: The pipeline; ``watch.revert`` says which.
        workspace: Holds the ledger.
        run: The run.

    Returns:
        Outputs: champion (or None), reverted_from (None where the alias was right).

    Raises:
        GateFailedError: The alias was moved by other means, and stays.
        MissingInputError: It cannot be put back: the ledger's champion is gone.
    """
    registry = Registry(config.name)
    ledger = Ledger(Lake(workspace), config.name)
    position = settle(registry, ledger)
    if position.alias and not position.entries:
        raise GateFailedError(
            f"the champion of {config.name} is version {position.alias}, but the ledger is empty: "
            f"somebody set the alias; remove it in MLflow and approve a version"
        )
    if config.watch.revert:
        entry = rollback.put_back(registry, ledger, pipeline=config.name, run_id=run.run_id)
        if entry is not None:
            copy_ledger(ledger, workspace.ledger(config.name))
            return _result(
                f"somebody had moved the alias {CHAMPION}, and version {entry.to_version} of "
                f"{config.name} is champion again: {entry.why}",
                entry.to_version,
                position.alias,
            )
        position = settle(registry, ledger)
    position.check()
    champion = f"version {position.alias}" if position.alias else "none yet"
    return _result(f"champion of {config.name}: {champion}, as the ledger says", position.alias)


def _result(summary: str, champion: str | None, reverted_from: str | None = None) -> StageResult:
    return StageResult(
        stage=Stage.WATCH,
        status=StageStatus.DONE,
        summary=summary,
        outputs={"champion": champion, "reverted_from": reverted_from},
    )
