"""Folders of this machine, or mounted at the same path on every one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

from darkroom.contract import DataError
from darkroom.ingestion.sources.inside import leads_inside, relative_to
from darkroom.ingestion.sources.model import Entry, Resolved

PROJECT_ROOT = Path(__file__).resolve().parents[4]
"""Where relative source paths start."""


class LocalPlace:
    """A folder by its path.

    Args:
        path: Absolute, or relative to the project's root.
    """

    def __init__(self, path: str) -> None:
        self._root = str(PROJECT_ROOT / Path(path).expanduser())
        self._prefix = os.path.join(self._root, "")

    @property
    def root(self) -> str:
        """The folder, absolute."""
        return self._root

    def entries(self, folder: str) -> list[Entry]:
        """What a folder holds; a link to a folder is left out, for it may lead back up."""
        try:
            with os.scandir(os.path.join(self._root, folder)) as found:
                entries = [
                    self._entry(one, folder) for one in found if not one.name.startswith(".")
                ]
        except OSError as error:
            if folder and isinstance(error, FileNotFoundError):
                # Gone since its parent was listed, and all it held with it.
                return []
            raise DataError(
                f"source folder {self._root}: cannot list {error.filename} ({error.strerror}): "
                "give this user the right to read it"
            ) from None
        return sorted(entry for entry in entries if entry)

    def location(self, path: str) -> str:
        """The absolute path."""
        return self._prefix + path

    def resolve(self, path: str) -> Resolved:
        """Follows a manifest's path, every link included."""
        inside = relative_to(self._root, path)
        if inside is None:
            return Resolved(path, None, None, f"it leads out of {self._root}")
        try:
            real = leads_inside(self._root, inside)
            if real is None:
                return Resolved(path, None, None, f"a link leads out of {self._root}")
            status = os.stat(real)
        except (OSError, ValueError):
            return Resolved(inside, os.path.join(self._root, inside), None)
        entry = Entry(inside, False, status.st_size, status.st_mtime_ns // 1000)
        return Resolved(inside, real, entry)

    def open_manifest(self, path: str) -> IO[bytes]:
        """A file, to be read and closed."""
        file = self.location(path)
        try:
            return open(file, "rb")
        except OSError as error:
            raise DataError(
                f"manifest {file} cannot be read ({error.strerror}): set source.path to a file "
                "that this user can read"
            ) from None

    def _entry(self, one: os.DirEntry[str], folder: str) -> Entry | None:
        _check_name(one.path, self._root)
        # The class folders themselves may be links: a common way to put a source together.
        if one.is_dir(follow_symlinks=not folder):
            return Entry(one.name, True, 0, 0)
        if one.is_dir():
            return None
        try:
            # A link to nowhere is listed, so that it is counted and rejected when it is opened.
            found = not one.is_symlink() or os.path.exists(one.path)
            status = one.stat(follow_symlinks=found)
        except FileNotFoundError:
            # Gone since the folder was read.
            return None
        return Entry(one.name, False, status.st_size, status.st_mtime_ns // 1000)


def _check_name(path: str, root: str) -> None:
    if path.isascii():
        return
    try:
        path.encode()
    except UnicodeEncodeError:
        name = os.path.relpath(path, root)
        raise DataError(
            f"source folder {root}: the file name {os.fsencode(name)!r} is not UTF-8: "
            "rename the file"
        ) from None
