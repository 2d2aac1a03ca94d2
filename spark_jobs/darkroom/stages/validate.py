"""Stage 2: the accepted images are held against what the pipeline expects of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from darkroom.contract import PipelineConfig, Stage, StageResult, StageStatus, Workspace
from darkroom.contract import columns as c
from darkroom.lake import Lake
from darkroom.stages.run import StageRun
from darkroom.validation.facts import (
    IMAGES_OF_CLASS,
    class_facts,
    image_facts,
    source_facts,
)
from darkroom.validation.suites import KNOWN_FORMATS, Facts
from darkroom.validation.validator import Outcome, validate_facts

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def inputs(config: PipelineConfig, workspace: Workspace, run: StageRun) -> Mapping[str, Any]:
    """Everything that the result depends on.

    Raises:
        MissingInputError: The run has no ingestion.
    """
    ingested = run.earlier(Stage.INGEST)
    used = ("images_snapshot", "splits_snapshot", "found", "refused")
    return {
        **{name: ingested[name] for name in used},
        "validation": asdict(config.validation),
        "min_side": config.source.min_side,
        "formats": KNOWN_FORMATS,
    }


def still_there(result: StageResult, config: PipelineConfig, workspace: Workspace) -> bool:
    """Whether the report of an earlier result can still be opened."""
    return result.report is not None and (workspace.root / result.report).exists()


def validate(
    spark: SparkSession, config: PipelineConfig, workspace: Workspace, run: StageRun
) -> StageResult:
    """Evaluates the expectations on the snapshot that the run ingested, and writes Data Docs.

    Args:
        spark: The session.
        config: Sets the limits.
        workspace: Holds the tables and gets the Data Docs.
        run: Names the run and its ingestion.

    Returns:
        The result; a permanent failure when an expectation is not met. Its report is the Data
        Docs' start page.

    Raises:
        MissingInputError: The run has no ingestion.
    """
    ingested = run.earlier(Stage.INGEST)
    lake = Lake(workspace)
    images = lake.read(spark, config.name, c.IMAGES, ingested["images_snapshot"])
    splits = lake.read(spark, config.name, c.SPLITS, ingested["splits_snapshot"])
    classes = class_facts(images, splits)
    count = int(classes[IMAGES_OF_CLASS].sum())
    facts = Facts(image_facts(images, count), classes, source_facts(ingested, classes))
    outcome = validate_facts(facts, config, run.run_id, workspace.data_docs / config.name)
    return StageResult(
        stage=Stage.VALIDATE,
        status=StageStatus.FAILED if outcome.failures else StageStatus.DONE,
        summary=_summary(outcome),
        outputs={
            "expectations": outcome.expectations,
            "failed": [asdict(failure) for failure in outcome.failures],
        },
        report=outcome.index.relative_to(workspace.root).as_posix(),
        permanent=bool(outcome.failures),
    )


def _summary(outcome: Outcome) -> str:
    if not outcome.failures:
        return f"all {outcome.expectations} expectations met"
    failed = f"{len(outcome.failures)} of {outcome.expectations} expectations not met"
    return f"{failed}: {'; '.join(map(str, outcome.failures))}"
