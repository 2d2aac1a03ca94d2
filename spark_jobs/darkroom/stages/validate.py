"""Stage 2: the accepted images are held against what the pipeline expects of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from darkroom.contract import PipelineConfig, Stage, StageResult, StageStatus, Workspace
from darkroom.contract import columns as c
from darkroom.contract.workspace import safe_name
from darkroom.lake import Lake
from darkroom.stages.run import StageRun
from darkroom.validation.accepted import Accepted, compared
from darkroom.validation.facts import (
    Fact,
    Facts,
    image_facts,
    metadata,
    rejected_by_reason,
    source_facts,
)
from darkroom.validation.leaks import Leaks, read_leaks
from darkroom.validation.page import PageData, page_file, write_page
from darkroom.validation.pictures import (
    Picture,
    first_rejected,
    repeated,
    show_images,
    show_rejected,
)
from darkroom.validation.suites import DRIFT, Severity, suite_of
from darkroom.validation.validator import (
    Checked,
    Metadata,
    import_expectations_meanwhile,
    validate_facts,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

VALIDATION_VERSION: Final = "1"
"""Part of the inputs: raise it when a change of the code changes what is found."""

FROM_INGESTION: Final = ("found", "refused", "split_leaks")
"""Outputs of the ingestion, besides its snapshots, that expectations can be about."""


def inputs(config: PipelineConfig, workspace: Workspace, run: StageRun) -> Mapping[str, Any]:
    """Everything that the result depends on.

    Raises:
        ConfigError: The pipeline's file of expectations cannot be read.
        MissingInputError: The run has no ingestion.
    """
    ingested = run.earlier(Stage.INGEST)
    used = ("images_snapshot", "splits_snapshot", *FROM_INGESTION)
    reference = _accepted(workspace, config).reference(ingested["images_snapshot"])
    return {
        **{name: ingested.get(name) for name in used},
        "suite": suite_of(config).fingerprint,
        "reference": reference.snapshot if reference else None,
        "version": VALIDATION_VERSION,
    }


def still_there(result: StageResult, config: PipelineConfig, workspace: Workspace) -> bool:
    """Whether the report of an earlier result can still be opened."""
    return result.report is not None and (workspace.root / result.report).exists()


def validate(
    spark: SparkSession, config: PipelineConfig, workspace: Workspace, run: StageRun
) -> StageResult:
    """Evaluates the expectations on the snapshot that the run ingested, and writes the page.

    Args:
        spark: The session.
        config: Names the expectations, or sets the limits of the built-in ones.
        workspace: Holds the tables and gets the pages.
        run: Names the run and its ingestion.

    Returns:
        The result; a permanent failure when an expectation of severity ``error`` is not met.
        Outputs: expectations (their number), failed and warnings (expectation, observed and
        wanted of each that is not met), compared_with (images snapshot, or None), drift (the
        same of each expectation that compares with it, and whether it is met).

    Raises:
        ConfigError: The file of expectations, or an entry of it, is wrong.
        MissingInputError: The run has no ingestion.
    """
    import_expectations_meanwhile()
    data = _Data(spark, config, workspace, run)
    suite = suite_of(config)
    accepted = _accepted(workspace, config)
    reference = accepted.reference(data.ingested["images_snapshot"])
    leaks = data.leaks()
    counted = image_facts(data.images, data.read(c.SPLITS)).but(source_facts(data.ingested))
    refused = data.read(c.REJECTED_IMAGES)
    rejected = first_rejected(refused)
    pictures = data.pictures(counted, leaks.image_ids | repeated(rejected))
    paths = {picture.image_id: picture.path for picture in pictures}
    facts = compared(counted.but(leaks.facts(paths)), reference)
    docs = workspace.data_docs / config.name
    outcome = validate_facts(suite, facts, data.metadata(facts), run.run_id, docs)
    page = page_file(docs, safe_name(run.run_id))
    shown = PageData(
        pipeline=config.name,
        run_id=run.run_id,
        outcome=outcome,
        suite=suite.origin,
        facts=facts,
        ingest=data.ingested,
        pictures=pictures,
        leaks=leaks.first,
        refused=rejected_by_reason(refused),
        rejected=show_rejected(rejected, pictures),
    )
    write_page(shown, page)
    errors, warnings = outcome.unmet(Severity.ERROR), outcome.unmet(Severity.WARN)
    if not errors:
        accepted.add(data.ingested["images_snapshot"], facts)
    return StageResult(
        stage=Stage.VALIDATE,
        status=StageStatus.FAILED if errors else StageStatus.DONE,
        summary=_summary(len(outcome.checked), errors, warnings),
        outputs={
            "expectations": len(outcome.checked),
            "failed": [_as_output(one) for one in errors],
            "warnings": [_as_output(one) for one in warnings],
            "suite": suite.origin,
            "compared_with": reference.snapshot if reference else None,
            "drift": [
                {**_as_output(one), "met": one.met}
                for one in outcome.checked
                if reference and one.expectation.startswith(DRIFT)
            ],
        },
        report=page.relative_to(workspace.root).as_posix(),
        permanent=bool(errors),
    )


@dataclass(frozen=True)
class _Data:
    """The tables of the run, as the validation reads them."""

    spark: SparkSession
    config: PipelineConfig
    workspace: Workspace
    run: StageRun

    @cached_property
    def ingested(self) -> Mapping[str, Any]:
        return self.run.earlier(Stage.INGEST)

    @cached_property
    def lake(self) -> Lake:
        return Lake(self.workspace)

    @cached_property
    def images(self) -> DataFrame:
        return self.read(c.IMAGES)

    def read(self, table: str) -> DataFrame:
        return self.lake.read(self.spark, self.config.name, table, self.snapshot(table))

    def snapshot(self, table: str) -> int | None:
        """That of the ingestion; the current one of a table whose snapshot it does not name."""
        named: int | None = self.ingested.get(f"{table}_snapshot")
        return self.lake.snapshot(self.config.name, table) if named is None else named

    def leaks(self) -> Leaks:
        if not self.ingested.get("split_leaks"):
            return Leaks()
        return read_leaks(self.lake, self.config.name, self.snapshot(c.SPLIT_LEAKS))

    def pictures(self, facts: Facts, also: Collection[str]) -> list[Picture]:
        if not facts.images:
            return []
        return show_images(self.images, list(facts.of(Fact.LABEL)), also)

    def metadata(self, facts: Facts) -> Metadata:
        return lambda columns: metadata(self.images, columns, facts.images)


def _accepted(workspace: Workspace, config: PipelineConfig) -> Accepted:
    return Accepted(workspace.accepted(config.name))


def _as_output(checked: Checked) -> dict[str, str]:
    return {
        "expectation": checked.expectation,
        "observed": checked.observed,
        "wanted": checked.wanted,
    }


def _summary(number: int, errors: Sequence[Checked], warnings: Sequence[Checked]) -> str:
    if not errors and not warnings:
        return f"all {number} expectations met"
    unmet = f"{len(errors) + len(warnings)} of {number} expectations not met"
    named = [str(one) for one in errors] + [f"warning: {one}" for one in warnings]
    return f"{unmet}: {'; '.join(named)}"
