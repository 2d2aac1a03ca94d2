"""Beside stage 10: what a version that waits for approval answers to the newest images."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from darkroom.contract import (
    MissingInputError,
    PipelineConfig,
    ShadowComparison,
    Stage,
    StageResult,
    StageStatus,
    Workspace,
)
from darkroom.contract import columns as c
from darkroom.contract.stages import CHALLENGER
from darkroom.contract.workspace import write_atomically
from darkroom.evaluation.resampling import share_interval
from darkroom.evaluation.shadow import (
    SHOWN_PICTURES,
    Answer,
    BothAnswers,
    answered,
    differing,
    examples,
    write_page,
)
from darkroom.lake import Lake
from darkroom.ml.engines import prepare, ship
from darkroom.registry import lookup
from darkroom.sql.challengers import challenger_of
from darkroom.sql.deployments import Deployment, deployed
from darkroom.sql.functions import checked_file
from darkroom.stages.predicting import FILE, Predicting, by_file
from darkroom.stages.run import StageRun

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

SHADOW_VERSION: Final = "1"
"""Part of the inputs: raise it when a change of the code changes what is found."""

EXAMPLES: Final = 5
"""Images that the approval's question names."""


def nothing_to_do(
    config: PipelineConfig, workspace: Workspace, run: StageRun
) -> StageResult | None:
    """Why there is nothing to compare; None where there is.

    Raises:
        DarkroomError: The registry does not answer.
    """
    del run
    if config.function not in deployed(Lake(workspace)):
        return _nothing(f"nothing to compare: function {config.function} is not deployed")
    if lookup.at(config.name, CHALLENGER) is None:
        return _nothing(f"nothing to compare: no version of {config.name} waits for approval")
    return None


def inputs(config: PipelineConfig, workspace: Workspace, run: StageRun) -> Mapping[str, Any]:
    """What the comparison depends on: both versions, and the newest predictions.

    Raises:
        DarkroomError: The registry does not answer.
    """
    del run
    lake = Lake(workspace)
    deployment = deployed(lake)[config.function]
    return {
        "waiting": lookup.at(config.name, CHALLENGER),
        "deployed": (deployment.model_version, deployment.model_digest),
        "images_snapshot": lake.snapshot(config.name, c.IMAGES),
        "predictions_snapshot": lake.snapshot(config.name, c.PREDICTIONS),
        "images": config.scoring.shadow_images,
        "confidence": config.gate.confidence,
        "version": SHADOW_VERSION,
    }


def still_there(result: StageResult, config: PipelineConfig, workspace: Workspace) -> bool:
    """Whether the comparison that an earlier result speaks of is the newest, with its page."""
    if result.report is None or not (workspace.root / result.report).is_file():
        return False
    try:
        newest = ShadowComparison.from_json(workspace.shadow(config.name).read_text())
    except (FileNotFoundError, ValueError):
        return False
    compared = (result.outputs["champion"], result.outputs["challenger"])
    return compared == (newest.champion, newest.challenger)


def shadow(
    spark: SparkSession, config: PipelineConfig, workspace: Workspace, run: StageRun
) -> StageResult:
    """Lets the waiting version answer the newest images that the deployed one has answered.

    Reads `images` (image_id, path, image) and `predictions`; appends to `shadow_predictions`, which
    nothing reads that wants the deployed version's answers. An image is answered once per version.
    Writes the page of the comparison, and its numbers for whoever asks people.

    Args:
        spark: The session.
        config: The pipeline; `scoring.shadow_images` bounds the work.
        workspace: Where tables, models and reports lie.
        run: The run.

    Returns:
        Outputs: champion, challenger, scored (images that the waiting version answered now),
        compared, differing.

    Raises:
        ConflictError: Another run did the same meanwhile; a retry may succeed.
        DarkroomError: The registry does not answer, or the waiting version cannot be fetched.
        GateFailedError: The waiting version's stored file is not the one that was registered.
        MissingInputError: No version is deployed, or none waits any more.
    """
    lake = Lake(workspace)
    deployment = deployed(lake).get(config.function)
    waiting = challenger_of(deployment, workspace) if deployment else None
    if deployment is None or waiting is None:
        raise MissingInputError(
            f"there are no two versions of {config.name} any more: run this again when one waits"
        )
    work = Predicting(
        spark, lake, config.name, waiting, c.SHADOW_PREDICTIONS, Stage.SHADOW, run.run_id
    )
    newest = _newest(work, deployment, config.scoring.shadow_images)
    known = _answers(work)
    todo = by_file([row for row in newest if row[c.IMAGE_ID] not in known])
    if todo:
        prepared = prepare(checked_file(workspace, waiting), workspace.engines)
        work.score(ship(spark, prepared), todo)
        known = _answers(work)
    both = answered(_both(row, known[row[c.IMAGE_ID]]) for row in newest)
    found = differing(both)
    page = workspace.reports / config.name / "shadow" / f"version-{waiting.model_version}.html"
    at = page.relative_to(workspace.root).as_posix()
    comparison = _compared(config, (deployment, waiting), len(both), found, at)
    shown = {one.image_id for one in found[:SHOWN_PICTURES]}
    pictures = _pictures(work, [row for row in newest if row[c.IMAGE_ID] in shown])
    write_page(config.name, comparison, found, pictures, page)
    write_atomically(workspace.shadow(config.name), comparison.to_json())
    return _result(work, comparison)


def _newest(work: Predicting, deployment: Deployment, most: int) -> list[Row]:
    """The deployed version's newest predictions, of images that are still there.

    Returns:
        At most ``most`` rows: image_id, label, probability, path, and the file of the image.
    """
    from pyspark.sql import functions as f

    said = work.lake.read(work.spark, work.pipeline, c.PREDICTIONS).where(deployment.gave())
    found = said.select(c.IMAGE_ID, c.LABEL, c.PROBABILITY, c.SCORED_AT)
    rows = found.join(work.located(c.PATH), c.IMAGE_ID)
    return rows.orderBy(f.desc(c.SCORED_AT), c.IMAGE_ID).limit(most).drop(c.SCORED_AT).collect()


def _answers(work: Predicting) -> dict[str, Answer]:
    """What the waiting version has said so far, by image."""
    rows = work.known().where(work.model.gave()).select(c.IMAGE_ID, c.LABEL, c.PROBABILITY)
    return {row[c.IMAGE_ID]: _answer(row) for row in rows.collect()}


def _answer(row: Row) -> Answer:
    return Answer(label=row[c.LABEL], probability=row[c.PROBABILITY])


def _both(row: Row, challenger: Answer) -> BothAnswers:
    return BothAnswers(
        image_id=row[c.IMAGE_ID], path=row[c.PATH], champion=_answer(row), challenger=challenger
    )


def _compared(
    config: PipelineConfig,
    models: tuple[Deployment, Deployment],
    compared: int,
    found: Sequence[BothAnswers],
    page: str,
) -> ShadowComparison:
    champion, challenger = models
    confidence = config.gate.confidence
    low, high = share_interval(len(found), compared, confidence)
    return ShadowComparison(
        champion=champion.model_version,
        challenger=challenger.model_version,
        challenger_digest=challenger.model_digest,
        compared=compared,
        differing=len(found),
        low=low,
        high=high,
        confidence=confidence,
        compared_at=dt.datetime.now(dt.UTC).isoformat(),
        examples=examples(found, EXAMPLES),
        page=page,
    )


def _pictures(work: Predicting, rows: Sequence[Row]) -> dict[str, bytes]:
    """Encoded pictures by image id; no other file is opened than those that hold them."""
    from pyspark.sql import functions as f

    if not rows:
        return {}
    wanted = by_file(rows)
    there = f.col(FILE).isin(*wanted)
    ids = [image_id for held in wanted.values() for image_id in held]
    found = work.located(c.IMAGE).where(there & f.col(c.IMAGE_ID).isin(*ids)).collect()
    return {row[c.IMAGE_ID]: bytes(row[c.IMAGE]) for row in found}


def _result(work: Predicting, comparison: ShadowComparison) -> StageResult:
    return StageResult(
        stage=Stage.SHADOW,
        status=StageStatus.DONE,
        summary=f"{comparison.sentence}; {work.scored:,} of them answered now",
        report=comparison.page,
        outputs={
            "champion": comparison.champion,
            "challenger": comparison.challenger,
            "scored": work.scored,
            "compared": comparison.compared,
            "differing": comparison.differing,
        },
    )


def _nothing(why: str) -> StageResult:
    return StageResult(
        stage=Stage.SHADOW, status=StageStatus.UNCHANGED, summary=why, outputs={"compared": 0}
    )
