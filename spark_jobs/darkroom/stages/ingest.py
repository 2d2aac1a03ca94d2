"""Stage 1: what the sources hold becomes accepted images, rejected files and splits."""

from __future__ import annotations

import logging
import shutil
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.contract import (
    ConflictError,
    DataError,
    DiskFullError,
    PipelineConfig,
    RejectReason,
    Stage,
    StageResult,
    StageStatus,
    Workspace,
)
from darkroom.contract import columns as c
from darkroom.images import AUDIT_VERSION, PIXEL_PATH_VERSION
from darkroom.ingestion.counts import Counts
from darkroom.ingestion.dividing import Divided, divide_images
from darkroom.ingestion.ingesting import Ingestion
from darkroom.ingestion.listing import Listed, Listing, listed_files
from darkroom.ingestion.sources.opening import all_local, open_sources
from darkroom.ingestion.tables import Tables
from darkroom.lake import Lake
from darkroom.stages.run import StageRun

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ATTEMPTS = 5
"""As often the work is done anew when another process was faster with its commit."""

BATCH_ROWS = 50_000
FILLED = (c.IMAGES, c.REJECTED_IMAGES, c.SPLITS, c.SPLIT_LEAKS)

_DISK_FULL = ("No space left on device", "disk is full", "Disk quota exceeded")
"""How the system, SQLite and a quota say it; Java and Arrow repeat the system's words."""

_LISTED = "listed files"
"""What `inputs` hands to `ingest`."""

_log = logging.getLogger(__name__)


def inputs(config: PipelineConfig, workspace: Workspace, run: StageRun) -> Mapping[str, Any] | None:
    """Everything that the result depends on; None where only Spark can list a source.

    The run keeps the listing: what `ingest` brings in is what its result is remembered for.

    Raises:
        DataError: The source cannot be used.
    """
    if not all_local(config.source):
        return None
    listed = listed_files(open_sources(config.source))
    run.handed[_LISTED] = listed
    listing = listed.listing
    return {
        "roots": listing.roots,
        "files": listing.fingerprint,
        "pixel_path": PIXEL_PATH_VERSION,
        "audit": AUDIT_VERSION,
        "source": asdict(config.source),
        "split": asdict(config.split),
        "folds": config.tuning.folds,
    }


def still_there(result: StageResult, config: PipelineConfig, workspace: Workspace) -> bool:
    """Whether the snapshots of an earlier result are those that the tables have now."""
    lake = Lake(workspace)
    return all(
        lake.snapshot(config.name, table) == result.outputs[f"{table}_snapshot"]
        for table in (c.IMAGES, c.SPLITS)
    )


def ingest(
    spark: SparkSession, config: PipelineConfig, workspace: Workspace, run: StageRun
) -> StageResult:
    """Reads what is new in the sources, and commits rejected files, images and splits.

    Every commit depends only on what the tables lack, so a run after a crash completes them.

    Args:
        spark: The session; its executors must see local sources and the workspace.
        config: Names the sources, the split and the number of folds.
        workspace: Whose tables to fill.
        run: Its id goes into every row.

    Returns:
        The result; outputs count files (found = accepted + rejected + unchanged), classes and
        reasons, and name the snapshots.

    Raises:
        ConflictError: Other processes kept changing the tables.
        DataError: A source cannot be used, no image can, or a class has too few.
        DiskFullError: The workspace has no room left.
    """
    tables = Tables(spark, Lake(workspace), config.name, run.run_id)
    scratch = workspace.scratch / config.name / uuid.uuid4().hex
    try:
        # Taken away: whoever ingests once more means what the sources hold by then.
        listed = run.handed.pop(_LISTED, None) or listed_files(open_sources(config.source, spark))
        counts, divided, classes = _ingest(tables, config, listed, scratch)
    except Exception as error:
        if any(words in str(error) for words in _DISK_FULL):
            raise _disk_full(workspace) from error
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    for table in FILLED:
        tables.lake.vacuum(config.name, table)
    return StageResult(
        stage=Stage.INGEST,
        status=StageStatus.DONE,
        summary=_summary(counts, classes, divided, listed.listing.loose),
        outputs={
            **asdict(counts),
            "images_snapshot": tables.snapshot(c.IMAGES),
            "splits_snapshot": tables.snapshot(c.SPLITS),
            "classes": _by_label(classes),
            "without_label": classes[None],
            "split_leaks": divided.leaks,
            "excluded": divided.excluded,
            "outside_classes": listed.listing.loose,
        },
    )


Classes = Counter[str | None]
"""Images per class; those without a label under None."""


def _ingest(
    tables: Tables, config: PipelineConfig, listed: Listed, scratch: Path
) -> tuple[Counts, Divided, Classes]:
    listing, file = listed.listing, scratch / "listing.parquet"
    listed.write(file)
    files = tables.spark.read.parquet(str(file))
    for attempt in range(ATTEMPTS):
        folder = scratch / f"attempt-{attempt}"
        try:
            counts = Ingestion(tables, listing, files, config.source, folder).run()
            classes = _images_per_class(tables, listing)
            _check_usable(listing, classes, counts.refused, config.tuning.folds)
            return counts, divide_images(tables, config.split), classes
        except ConflictError as conflict:
            if attempt == ATTEMPTS - 1:
                raise
            _log.info("%s; starting anew", conflict)
    raise AssertionError("the last attempt returns or raises")


def _images_per_class(tables: Tables, listing: Listing) -> Classes:
    """Accepted images per class; 0 for a class without any."""
    classes: Classes = Counter(dict.fromkeys(listing.labels, 0))
    snapshot = tables.snapshot(c.IMAGES)
    if snapshot is not None:
        columns = [c.LABEL]
        for batch in tables.lake.batches(tables.namespace, c.IMAGES, snapshot, columns, BATCH_ROWS):
            for counted in batch.column(0).value_counts().to_pylist():
                classes[counted["values"]] += counted["counts"]
    return classes


def _by_label(classes: Classes) -> dict[str, int]:
    return {label: classes[label] for label in sorted(label for label in classes if label)}


def _check_usable(
    listing: Listing, classes: Classes, refused: Mapping[str, int], folds: int
) -> None:
    shown = "source folder" if len(listing.roots) == 1 else "sources"
    roots = ", ".join(listing.roots)
    if sum(refused.values()) == listing.found and RejectReason.DUPLICATE not in refused:
        raise DataError(
            f"{shown} {roots}: none of its {listing.found} files is usable "
            f"({_by_reason(refused)}): replace them by images that open in a viewer"
        )
    short = {label: n for label, n in _by_label(classes).items() if n < folds}
    if short:
        named = ", ".join(f"{label} has {count}" for label, count in short.items())
        raise DataError(
            f"too few usable images for tuning.folds = {folds}: class {named}: add images to "
            f"{roots}, remove the class, or lower tuning.folds"
        )


def _disk_full(workspace: Workspace) -> DiskFullError:
    """What to say instead: a full disk speaks through many libraries, each in its own way."""
    return DiskFullError(
        f"no space is left on the disk of {workspace.root}: make room and run this again; no "
        "snapshot is half written"
    )


def _summary(counts: Counts, classes: Classes, divided: Divided, loose: int) -> str:
    rejected = f"{counts.rejected:,} rejected"
    if counts.reasons:
        rejected += f" ({_by_reason(counts.reasons)})"
    optional = (
        (counts.unchanged, "unchanged"),
        (counts.relabelled, "relabelled"),
        (counts.moved, "moved"),
        (counts.gone, "gone from the source"),
        (counts.deleted, "deleted"),
        (loose, "outside the class folders left out"),
    )
    parts = [f"{counts.accepted:,} accepted", rejected]
    parts += [f"{number:,} {what}" for number, what in optional if number]
    labels = _by_label(classes)
    total = f"{sum(labels.values()):,} images in {len(labels)} classes"
    if classes[None]:
        total += f", {classes[None]:,} without a label"
    if divided.excluded:
        one = divided.excluded == 1
        alike = "one looks" if one else f"{divided.excluded:,} look"
        total += f"; {alike} like images of several splits and {'is' if one else 'are'} in none"
    if divided.leaks:
        pairs = (
            "pair of near-duplicates lies" if divided.leaks == 1 else "pairs of near-duplicates lie"
        )
        total += f"; {divided.leaks:,} {pairs} in different splits"
    return f"{counts.found:,} files: {', '.join(parts)}; {total}"


def _by_reason(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in sorted(reasons.items()))
