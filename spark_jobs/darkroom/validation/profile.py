"""Writes a pipeline's expectations from what its accepted images are like, for people to edit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from darkroom.contract import DataError, PipelineConfig, RejectReason
from darkroom.contract import columns as c
from darkroom.contract.workspace import write_atomically
from darkroom.validation.facts import DRIFTING, Fact, Facts
from darkroom.validation.suites import DRIFT, KNOWN_FORMATS, Entry, Severity
from darkroom.validation.words import count, percent

LEEWAY: Final = 2
"""A limit leaves room for this many times what was found, or for a part of it."""

LEAST_SHARE: Final = 0.01
"""A limit on a share is never below this: one bad file more should not stop a run."""

_HEADER: Final = """\
# What is expected of the images of {pipeline}. Written by make profile from {images:,} accepted
# images; edit it: it is all that counts. severity: error stops the run, warn is shown.
# All expectations and their fields: docs/validation.md
"""


@dataclass(frozen=True)
class Observed:
    """An expectation, and what the profile found.

    Attributes:
        entry: The expectation.
        found: What it is derived from, in words; empty where that is nothing of these images.
    """

    entry: Entry
    found: str


def profile(facts: Facts, config: PipelineConfig) -> list[Observed]:
    """Derives expectations from what is there, with room for what is usual.

    Numbers per class may halve, ratios and shares may double; classes and formats may not change;
    sides may be half as short and twice as long.

    Args:
        facts: Of the accepted images and the rejected files.
        config: The pipeline; its limits hold where the data would allow less.

    Returns:
        The expectations in the file's order.

    Raises:
        DataError: There is no labelled image to profile.
    """
    classes = facts.of(Fact.LABEL)
    if not classes:
        raise DataError(
            f"pipeline {config.name} has no accepted image with a class: ingest some first"
        )
    return [
        *_of_classes(facts, config),
        *_of_images(facts, config),
        *_of_files(facts, config),
        *_of_drift(),
    ]


def write_profile(
    observed: list[Observed], facts: Facts, config: PipelineConfig, file: Path, snapshot: int
) -> None:
    """Writes the file.

    Args:
        observed: What `profile` returned.
        facts: What it was given.
        config: The pipeline.
        file: Replaced if it is there.
        snapshot: The images snapshot that the facts are of.
    """
    lines = [
        _HEADER.format(pipeline=config.name, images=facts.images),
        _dump({"profile": {"images_snapshot": snapshot, "images": facts.images}}),
        "expectations:\n",
    ]
    for one in observed:
        if one.found:
            lines.append(f"  # found: {one.found}\n")
        values = {"type": one.entry.type, **one.entry.arguments}
        values["severity"] = one.entry.severity.value
        first, *rest = _dump(values).splitlines()
        lines.append("\n".join([f"  - {first}", *(f"    {line}" for line in rest)]) + "\n")
    write_atomically(file, "".join(lines))


def _of_classes(facts: Facts, config: PipelineConfig) -> Iterator[Observed]:
    classes = facts.of(Fact.LABEL)
    least, most = min(classes.values()), max(classes.values())
    found = f"{least:,} to {most:,} images in {len(classes):,} classes"
    yield _error("expect_every_image_once", f"{facts.total(Fact.IMAGE_IDS):,} different images")
    unlabelled = facts.total(Fact.UNLABELLED)
    yield _error(
        "expect_unlabelled_images_to_be_at_most",
        f"{count(unlabelled, 'image')} without a class",
        max_value=unlabelled,
    )
    yield _error("expect_labels_to_match_set", f"{len(classes):,} classes", labels=list(classes))
    fewest = max(config.tuning.folds, least // LEEWAY)
    yield _error("expect_images_per_class_to_be_between", found, min_value=fewest)
    for split in c.SPLIT_NAMES:
        divided = facts.of(Fact(split))
        if divided:
            smallest = min(divided.get(label, 0) for label in classes)
            yield _error(
                "expect_images_per_class_to_be_between",
                f"{smallest:,} or more {split} images in each class",
                min_value=max(1, smallest // LEEWAY),
                split=split,
            )
    ratio = most / least
    limit = max(config.validation.max_class_ratio, LEEWAY * ratio)
    yield _error(
        "expect_class_ratio_to_be_at_most", f"{ratio:.4g} times", max_value=_rounded(limit)
    )


def _of_images(facts: Facts, config: PipelineConfig) -> Iterator[Observed]:
    formats = sorted(name for name in facts.of(Fact.FORMAT) if name)
    known = formats or list(KNOWN_FORMATS)
    yield _error("expect_formats_to_be_in_set", ", ".join(formats), formats=known)
    smallest = min(int(side) for side in facts.of(Fact.SMALLER_SIDE))
    largest = max(int(side) for side in facts.of(Fact.LARGER_SIDE))
    yield _error(
        "expect_resolution_to_be_between",
        f"{smallest:,} to {largest:,} pixels",
        min_side=max(config.source.min_side, smallest // LEEWAY),
        max_side=LEEWAY * largest,
    )


def _of_files(facts: Facts, config: PipelineConfig) -> Iterator[Observed]:
    found = max(facts.total(Fact.FOUND), 1)
    by_reason: Mapping[str, int] = facts.of(Fact.REJECTED)
    rejected = facts.total(Fact.REJECTED) / found
    yield _error(
        "expect_rejected_ratio_to_be_at_most",
        f"{percent(rejected)} of the files",
        max_value=_share(max(rejected * LEEWAY, config.validation.max_rejected_share)),
    )
    duplicates = by_reason.get(RejectReason.DUPLICATE, 0) / found
    yield _warn(
        "expect_duplicate_ratio_to_be_at_most",
        f"{percent(duplicates)} of the files",
        max_value=_share(duplicates * LEEWAY),
    )
    conflicts = by_reason.get(RejectReason.LABEL_CONFLICT, 0)
    yield _warn(
        "expect_label_conflicts_to_be_at_most", count(conflicts, "file"), max_value=conflicts
    )
    leaks = count(facts.total(Fact.LEAKS), "pair")
    yield _error("expect_split_leaks_to_be_at_most", leaks, max_value=0)
    excluded = facts.total(Fact.EXCLUDED) / max(1, facts.total(Fact.LABEL))
    yield _warn(
        "expect_excluded_ratio_to_be_at_most",
        f"{percent(excluded)} of the images",
        max_value=_share(excluded * LEEWAY),
    )


def _of_drift() -> Iterator[Observed]:
    for fact in DRIFTING:
        yield _warn(DRIFT, "", of=str(fact), max_value=0.05)


def _error(kind: str, found: str, **arguments: Any) -> Observed:
    return Observed(Entry(type=kind, arguments=arguments, severity=Severity.ERROR), found)


def _warn(kind: str, found: str, **arguments: Any) -> Observed:
    return Observed(Entry(type=kind, arguments=arguments, severity=Severity.WARN), found)


def _share(value: float) -> float:
    return min(1.0, max(LEAST_SHARE, _rounded(value)))


def _rounded(value: float) -> float:
    """Upwards to two digits: a limit that people would choose."""
    if value <= 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return round(math.ceil(round(value / step, 6)) * step, 10)


def _dump(values: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=100)
