"""Lists a class-per-folder tree on the driver, without opening any of its files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from darkroom.contract import DataError, SourceConfig

PROJECT_ROOT = Path(__file__).resolve().parents[3]
"""Where relative source paths start."""

_LAYOUT = "make one sub-folder of images per class, or set source.path to such a folder"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file as the file system describes it.

    Attributes:
        path: Relative to the source folder, with ``/``.
        label: Name of the class folder.
        length: In bytes.
        modified_ns: Nanoseconds since 1970 in UTC.
    """

    path: str
    label: str
    length: int
    modified_ns: int


@dataclass(frozen=True)
class SourceListing:
    """All files of a source, and its class folders.

    Attributes:
        root: The source folder.
        labels: Names of the class folders, sorted; one may hold no file.
        files: Sorted by path.
        unlabelled: Number of files that lie beside the class folders and so have no class.
    """

    root: Path
    labels: tuple[str, ...]
    files: tuple[SourceFile, ...]
    unlabelled: int

    @property
    def fingerprint(self) -> str:
        """SHA-256 that changes when a file is added, removed, renamed, resized or touched."""
        digest = hashlib.sha256()
        for label in self.labels:
            digest.update(f"{label}\0".encode())
        for file in self.files:
            digest.update(f"{file.path}\0{file.length}\0{file.modified_ns}\n".encode())
        return digest.hexdigest()


def source_root(config: SourceConfig) -> Path:
    """The source folder as an absolute path."""
    return PROJECT_ROOT / Path(config.path).expanduser()


def list_source(config: SourceConfig) -> SourceListing:
    """Lists what is there to ingest; names that start with a dot are left out.

    Args:
        config: Where to look.

    Returns:
        At least one file and two class folders.

    Raises:
        DataError: The folder is missing, unreadable, empty, or has fewer than two classes.
    """
    root = source_root(config)
    if not root.is_dir():
        problem = "is not a folder" if root.exists() else "does not exist"
        raise DataError(f"source folder {root} {problem}: {_LAYOUT}")
    try:
        children = sorted(_visible(root), key=lambda child: child.name)
        labels = tuple(child.name for child in children if child.is_dir())
        files = [file for label in labels for file in _files_of_class(root, label)]
    except OSError as error:
        raise DataError(
            f"source folder {root}: cannot list {error.filename} ({error.strerror}): "
            "give this user the right to read it"
        ) from None
    _check_names(files, root)
    _check_classes(root, labels, len(files))
    files.sort(key=lambda file: file.path)
    return SourceListing(root, labels, tuple(files), len(children) - len(labels))


def _visible(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from (entry for entry in entries if not entry.name.startswith("."))


def _files_of_class(root: Path, label: str) -> Iterator[SourceFile]:
    folders = [root / label]
    while folders:
        for entry in _visible(folders.pop()):
            # A link to a folder above would make the walk endless.
            if entry.is_dir(follow_symlinks=False):
                folders.append(Path(entry.path))
            elif not entry.is_dir():
                yield _describe(entry, root, label)


def _describe(entry: os.DirEntry[str], root: Path, label: str) -> SourceFile:
    try:
        status = entry.stat()
    except OSError:
        # A link to nowhere: listed, so that it is counted and rejected when it is opened.
        status = entry.stat(follow_symlinks=False)
    path = Path(entry.path).relative_to(root).as_posix()
    return SourceFile(path, label, status.st_size, status.st_mtime_ns)


def _check_names(files: list[SourceFile], root: Path) -> None:
    for file in files:
        try:
            file.path.encode()
        except UnicodeEncodeError:
            raise DataError(
                f"source folder {root}: the file name {os.fsencode(file.path)!r} is not UTF-8: "
                "rename the file"
            ) from None


def _check_classes(root: Path, labels: tuple[str, ...], files: int) -> None:
    if not labels:
        raise DataError(f"source folder {root} holds no class folders: {_LAYOUT}")
    if not files:
        count = f"{len(labels)} class folder" + ("s" if len(labels) > 1 else "")
        raise DataError(f"source folder {root} has {count} but no files in them: {_LAYOUT}")
    if len(labels) < 2:
        raise DataError(
            f"source folder {root} has one class only ({labels[0]}), at least 2 are needed: "
            f"{_LAYOUT}"
        )
