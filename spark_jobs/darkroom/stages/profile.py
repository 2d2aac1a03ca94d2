"""Beside the stages: writes a file of expectations from the pipeline's accepted images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from darkroom.contract import ConfigError, MissingInputError, PipelineConfig, Workspace
from darkroom.contract import columns as c
from darkroom.lake import Lake
from darkroom.validation.facts import Fact, image_facts, rejected_by_reason
from darkroom.validation.leaks import read_leaks
from darkroom.validation.profile import profile, write_profile
from darkroom.validation.suites import default_file

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PROFILED: Final = "profile"


def check_target(config: PipelineConfig, output: Path | None, *, overwrite: bool) -> Path:
    """Chooses the file to write; one that people may have edited is not replaced unasked.

    Args:
        config: Names the file, unless ``output`` does.
        output: Another file.
        overwrite: True to replace a file that is there.

    Returns:
        The file.

    Raises:
        ConfigError: The file is there.
    """
    named = config.validation.expectations
    file = output or (Path(named) if named else default_file(config.name))
    if file.exists() and not overwrite:
        remedy = "it is there, and may have been edited: give --overwrite, or another --output"
        raise ConfigError("--output", str(file), remedy)
    return file


def write_expectations(
    spark: SparkSession, config: PipelineConfig, workspace: Workspace, file: Path
) -> str:
    """Profiles the current images and writes their expectations.

    Args:
        spark: The session.
        config: The pipeline.
        workspace: Holds its tables.
        file: What `check_target` returned.

    Returns:
        One line for a person.

    Raises:
        MissingInputError: Nothing was ingested.
        DataError: No image has a class.
    """
    lake = Lake(workspace)
    snapshot = lake.snapshot(config.name, c.IMAGES)
    if snapshot is None:
        raise MissingInputError(
            f"pipeline {config.name} has no images in {workspace.root}: ingest its source first"
        )
    facts = image_facts(
        lake.read(spark, config.name, c.IMAGES, snapshot),
        lake.read(spark, config.name, c.SPLITS),
    )
    rejected = rejected_by_reason(lake.read(spark, config.name, c.REJECTED_IMAGES))
    leaks = read_leaks(lake, config.name, lake.snapshot(config.name, c.SPLIT_LEAKS))
    facts = facts.but(
        {
            Fact.REJECTED: rejected,
            Fact.FOUND: {"": facts.images + sum(rejected.values())},
            **leaks.facts({}),
        }
    )
    observed = profile(facts, config)
    write_profile(observed, facts, config, file, snapshot)
    return (
        f"{PROFILED}: {len(observed)} expectations of {config.name} from {facts.images:,} images "
        f"of snapshot {snapshot}, in {file}"
    )
