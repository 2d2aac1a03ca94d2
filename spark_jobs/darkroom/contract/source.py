"""Where images come from, and how they are divided."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from darkroom.contract.checks import at_least, no_repeats, one_of
from darkroom.contract.errors import ConfigError

MANIFEST_FORMATS: Final = {
    "csv": "csv",
    "json": "json",
    "jsonl": "json",
    "ndjson": "json",
    "parquet": "parquet",
}
"""What the path of a manifest ends in, and what that is: "json" is one object a line."""

MAX_DUPLICATE_DISTANCE: Final = 11
"""Above it the search for near-duplicates would look at too many candidates."""

SCHEME: Final = r"[A-Za-z][A-Za-z0-9+.-]+:"
"""Pattern of what a URI begins with; a single letter would be a drive."""

_URI: Final = re.compile(f"{SCHEME}/")


class SourceKind(StrEnum):
    """How a source names its images and their classes."""

    TREE = "tree"
    """A folder with one sub-folder per class."""
    MANIFEST = "manifest"
    """A table of paths: CSV, JSON Lines or Parquet."""
    FLAT = "flat"
    """A folder of images without labels."""


class OnMissing(StrEnum):
    """What becomes of an image whose file is gone from the source."""

    KEEP = "keep"
    """It stays; the result counts it."""
    DELETE = "delete"
    """It leaves the current tables; earlier snapshots keep it until they expire."""


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """Where images come from.

    Attributes:
        path: A folder, a manifest, a URI of either, or a list of these. A relative path starts at
            the project's root; whatever has a scheme is opened by Hadoop's file systems.
        kind: One of `SourceKind`, for all paths; None to guess: a path that ends like a manifest
            is one, any other is a tree.
        root: Folder that no file of a manifest may lie outside of, and where its relative paths
            start; None for the manifest's own folder.
        on_missing: One of `OnMissing`.
        min_side: Images with a shorter side, in pixels, are refused as TOO_SMALL.
    """

    path: str | tuple[str, ...]
    kind: str | None = None
    root: str | None = None
    on_missing: str = OnMissing.KEEP.value
    min_side: int = 8

    def __post_init__(self) -> None:
        if not self.paths:
            raise ConfigError("source.path", [], "give at least one folder or manifest")
        for path in self.paths:
            if not path.strip() or "\0" in path:
                remedy = "give a folder with one sub-folder per class"
                raise ConfigError("source.path", path, remedy)
        no_repeats("source.path", self.paths)
        if self.kind is not None:
            one_of("source.kind", self.kind, tuple(SourceKind))
        one_of("source.on_missing", self.on_missing, tuple(OnMissing))
        at_least("source.min_side", self.min_side, 1)
        self._check_root()

    @property
    def paths(self) -> tuple[str, ...]:
        """All paths, one or several."""
        return (self.path,) if isinstance(self.path, str) else tuple(self.path)

    def kind_of(self, path: str) -> SourceKind:
        """What one of the paths is."""
        if self.kind is not None:
            return SourceKind(self.kind)
        return SourceKind.MANIFEST if manifest_format(path) else SourceKind.TREE

    def _check_root(self) -> None:
        if self.root is None:
            return
        if not self.root.strip() or "\0" in self.root:
            raise ConfigError("source.root", self.root, "give a folder, or leave it out")
        others = [path for path in self.paths if self.kind_of(path) is not SourceKind.MANIFEST]
        if others:
            remedy = f"only a manifest has a root, and {others[0]!r} is none: leave it out"
            raise ConfigError("source.root", self.root, remedy)


def manifest_format(path: str) -> str | None:
    """How a manifest is written, one of the values of `MANIFEST_FORMATS`; None for no manifest."""
    name, _, ending = path.lower().rpartition(".")
    return MANIFEST_FORMATS.get(ending) if name else None


def is_uri(path: str) -> bool:
    """Whether a path names its file system: ``file:/``, ``hdfs://``, ``s3a://`` and the like."""
    return _URI.match(path) is not None


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """How images are divided; a function of the picture, so that growth moves none.

    Attributes:
        test_share: Share (0..1) of the near-duplicate groups that are held out for evaluation.
        validation_share: Share (0..1) of them that neither training nor evaluation looks at.
        duplicate_distance: Pictures whose perceptual hashes differ in at most so many of 64 bits
            count as near-duplicates and share a split.
    """

    test_share: float = 0.2
    validation_share: float = 0.0
    duplicate_distance: int = 10

    def __post_init__(self) -> None:
        if not 0 < self.test_share < 1:
            raise ConfigError("split.test_share", self.test_share, "give a number between 0 and 1")
        if not 0 <= self.validation_share < 1 - self.test_share:
            left = 1 - self.test_share
            remedy = f"give 0 or more, and less than the {left:g} that split.test_share leaves"
            raise ConfigError("split.validation_share", self.validation_share, remedy)
        if not 0 <= self.duplicate_distance <= MAX_DUPLICATE_DISTANCE:
            remedy = f"give a number of bits from 0 to {MAX_DUPLICATE_DISTANCE}"
            raise ConfigError("split.duplicate_distance", self.duplicate_distance, remedy)
