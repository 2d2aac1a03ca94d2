"""Stage 10: predictions of the deployed model for images that have none."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from darkroom.contract import (
    PipelineConfig,
    Stage,
    StageResult,
    StageStatus,
    Workspace,
)
from darkroom.contract import columns as c
from darkroom.lake import Lake
from darkroom.ml.engines import prepare, ship
from darkroom.sql.deployments import deployed
from darkroom.sql.functions import checked_file
from darkroom.stages.options import NOW, flag_of, moment_of
from darkroom.stages.predicting import Predicting, by_file
from darkroom.stages.run import StageRun

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OPTIONS: Final = {"backfill": "false", "until": NOW}
"""The command line's own options: whether images that an earlier version has scored are scored
again, and the moment (`NOW`, or ISO 8601 with a time zone) whose images are scored."""


def nothing_to_do(
    config: PipelineConfig, workspace: Workspace, run: StageRun
) -> StageResult | None:
    """That no model is deployed; None where one is."""
    del run
    return None if config.function in deployed(Lake(workspace)) else _nothing_deployed(config)


def inputs(config: PipelineConfig, workspace: Workspace, run: StageRun) -> Mapping[str, Any] | None:
    """What the predictions depend on: which images, which model; None while none is deployed."""
    lake = Lake(workspace)
    deployment = deployed(lake).get(config.function)
    if deployment is None:
        return None
    return {
        "images_snapshot": lake.snapshot(config.name, c.IMAGES),
        "eligible_snapshot": _eligible_snapshot(lake, config, run),
        "version": deployment.model_version,
        "model_digest": deployment.model_digest,
        "backfill": flag_of(run, "backfill"),
    }


def still_there(result: StageResult, config: PipelineConfig, workspace: Workspace) -> bool:
    """Whether the predictions that an earlier result speaks of can still be read."""
    snapshot = result.outputs["predictions_snapshot"]
    return snapshot is None or Lake(workspace).has_snapshot(config.name, c.PREDICTIONS, snapshot)


def score(
    spark: SparkSession, config: PipelineConfig, workspace: Workspace, run: StageRun
) -> StageResult:
    """Scores each image once, or once per version on request; safe to repeat at any point.

    Reads `images` (image_id, image) and `predictions`; appends to `predictions`. Only files that
    hold an image without prediction are opened, so that a run costs what is new.

    Args:
        spark: The session.
        config: The pipeline; its SQL function says which model is deployed.
        workspace: Where tables and models lie.
        run: Its options are `OPTIONS`.

    Returns:
        Outputs: version, model_digest, scored, unusable, known, files, images_per_second,
        core_seconds, predictions_snapshot. Status UNCHANGED while no model is deployed.

    Raises:
        ConfigError: An option is not usable.
        ConflictError: Another run scored the same pipeline meanwhile; a retry may succeed.
        MissingInputError: The deployed model's file is missing.
        DataError: The deployed model's file is another one.
    """
    lake = Lake(workspace)
    deployment = deployed(lake).get(config.function)
    if deployment is None:
        return _nothing_deployed(config)
    begun = time.perf_counter()
    scoring = Predicting(
        spark, lake, config.name, deployment, c.PREDICTIONS, Stage.SCORE, run.run_id
    )
    todo, total = _unscored(
        scoring, _eligible_snapshot(lake, config, run), flag_of(run, "backfill")
    )
    if todo:
        prepared = prepare(checked_file(workspace, deployment), workspace.engines)
        scoring.score(ship(spark, prepared), todo)
    cores = spark.sparkContext.defaultParallelism
    return _result(scoring, total, time.perf_counter() - begun, cores)


def _unscored(
    scoring: Predicting, eligible: int | None, backfill: bool
) -> tuple[dict[str, list[str]], int]:
    """Finds the images without prediction; reads no picture.

    Args:
        scoring: The work.
        eligible: Only images of this snapshot count.
        backfill: Whether an image counts that only other versions have scored.

    Returns:
        Their ids by the data file that holds them, and how many images there are in all.
    """
    if scoring.images is None or eligible is None:
        return {}, 0
    images = scoring.located()
    if eligible != scoring.images:
        # Not the old snapshot itself: what was deleted since must not come back.
        then = scoring.lake.read(scoring.spark, scoring.pipeline, c.IMAGES, eligible)
        images = images.join(then.select(c.IMAGE_ID), c.IMAGE_ID, "left_semi")
    known = scoring.known()
    if backfill:
        known = known.where(scoring.model.gave())
    rows = images.join(known.select(c.IMAGE_ID), c.IMAGE_ID, "left_anti").collect()
    return by_file(rows), images.count()


def _result(scoring: Predicting, total: int, seconds: float, cores: int) -> StageResult:
    """What the run did, how quickly and at what cost."""
    return StageResult(
        stage=Stage.SCORE,
        status=StageStatus.DONE,
        summary=_summary(scoring, total, seconds, cores),
        outputs={
            "version": scoring.model.model_version,
            "model_digest": scoring.model.model_digest,
            "scored": scoring.scored,
            "unusable": scoring.unusable,
            "known": total - scoring.scored,
            "files": scoring.files,
            "images_per_second": round(scoring.scored / seconds, 2),
            "core_seconds": round(seconds * cores, 2),
            "predictions_snapshot": scoring.base,
        },
    )


def _summary(scoring: Predicting, total: int, seconds: float, cores: int) -> str:
    scored = scoring.scored
    model = f"{scoring.model.model_name} version {scoring.model.model_version}"
    if not total:
        return (
            f"nothing to score: {scoring.pipeline} has no images of that time; ingest some, or "
            "name a time whose snapshots are kept"
        )
    if not scored:
        return f"nothing new for {model}: all {total:,} images have predictions"
    unusable = f", {scoring.unusable:,} of them unusable" if scoring.unusable else ""
    return (
        f"{scored:,} images scored with {model} in {seconds:.1f} s{unusable}: "
        f"{scored / seconds:,.1f} a second, {seconds * cores / scored:.3f} core-seconds each; "
        f"{total - scored:,} had predictions"
    )


def _nothing_deployed(config: PipelineConfig) -> StageResult:
    return StageResult(
        stage=Stage.SCORE,
        status=StageStatus.UNCHANGED,
        summary=f"nothing to score with: function {config.function} is not deployed; approve a "
        f"candidate of {config.name} first",
        outputs={"scored": 0, "predictions_snapshot": None},
    )


def _eligible_snapshot(lake: Lake, config: PipelineConfig, run: StageRun) -> int | None:
    """The snapshot of the images at the end of the run's data interval; the current one without."""
    moment = moment_of(run, "until")
    if moment is None:
        return lake.snapshot(config.name, c.IMAGES)
    return lake.snapshot_at(config.name, c.IMAGES, moment)
