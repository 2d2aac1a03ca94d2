"""The configuration of a pipeline: one YAML file in ``config/pipelines/`` each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from darkroom.contract.approval_config import ApprovalConfig
from darkroom.contract.checks import at_least, no_repeats, share
from darkroom.contract.errors import ConfigError
from darkroom.contract.gate_config import GateConfig
from darkroom.contract.monitoring import MonitoringConfig
from darkroom.contract.names import (
    BACKBONES,
    IDENTIFIER,
    KERAS_BACKBONES,
    MODEL_FILE_SUFFIXES,
    SHA256,
    Engine,
    near_matches,
)
from darkroom.contract.parsing import build
from darkroom.contract.serving import ScoringConfig, SqlConfig, check_sql_names, own_views
from darkroom.contract.source import SourceConfig, SplitConfig
from darkroom.contract.tuning import TuningConfig


@dataclass(frozen=True, kw_only=True)
class ValidationConfig:
    """What the accepted images must fulfil before anything is trained.

    Attributes:
        min_images_per_class: Fewest accepted images of any class.
        max_rejected_share: Largest tolerated share (0..1) of rejected among found files.
        max_class_ratio: Largest tolerated ratio of the largest to the smallest class.
        expectations: File of the pipeline's expectations, which then are all that counts; None for
            ``config/expectations/<pipeline>.yaml`` where that exists, and for the built-in ones
            with the three limits above where it does not.
    """

    min_images_per_class: int = 10
    max_rejected_share: float = 0.1
    max_class_ratio: float = 20.0
    expectations: str | None = None

    def __post_init__(self) -> None:
        at_least("validation.min_images_per_class", self.min_images_per_class, 1)
        share("validation.max_rejected_share", self.max_rejected_share)
        at_least("validation.max_class_ratio", self.max_class_ratio, 1)
        if self.expectations is not None and not self.expectations.strip():
            remedy = "give the path of a YAML file, or leave it out"
            raise ConfigError("validation.expectations", self.expectations, remedy)


@dataclass(frozen=True, kw_only=True)
class WeightsFile:
    """Where the weights of one architecture are, and which ones they must be.

    Attributes:
        uri: A path, or a URI: ``file:``, ``http(s):``, ``s3:``, ``gs:``, ``hdfs:`` and the like.
        sha256: SHA-256 of the file, 64 hexadecimal digits; without it any file is taken.
    """

    uri: str
    sha256: str | None = None

    @classmethod
    def of(cls, name: str, given: str | Mapping[str, str | None] | WeightsFile) -> WeightsFile:
        """Reads one entry of ``features.weights``.

        Args:
            name: The architecture.
            given: A path or URI, or a mapping of ``uri`` and ``sha256``.

        Raises:
            ConfigError: The name takes no weights file, or the entry is not usable.
        """
        where = f"features.weights.{name}"
        if name not in KERAS_BACKBONES:
            remedy = f"only classifiers of keras.applications take a weights file, {name!r} is none"
            raise ConfigError(where, given, f"{remedy}: {near_matches(name, KERAS_BACKBONES)}")
        if not isinstance(given, WeightsFile):
            given = build(cls, {"uri": given} if isinstance(given, str) else given, where)
        if not given.uri.strip():
            raise ConfigError(f"{where}.uri", given.uri, "give a path or a URI")
        if given.sha256 is not None and not SHA256.fullmatch(given.sha256):
            raise ConfigError(f"{where}.sha256", given.sha256, "give 64 hexadecimal digits")
        return given


@dataclass(frozen=True, kw_only=True)
class FeaturesConfig:
    """Which pre-trained networks turn images into feature vectors.

    Attributes:
        backbones: Names (``embedded``, or a classifier of keras.applications) or model files.
        weights: Path or URI of the weights per backbone name, where Keras' own cache is not to be
            used; with a SHA-256 as a mapping of ``uri`` and ``sha256``.
        engine: What runs the networks, one of `Engine`.
    """

    backbones: tuple[str, ...] = ("embedded",)
    weights: Mapping[str, str | WeightsFile] = field(default_factory=dict)
    engine: str = Engine.AUTO.value

    def __post_init__(self) -> None:
        if not self.backbones:
            raise ConfigError("features.backbones", [], "name at least one, for example embedded")
        for name in self.backbones:
            if name not in BACKBONES and not name.endswith(MODEL_FILE_SUFFIXES):
                remedy = f"unknown backbone, {near_matches(name, BACKBONES)}"
                raise ConfigError("features.backbones", name, remedy)
        no_repeats("features.backbones", self.backbones)
        for name, given in self.weights.items():
            WeightsFile.of(name, given)
        engines = tuple(engine.value for engine in Engine)
        if self.engine not in engines:
            remedy = f"no such engine, {near_matches(self.engine, engines)}"
            raise ConfigError("features.engine", self.engine, remedy)


@dataclass(frozen=True, kw_only=True)
class MaintenanceConfig:
    """How the tables are kept tidy.

    Attributes:
        schedule: Cron expression, UTC, or None for by hand only.
        keep_days: Snapshots that are younger stay; so do, whatever their age, the current one of
            each table and those that trained a registered model.
    """

    schedule: str | None = "0 4 * * 0"
    keep_days: int = 30

    def __post_init__(self) -> None:
        # A run of a stage reads the snapshots of the stages before it.
        at_least("maintenance.keep_days", self.keep_days, 1)


@dataclass(frozen=True, kw_only=True)
class WatchConfig:
    """How the champion is watched.

    Attributes:
        schedule: Cron expression, UTC, or None for by hand only.
        revert: Whether an alias that was moved by other means than a promotion or a rollback is put
            back; it is reported in any case.
    """

    schedule: str | None = "0 * * * *"
    revert: bool = False


@dataclass(frozen=True, kw_only=True)
class RetrainConfig:
    """What starts a training run beside the clock; people can start one at any time.

    Attributes:
        on_new_data: Whether an event of the asset ``darkroom://<pipeline>/data`` does.
        on_drift: Whether drift does, which the monitoring reports.
    """

    on_new_data: bool = True
    on_drift: bool = True


@dataclass(frozen=True, kw_only=True)
class PipelineConfig:
    """Everything that tells one pipeline from another.

    Attributes:
        name: Identifier; names the DAGs, the tables' namespace and the registered model.
        function: Name of the SQL function that the champion answers to.
        view: Name of the SQL view of the accepted images.
        source: Where images come from.
        gate: What a candidate must reach.
        description: One line for people.
        owner: Team or person, shown in Airflow.
        schedule: Cron expression of the training runs, UTC, or None.
    """

    name: str
    function: str
    view: str
    source: SourceConfig
    gate: GateConfig
    description: str = ""
    owner: str = "darkroom"
    schedule: str | None = None
    retrain: RetrainConfig = field(default_factory=RetrainConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    tuning: TuningConfig = field(default_factory=TuningConfig)
    approval: ApprovalConfig = field(default_factory=ApprovalConfig)
    scoring: ScoringConfig = field(default_factory=ScoringConfig)
    monitoring: MonitoringConfig = field(default_factory=MonitoringConfig)
    sql: SqlConfig = field(default_factory=SqlConfig)
    watch: WatchConfig = field(default_factory=WatchConfig)
    maintenance: MaintenanceConfig = field(default_factory=MaintenanceConfig)

    def __post_init__(self) -> None:
        for name in ("name", "function", "view"):
            value = getattr(self, name)
            if not IDENTIFIER.fullmatch(value):
                remedy = "use lower-case letters, digits and _, starting with a letter"
                raise ConfigError(name, value, remedy)
        if self.validation.min_images_per_class < self.tuning.folds:
            folds = self.tuning.folds
            remedy = f"must be at least tuning.folds = {folds}: each fold needs an image"
            field_name = "validation.min_images_per_class"
            raise ConfigError(field_name, self.validation.min_images_per_class, remedy)
        images, *predictions = own_views(self)
        if images in predictions:
            raise ConfigError("view", images, "its predictions have that view: choose another name")
        for name in (images, *predictions):
            if name in self.sql.views:
                remedy = f"pipeline {self.name} has that view by itself: choose another name"
                raise ConfigError("sql.views", name, remedy)

    @classmethod
    def from_mapping(cls, values: object) -> Self:
        """Builds and validates a configuration from what a YAML or JSON parser returned.

        Raises:
            ConfigError: The first thing that is wrong: field, value, remedy.
        """
        return build(cls, values)


def with_overrides(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Copies a nested mapping with some fields replaced.

    Args:
        values: The mapping as parsed, not yet validated.
        overrides: New value per dotted name, for example ``{"source.path": "photos"}``.

    Returns:
        A new mapping; the input is not touched.

    Raises:
        ConfigError: A dotted name leads through something that is not a mapping.
    """
    merged = dict(values)
    for dotted, value in overrides.items():
        head, _, rest = dotted.partition(".")
        if not rest:
            merged[head] = value
            continue
        inner = merged.get(head) or {}
        if not isinstance(inner, Mapping):
            raise ConfigError(dotted, value, f"{head} is not a group of fields")
        merged[head] = with_overrides(inner, {rest: value})
    return merged


def check_together(configs: Iterable[PipelineConfig]) -> None:
    """Checks what no single pipeline can see.

    Raises:
        ConfigError: Two pipelines share a name, or would share a SQL function or view.
    """
    configs = list(configs)
    for name in ("name", "function", "view"):
        counts = Counter(getattr(config, name) for config in configs)
        for value, count in counts.items():
            if count > 1:
                users = ", ".join(c.name for c in configs if getattr(c, name) == value)
                raise ConfigError(name, value, f"used by {count} pipelines ({users}): rename one")
    check_sql_names(configs)
