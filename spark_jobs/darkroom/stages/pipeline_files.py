"""All pipelines of a folder, for programs that serve several of them."""

from __future__ import annotations

import logging
from pathlib import Path

from darkroom.contract import ConfigError, ViewConfig
from darkroom.stages.command import load_config

log = logging.getLogger(__name__)


class MappedViewFiles:
    """The views that a folder's pipeline files map to paths."""

    def __init__(self, folder: Path) -> None:
        """Args: folder: has one YAML file per pipeline; it need not exist."""
        self._folder = folder
        self._problems: dict[Path, str] = {}

    def __call__(self) -> dict[str, ViewConfig]:
        """Reads the files as they are now; a broken one is logged once and hides no other.

        Returns:
            The views by name; of two of one name the first file's.
        """
        views: dict[str, ViewConfig] = {}
        problems: dict[Path, str] = {}
        for file in sorted(self._folder.glob("*.yaml")):
            try:
                mapped = load_config(file).sql.mapped
            except (ConfigError, UnicodeDecodeError) as error:
                problems[file] = f"{file.name}: {error}; its views are not shown"
                continue
            for name, view in mapped.items():
                views.setdefault(name, view)
        for file, problem in problems.items():
            if self._problems.get(file) != problem:
                log.error("%s", problem)
        self._problems = problems
        return views
