"""What of a pipeline people see in SQL, and when its new images are scored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from darkroom.contract.checks import at_least, one_of
from darkroom.contract.errors import ConfigError
from darkroom.contract.names import IDENTIFIER, functions_of, predictions_view, shadow_view
from darkroom.contract.parsing import build

if TYPE_CHECKING:
    from darkroom.contract.config import PipelineConfig


class ViewKind(StrEnum):
    """What a view is mapped to."""

    IMAGES = "images"
    """A folder of pictures, with all below it."""
    PARQUET = "parquet"
    """A Parquet file, or a folder of them."""


@dataclass(frozen=True, kw_only=True)
class ViewConfig:
    """What one more view of the SQL gateway shows.

    Attributes:
        path: A folder or file, or a URI of either that Hadoop's file systems open.
        kind: One of `ViewKind`; None to guess: a path that ends in ``.parquet`` is Parquet, any
            other a folder of pictures.
    """

    path: str
    kind: str | None = None

    @classmethod
    def of(cls, name: str, given: str | Mapping[str, str] | ViewConfig) -> ViewConfig:
        """Reads one entry of ``sql.views``.

        Raises:
            ConfigError: The name is no identifier, or the entry is not usable.
        """
        where = f"sql.views.{name}"
        if not IDENTIFIER.fullmatch(name):
            remedy = "use lower-case letters, digits and _, starting with a letter"
            raise ConfigError("sql.views", name, remedy)
        if not isinstance(given, ViewConfig):
            given = build(cls, {"path": given} if isinstance(given, str) else given, where)
        if not given.path.strip() or "\0" in given.path:
            raise ConfigError(f"{where}.path", given.path, "give a folder, a file or a URI")
        if given.kind is not None:
            one_of(f"{where}.kind", given.kind, tuple(ViewKind))
        return given

    @property
    def shows(self) -> ViewKind:
        """What the path is."""
        if self.kind is not None:
            return ViewKind(self.kind)
        is_parquet = self.path.rstrip("/").lower().endswith(".parquet")
        return ViewKind.PARQUET if is_parquet else ViewKind.IMAGES


@dataclass(frozen=True, kw_only=True)
class SqlConfig:
    """What the SQL gateway shows beside a pipeline's own tables.

    Attributes:
        views: Name of a view to the path that it shows, alone or as `ViewConfig`.
    """

    views: Mapping[str, str | ViewConfig] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, given in self.views.items():
            ViewConfig.of(name, given)

    @property
    def mapped(self) -> dict[str, ViewConfig]:
        """The views by name."""
        return {name: ViewConfig.of(name, given) for name, given in self.views.items()}


@dataclass(frozen=True, kw_only=True)
class ScoringConfig:
    """When new images are scored; by hand they can be at any time.

    Attributes:
        schedule: Cron expression, in UTC, of the scoring runs, or None.
        after_deploy: Whether the deployment of a model starts a run, too.
        shadow: Whether a version that waits for approval answers as well, beside the deployed one.
        shadow_images: How many images the two are compared on: the newest predictions.
    """

    schedule: str | None = None
    after_deploy: bool = False
    shadow: bool = False
    shadow_images: int = 1000

    def __post_init__(self) -> None:
        at_least("scoring.shadow_images", self.shadow_images, 1)


def check_sql_names(configs: Iterable[PipelineConfig]) -> None:
    """Checks that no two pipelines give one SQL name two meanings.

    Raises:
        ConfigError: They do; it names the pipeline that came later.
    """
    for kind, names_of in (("function", _functions), ("view", _views)):
        owners: dict[str, PipelineConfig] = {}
        for config in configs:
            for name in names_of(config):
                owner = owners.setdefault(name, config)
                if owner is not config:
                    remedy = f"pipeline {owner.name} has a {kind} {name} as well: rename one"
                    raise ConfigError(kind, getattr(config, kind), remedy)


def own_views(config: PipelineConfig) -> tuple[str, str, str]:
    """Names of the views of a pipeline's accepted images, its predictions, those in shadow."""
    return config.view, predictions_view(config.name), shadow_view(config.name)


def _functions(config: PipelineConfig) -> Iterator[str]:
    yield from functions_of(config.function)


def _views(config: PipelineConfig) -> Iterator[str]:
    yield from (*own_views(config), *config.sql.views)
