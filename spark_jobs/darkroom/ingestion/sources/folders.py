"""Folders of images: one sub-folder per class, or no classes at all."""

from __future__ import annotations

from collections.abc import Iterator

from darkroom.contract import DataError
from darkroom.ingestion.sources.model import Entry, Found, Place

LAYOUT = "make one sub-folder of images per class, or set source.path to such a folder"


class _Folder:
    """What both kinds of folder are before they are listed."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.loose = 0
        self.labels: tuple[str, ...] = ()

    @property
    def root(self) -> str:
        """What its paths are relative to."""
        return self._place.root


class Tree(_Folder):
    """A folder with one sub-folder per class.

    Args:
        place: The folder.
    """

    def files(self) -> Iterator[Found]:
        """Every file below a class folder, one folder in memory at a time.

        Raises:
            DataError: There is no class folder, or a folder cannot be listed.
        """
        children = self._place.entries("")
        self.labels = tuple(child.name for child in children if child.is_folder)
        self.loose = len(children) - len(self.labels)
        if not self.labels:
            hint = ", or source.kind to flat for images without labels" if children else ""
            raise DataError(f"source folder {self.root} holds no class folders: {LAYOUT}{hint}")
        for label in self.labels:
            for path, entry in walk(self._place, label):
                yield _found(self._place, path, entry, label)


class Flat(_Folder):
    """A folder of images without labels, sub-folders included.

    Args:
        place: The folder.
    """

    def files(self) -> Iterator[Found]:
        """Every file.

        Raises:
            DataError: A folder cannot be listed.
        """
        for path, entry in walk(self._place, ""):
            yield _found(self._place, path, entry, None)


def walk(place: Place, folder: str) -> Iterator[tuple[str, Entry]]:
    """All files below a folder with their paths, in the order of their names."""
    for entry in place.entries(folder):
        path = f"{folder}/{entry.name}" if folder else entry.name
        if entry.is_folder:
            yield from walk(place, path)
        else:
            yield path, entry


def _found(place: Place, path: str, entry: Entry, label: str | None) -> Found:
    return Found(
        path=path,
        location=place.location(path),
        label=label,
        length=entry.length,
        modified_us=entry.modified_us,
    )
