"""What a source says of a file before anybody opens it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, NamedTuple, Protocol

from darkroom.contract import RejectReason


class Entry(NamedTuple):
    """A name in a folder.

    Attributes:
        name: Without the folder.
        is_folder: Whether it can be looked into.
        length: In bytes.
        modified_us: Microseconds since 1970 in UTC.
    """

    name: str
    is_folder: bool
    length: int
    modified_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A file that a source names.

    Attributes:
        path: Relative to the source's root, with ``/``; what a manifest says where that is refused.
        location: What opens it: an absolute path, or a URI.
        label: Its class, or None.
        length: In bytes; None where no file could be looked at.
        modified_us: Microseconds since 1970 in UTC, or None.
        metadata: What else a manifest says of it.
        reason: Why it need not be opened, or None.
        detail: The same in words.
    """

    path: str
    location: str | None
    label: str | None
    length: int | None = None
    modified_us: int | None = None
    metadata: Mapping[str, str] | None = None
    reason: RejectReason | None = None
    detail: str | None = None


class Place(Protocol):
    """A folder on some file system, and what lies below it."""

    @property
    def root(self) -> str:
        """The folder: an absolute path, or a URI."""
        ...

    def entries(self, folder: str) -> list[Entry]:
        """What a folder holds, sorted by name; names that begin with a dot are left out.

        Args:
            folder: Relative to the root, or empty for the root itself.

        Raises:
            DataError: It cannot be listed; the message names it.
        """
        ...

    def location(self, path: str) -> str:
        """What opens a file.

        Args:
            path: Relative to the root.
        """
        ...

    def resolve(self, path: str) -> Resolved:
        """Finds what a manifest names.

        Args:
            path: As the manifest has it: hostile until proven otherwise.
        """
        ...

    def open_manifest(self, path: str) -> IO[bytes]:
        """A file below the root, to be read and closed.

        Raises:
            DataError: It cannot be opened.
        """
        ...


class Resolved(NamedTuple):
    """What a path of a manifest turned out to be.

    Attributes:
        path: Relative to the root, without detours; as it was given where it is refused.
        location: What opens it, symbolic links resolved; None where it is refused.
        entry: Length and time; None where no file is there or it is refused.
        refused: Why the path is outside the root, or None.
    """

    path: str
    location: str | None
    entry: Entry | None
    refused: str | None = None


class Source(Protocol):
    """One of a pipeline's sources."""

    @property
    def root(self) -> str:
        """What its paths are relative to."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of classes that it declares, whether they have files or not."""
        ...

    @property
    def loose(self) -> int:
        """Number of files that lie beside the class folders, known when all are listed."""
        ...

    def files(self) -> Iterator[Found]:
        """All files, in an order that does not change from listing to listing.

        Raises:
            DataError: The source cannot be used.
        """
        ...
