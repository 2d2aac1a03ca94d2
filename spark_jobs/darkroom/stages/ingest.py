"""Stage 1: a class-per-folder tree becomes accepted images, rejected files and splits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from darkroom.contract import (
    DataError,
    PipelineConfig,
    Stage,
    StageResult,
    StageStatus,
    Workspace,
)
from darkroom.contract import columns as c
from darkroom.images import AUDIT_VERSION, PIXEL_PATH_VERSION
from darkroom.ingestion.duplicates import ACCEPTED, OUTCOME, REJECTED, UNCHANGED, decide
from darkroom.ingestion.reading import read_and_audit
from darkroom.ingestion.source import SourceListing, list_source
from darkroom.ingestion.splits import assign_splits
from darkroom.lake import Commit, Lake
from darkroom.stages.run import StageRun

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

MAX_LISTED = 50
"""Rejected files that the result names; the table has them all."""

PARTITION_BYTES = 128 * 1024**2
"""Encoded bytes per task, and so about the size of a Parquet file of a large source."""

_FILE_KEY = [c.PATH, c.LENGTH, c.MODIFIED_AT]
"""A file with the same three is not opened again."""


def inputs(config: PipelineConfig, workspace: Workspace, run: StageRun) -> Mapping[str, Any]:
    """Everything that the result depends on.

    Raises:
        DataError: The source cannot be used.
    """
    listing = list_source(config.source)
    return {
        "root": str(listing.root),
        "files": listing.fingerprint,
        "pixel_path": PIXEL_PATH_VERSION,
        "audit": AUDIT_VERSION,
        "source": asdict(config.source),
        "split": asdict(config.split),
        "folds": config.tuning.folds,
    }


def still_there(result: StageResult, config: PipelineConfig, workspace: Workspace) -> bool:
    """Whether the snapshots of an earlier result can still be read."""
    lake = Lake(workspace)
    return all(
        lake.has_snapshot(config.name, table, result.outputs[f"{table}_snapshot"])
        for table in (c.IMAGES, c.SPLITS)
    )


def ingest(
    spark: SparkSession, config: PipelineConfig, workspace: Workspace, run: StageRun
) -> StageResult:
    """Reads what is new in the source, and commits rejected files, images and splits.

    Every commit depends only on what the tables lack, so a run after a crash completes them.

    Args:
        spark: The session; its executors must see the source folder.
        config: Names the source, the split and the number of folds.
        workspace: Whose tables to fill.
        run: Its id goes into every row.

    Returns:
        The result; outputs count files (found = accepted + rejected + unchanged), classes and
        reasons, and name the snapshots.

    Raises:
        DataError: The source cannot be used, no image can, or a class has too few.
    """
    listing = list_source(config.source)
    tables = _Tables(spark, Lake(workspace), config.name, run.run_id)
    files = _as_frame(spark, listing)
    counts = _add_files(tables, files, listing, config.source.min_side)
    classes = _images_per_class(tables, listing)
    # The first run of a source has just refused all that is refused.
    refused = _refused(tables, files) if counts.unchanged else counts.reasons
    _check_usable(listing, classes, refused, config.tuning.folds)
    _add_splits(tables, config.split.test_share)
    for table in (c.IMAGES, c.REJECTED_IMAGES, c.SPLITS):
        tables.lake.vacuum(config.name, table)
    return StageResult(
        stage=Stage.INGEST,
        status=StageStatus.DONE,
        summary=_summary(counts, classes, listing.unlabelled),
        outputs={
            **asdict(counts),
            "images_snapshot": tables.lake.snapshot(config.name, c.IMAGES),
            "splits_snapshot": tables.lake.snapshot(config.name, c.SPLITS),
            "classes": classes,
            "refused": refused,
            "unlabelled": listing.unlabelled,
        },
    )


@dataclass(frozen=True)
class _Tables:
    """The pipeline's tables, as this run reads and fills them."""

    spark: SparkSession
    lake: Lake
    namespace: str
    run_id: str

    def are_new(self) -> bool:
        """Whether no file was ever ingested, so that nothing need be looked up."""
        files = (c.IMAGES, c.REJECTED_IMAGES)
        return all(self.lake.snapshot(self.namespace, table) is None for table in files)

    def read(self, table: str) -> DataFrame:
        return self.lake.read(self.spark, self.namespace, table)

    def append(self, frame: DataFrame, table: str) -> Commit:
        return self.lake.append(
            frame, self.namespace, table, run_id=self.run_id, stage=Stage.INGEST
        )


@dataclass(frozen=True, kw_only=True)
class _Counts:
    """Files of one ingestion: found = accepted + rejected + unchanged."""

    found: int
    accepted: int = 0
    rejected: int = 0
    unchanged: int
    reasons: dict[str, int] = field(default_factory=dict)
    rejected_files: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.found != self.accepted + self.rejected + self.unchanged:
            raise RuntimeError(
                f"{self.found} files found, but {self.accepted} accepted, {self.rejected} "
                f"rejected and {self.unchanged} unchanged: run the stage again"
            )


def _as_frame(spark: SparkSession, listing: SourceListing) -> DataFrame:
    """Columns path, label, length, modified_at; one row per listed file."""
    import pyarrow as pa

    columns = {
        c.PATH: pa.array([file.path for file in listing.files], pa.string()),
        c.LABEL: pa.array([file.label for file in listing.files], pa.string()),
        c.LENGTH: pa.array([file.length for file in listing.files], pa.int64()),
        c.MODIFIED_AT: pa.array(
            [file.modified_ns // 1000 for file in listing.files], pa.timestamp("us", tz="UTC")
        ),
    }
    return spark.createDataFrame(pa.table(columns))


def _add_files(tables: _Tables, files: DataFrame, listing: SourceListing, min_side: int) -> _Counts:
    """Opens what no table knows, commits the rejected and then the accepted files."""
    images, rejected = tables.read(c.IMAGES), tables.read(c.REJECTED_IMAGES)
    known = images.select(_FILE_KEY).unionByName(rejected.select(_FILE_KEY)).distinct()
    new = files.join(known, _FILE_KEY, "left_anti").persist()
    found = len(listing.files)
    opened = found if tables.are_new() else new.count()
    if not opened:
        return _Counts(found=found, unchanged=found)
    tasks = _tasks(tables.spark, listing)
    audited = read_and_audit(new.repartition(tasks), listing.root, min_side).persist()
    decided = decide(audited.drop(c.IMAGE), images, rejected).persist()
    try:
        return _commit(tables, audited, decided, found, found - opened)
    finally:
        for frame in (decided, audited, new):
            frame.unpersist()


def _commit(
    tables: _Tables, audited: DataFrame, decided: DataFrame, found: int, known: int
) -> _Counts:
    """Commits what was decided; counts the rows that were written, not those that should be."""
    from pyspark.sql import functions as f

    tally = decided.groupBy(OUTCOME, c.REASON).count().orderBy(OUTCOME, c.REASON).collect()
    outcomes = {(row[0], row[1]): row[2] for row in tally}
    reasons = {reason: n for (outcome, reason), n in outcomes.items() if outcome == REJECTED}
    rejected_files: list[dict[str, str]] = []
    rejected_rows = accepted_rows = 0
    if reasons:
        refusals = decided.where(f.col(OUTCOME) == REJECTED)
        first = refusals.select(c.PATH, c.REASON, c.DETAIL).orderBy(c.PATH).limit(MAX_LISTED)
        rejected_files = [row.asDict() for row in first.collect()]
        rejected_rows = tables.append(refusals, c.REJECTED_IMAGES).rows
    if (ACCEPTED, None) in outcomes:
        # Few rows, so they travel to the pictures and the pictures stay where they are.
        others = f.broadcast(decided.where(f.col(OUTCOME) != ACCEPTED).select(c.PATH))
        accepted_rows = tables.append(audited.join(others, c.PATH, "left_anti"), c.IMAGES).rows
    return _Counts(
        found=found,
        accepted=accepted_rows,
        rejected=rejected_rows,
        unchanged=known + outcomes.get((UNCHANGED, None), 0),
        reasons=reasons,
        rejected_files=rejected_files,
    )


def _tasks(spark: SparkSession, listing: SourceListing) -> int:
    total = sum(file.length for file in listing.files)
    return max(int(spark.sparkContext.defaultParallelism), math.ceil(total / PARTITION_BYTES))


def _images_per_class(tables: _Tables, listing: SourceListing) -> dict[str, int]:
    """Accepted images per class; 0 for a class folder without any."""
    rows = tables.read(c.IMAGES).groupBy(c.LABEL).count().collect()
    counted = {row[0]: row[1] for row in rows}
    return {label: counted.get(label, 0) for label in sorted({*listing.labels, *counted})}


def _refused(tables: _Tables, files: DataFrame) -> dict[str, int]:
    """Reasons of all listed files that are rejected, now or in an earlier run."""
    rejected = tables.read(c.REJECTED_IMAGES).dropDuplicates(_FILE_KEY)
    listed = rejected.join(files.select(_FILE_KEY), _FILE_KEY, "left_semi")
    return {row[0]: row[1] for row in listed.groupBy(c.REASON).count().orderBy(c.REASON).collect()}


def _check_usable(
    listing: SourceListing, classes: Mapping[str, int], refused: Mapping[str, int], folds: int
) -> None:
    found = len(listing.files)
    if sum(refused.values()) == found:
        raise DataError(
            f"source folder {listing.root}: none of its {found} files is usable "
            f"({_by_reason(refused)}): replace them by images that open in a viewer"
        )
    short = {label: count for label, count in classes.items() if count < folds}
    if short:
        named = ", ".join(f"{label} has {count}" for label, count in short.items())
        raise DataError(
            f"too few usable images for tuning.folds = {folds}: class {named}: add images to "
            f"{listing.root}, remove the class, or lower tuning.folds"
        )


def _add_splits(tables: _Tables, test_share: float) -> None:
    splits = assign_splits(tables.read(c.IMAGES), tables.read(c.SPLITS), test_share)
    tables.append(splits, c.SPLITS)


def _summary(counts: _Counts, classes: Mapping[str, int], unlabelled: int) -> str:
    rejected = f"{counts.rejected:,} rejected"
    if counts.reasons:
        rejected += f" ({_by_reason(counts.reasons)})"
    parts = [f"{counts.accepted:,} accepted", rejected]
    if counts.unchanged:
        parts.append(f"{counts.unchanged:,} unchanged")
    if unlabelled:
        parts.append(f"{unlabelled:,} outside the class folders left out")
    total = f"{sum(classes.values()):,} images in {len(classes)} classes"
    return f"{counts.found:,} files: {', '.join(parts)}; {total}"


def _by_reason(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in sorted(reasons.items()))
