"""Finds the pipelines of this project: one YAML file each in ``config/pipelines``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from airflow.sdk import Asset, AssetAny, AssetOrTimeSchedule, CronTriggerTimetable
from airflow.sdk.exceptions import AirflowTimetableInvalid

from darkroom.contract import (
    ConfigError,
    DarkroomError,
    PipelineConfig,
    check_together,
    one_line,
)
from darkroom_airflow.notifiers import make_notifiers

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Pipeline:
    """One pipeline and the file that describes it.

    Attributes:
        file: The YAML file.
        config: What it says, validated.
    """

    file: Path
    config: PipelineConfig

    @property
    def name(self) -> str:
        """The pipeline's name: also the file's, the namespace's and the model's."""
        return self.config.name

    @property
    def challenger(self) -> Asset:
        """The asset that is updated when a new model waits for approval."""
        return Asset(f"darkroom://{self.name}/challenger")

    @property
    def deployed(self) -> Asset:
        """The asset that is updated when a model answers from SQL."""
        return Asset(f"darkroom://{self.name}/deployed")

    @property
    def drift(self) -> Asset:
        """The asset that is updated when drift persists."""
        return Asset(f"darkroom://{self.name}/drift")

    @property
    def data(self) -> Asset:
        """The asset that whoever delivers images updates."""
        return Asset(f"darkroom://{self.name}/data")

    @property
    def training_schedule(self) -> Any:
        """What starts a training run: the clock, new data, drift, any of them, or a person alone.

        A cron expression names the moments at which runs start, not intervals of data.
        """
        retrain = self.config.retrain
        assets = [self.data] if retrain.on_new_data else []
        assets += [self.drift] if retrain.on_drift else []
        return _schedule(self.config.schedule, assets)

    @property
    def scoring_schedule(self) -> Any:
        """What starts a scoring run: the clock, a deployment, both, or a person alone."""
        scoring = self.config.scoring
        return _schedule(scoring.schedule, [self.deployed] if scoring.after_deploy else [])

    @property
    def monitoring_schedule(self) -> Any:
        """When drift is looked for: by the clock, or by a person alone."""
        return _schedule(self.config.monitoring.schedule)

    @property
    def watch(self) -> Any:
        """When it is looked whether the champion is the ledger's."""
        return _schedule(self.config.watch.schedule)

    @property
    def maintenance(self) -> Any:
        """When the tables are tidied up."""
        return _schedule(self.config.maintenance.schedule)


@dataclass(frozen=True)
class Pipelines:
    """What a folder of pipeline files holds.

    Attributes:
        valid: Pipelines that can run.
        problems: One line per file that cannot, naming file, field, value and remedy.
    """

    valid: tuple[Pipeline, ...]
    problems: tuple[str, ...]

    def check(self) -> None:
        """Raises what is wrong, all of it.

        Raises:
            DarkroomError: At least one file is not a valid pipeline.
        """
        if self.problems:
            raise DarkroomError("\n".join(self.problems))


def pipelines_folder() -> Path:
    """``config/pipelines``, or what ``DARKROOM_PIPELINES`` names."""
    return Path(os.environ.get("DARKROOM_PIPELINES") or PROJECT / "config" / "pipelines")


def load_pipelines(folder: Path | None = None) -> Pipelines:
    """Reads all pipelines of a folder; a broken one does not hide the others.

    Args:
        folder: Where the YAML files are; ``pipelines_folder()`` by default.

    Returns:
        The valid pipelines by name, and what is wrong with the other files.
    """
    folder = folder or pipelines_folder()
    valid: list[Pipeline] = []
    problems: list[str] = []
    for file in sorted(folder.glob("*.yaml")):
        try:
            valid.append(Pipeline(file, read_pipeline(file)))
        except ConfigError as error:
            problems.append(f"{file.name}: {error}")
    valid, conflicts = _without_conflicts(valid)
    return Pipelines(tuple(valid), (*problems, *conflicts))


def read_pipeline(file: Path) -> PipelineConfig:
    """Reads and validates one pipeline file.

    Raises:
        ConfigError: The file is not YAML, or a field is wrong.
    """
    try:
        values = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = one_line(error, limit=None)
        raise ConfigError("file", file.name, f"not valid YAML: {reason}") from None
    config = PipelineConfig.from_mapping(values)
    if config.name != file.stem:
        remedy = f"must be the file's name: write {file.stem}, or rename the file"
        raise ConfigError("name", config.name, remedy)
    _check_cron("schedule", config.schedule)
    for group in ("monitoring", "watch", "maintenance", "scoring"):
        _check_cron(f"{group}.schedule", getattr(config, group).schedule)
    # For what it refuses.
    make_notifiers(config.approval.notifiers)
    return config


def _schedule(cron: str | None, assets: Sequence[Asset] = ()) -> Any:
    """The clock, an event of any of the assets, or both; None for neither."""
    clock = _timetable(cron) if cron else None
    # A list would wait for an event of every one of them.
    events = AssetAny(*assets) if assets else None
    if clock and events:
        return AssetOrTimeSchedule(timetable=clock, assets=events)
    return clock or events


def _timetable(cron: str) -> CronTriggerTimetable:
    """The clock; a new pipeline waits for its next date."""
    return CronTriggerTimetable(cron, timezone="UTC", run_immediately=timedelta(0))


def _check_cron(field: str, cron: str | None) -> None:
    """Refuses what would keep Airflow from reading the DAGs of all pipelines."""
    try:
        if cron is not None:
            _timetable(cron).validate()
    except AirflowTimetableInvalid:
        remedy = "give a cron expression such as '0 4 * * 0', or null for runs by hand only"
        raise ConfigError(field, cron, remedy) from None


def _without_conflicts(pipelines: Iterable[Pipeline]) -> tuple[list[Pipeline], list[str]]:
    """Takes out the pipelines that claim the same thing: which one is right is not ours to say."""
    remaining = list(pipelines)
    problems = []
    while True:
        try:
            check_together(pipeline.config for pipeline in remaining)
        except ConfigError as error:
            claimants = [p for p in remaining if getattr(p.config, error.field) == error.value]
            remaining = [p for p in remaining if p not in claimants]
            problems.append(f"{', '.join(p.file.name for p in claimants)}: {error}")
        else:
            return remaining, problems
