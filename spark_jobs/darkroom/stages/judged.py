"""Whether a candidate was judged before that was made of the same images in the same way."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, Final

from darkroom.contract import (
    DarkroomError,
    PipelineConfig,
    RunFolder,
    Stage,
    StageResult,
    StageStatus,
    Verdict,
    Workspace,
)
from darkroom.contract import columns as c
from darkroom.contract.workspace import write_atomically
from darkroom.images import PIXEL_PATH_VERSION
from darkroom.lake import Lake
from darkroom.lake.compaction import content_of
from darkroom.stages.run import UNCHANGED_PREFIX, StageRun, input_key

NOTHING_NEW: Final = "nothing_new"
"""Output of an ingestion: why its run need not go on, or None."""

_log = logging.getLogger(__name__)


def with_nothing_new(
    result: StageResult, config: PipelineConfig, workspace: Workspace, run: StageRun
) -> StageResult:
    """Adds to an ingestion's result whether there is anything to train on that is new.

    There is not, once another run came to its end with what this one would begin with: its images
    were refused by the validation, its candidate by the gate, or people were asked about it.
    Which model is champion makes no difference: a new one, or an old one again, is nothing to
    train on.

    Args:
        result: Of the stage ingest.
        config: The pipeline.
        workspace: Where the runs and their reports lie.
        run: The run; it is noted among those that try, unless another one was judged.

    Returns:
        The result; its output nothing_new is None, or one line that names the other run.
    """
    # What the later stages depend on is worked out from it.
    run.folder.write(result)
    try:
        reason = _nothing_new(config, workspace, run)
    except DarkroomError as error:
        # Whichever stage cannot do without it ends with this line.
        _log.info("whether there is anything new to train on is not known: %s", error)
        reason = None
    return replace(result, outputs={**result.outputs, NOTHING_NEW: reason})


def _nothing_new(config: PipelineConfig, workspace: Workspace, run: StageRun) -> str | None:
    file = workspace.tried(config.name, input_key(_inputs(config, workspace, run)))
    runs = json.loads(file.read_text()) if file.exists() else []
    # A run that is cleared and begins again is not held up by what it came to before.
    for other in (one for one in reversed(runs) if one != run.run_id):
        outcome = _outcome(workspace.run(config.name, other), config, workspace)
        if outcome is not None:
            said = outcome.summary.removeprefix(UNCHANGED_PREFIX)
            return (
                f"nothing new: images and configuration are those of run {other}, which ended in "
                f"{outcome.stage} with {said}"
            )
    if run.run_id not in runs:
        write_atomically(file, json.dumps([*runs, run.run_id]) + "\n")
    return None


def _inputs(config: PipelineConfig, workspace: Workspace, run: StageRun) -> Mapping[str, Any]:
    """Everything that a candidate and its verdict depend on, but for the champion."""
    # They are what a training needs; an ingestion alone does not.
    from darkroom.backbones.catalog import resolve
    from darkroom.stages import evaluate, tune, validate
    from darkroom.validation.suites import suite_of

    lake = Lake(workspace)
    ingested = run.earlier(Stage.INGEST)
    snapshots = {table: ingested[f"{table}_snapshot"] for table in (c.IMAGES, c.SPLITS)}
    return {
        **{table: content_of(lake, config.name, table, one) for table, one in snapshots.items()},
        "source": {name: ingested.get(name) for name in validate.FROM_INGESTION},
        "suite": suite_of(config).fingerprint,
        "backbones": {
            name: resolve(name, config.features.weights).key for name in config.features.backbones
        },
        "tuning": asdict(config.tuning),
        "gate": asdict(config.gate),
        "versions": [
            validate.VALIDATION_VERSION,
            tune.TUNING_VERSION,
            evaluate.EVALUATION_VERSION,
            PIXEL_PATH_VERSION,
        ],
    }


def _outcome(folder: RunFolder, config: PipelineConfig, workspace: Workspace) -> StageResult | None:
    """What a run came to; None where it broke off, or nobody can look at its result any more."""
    from darkroom.stages import evaluate, validate

    validated, evaluated = folder.result(Stage.VALIDATE), folder.result(Stage.EVALUATE)
    # A stage that broke off has no outputs.
    if validated and validated.status is StageStatus.FAILED and validated.outputs:
        return validated if validate.still_there(validated, config, workspace) else None
    if not evaluated or not evaluated.outputs:
        return None
    registered = folder.result(Stage.REGISTER)
    asked = registered is not None and registered.status is not StageStatus.FAILED
    if not asked and evaluated.outputs["verdict"] != Verdict.FAIL:
        return None
    return evaluated if evaluate.still_there(evaluated, config, workspace) else None
