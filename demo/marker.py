"""The marker file: says that a folder is a demonstration set, of which parameters and files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from demo.parameters import DemoError, DemoParameters

MARKER_NAME = ".darkroom-demo.json"

GENERATOR_VERSION = 2
"""Raise it when a change alters any photograph: sets of another version are made anew."""


@dataclass(frozen=True)
class Marker:
    """Contents of a marker file.

    Attributes:
        parameters: JSON form of the parameters and the generator's version.
        files: Path below the root -> size in bytes; None while the file is being made.
    """

    parameters: Mapping[str, object]
    files: Mapping[str, int | None]

    def describes(self, root: Path, parameters: DemoParameters) -> bool:
        """Whether the set in `root` is complete, untouched in size, and has these parameters."""
        return self.parameters == parameters_json(parameters) and all(
            size is not None and _size_of(root / path) == size for path, size in self.files.items()
        )


def parameters_json(parameters: DemoParameters) -> dict[str, object]:
    """The JSON form of parameters that markers are compared by."""
    return {"generator_version": GENERATOR_VERSION, **asdict(parameters)}


def read_marker(root: Path) -> Marker | None:
    """Reads the marker of a folder.

    Returns:
        The marker, or None where the folder has none.

    Raises:
        DemoError: The marker is not one that this package writes.
    """
    path = root / MARKER_NAME
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        marker = Marker(dict(content["parameters"]), dict(content["files"]))
    except (ValueError, KeyError, TypeError) as error:
        raise DemoError(
            f"{path} is not a marker of the demo ({error!r}): delete the folder or choose another"
        ) from None
    for listed in marker.files:
        _refuse_path_outside(path, listed)
    return marker


def write_marker(root: Path, marker: Marker) -> None:
    """Replaces the marker of a folder in one step."""
    path = root / MARKER_NAME
    draft = path.with_suffix(".json.part")
    draft.write_text(json.dumps(asdict(marker), indent=1) + "\n", encoding="utf-8")
    os.replace(draft, path)


def _refuse_path_outside(marker: Path, listed: str) -> None:
    # Listed files get deleted, so a marker that was edited must not reach beyond its folder.
    parts = PurePosixPath(listed).parts
    below = (marker.parent / listed).parent.resolve()
    if len(parts) != 2 or ".." in parts or below.parent != marker.parent.resolve():
        raise DemoError(
            f"{marker} lists {listed!r}, which is not a file in a class folder: "
            "delete the folder or choose another"
        )


def _size_of(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None
