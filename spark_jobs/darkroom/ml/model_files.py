"""The files of one model: the network and what must be known to call it."""

from __future__ import annotations

import io
import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from darkroom.contract import DataError, class_and_text

MODEL_FILE = "model.keras"
METADATA_FILE = "model.json"

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_SHARED_OBJECT = re.compile(r'("shared_object_id": )(\d+)')


@dataclass(frozen=True)
class ModelCard:
    """What a caller of a model must know.

    Attributes:
        labels: Class names in the order of the model's outputs.
        height: Input height in pixels.
        width: Input width in pixels.
    """

    labels: tuple[str, ...]
    height: int
    width: int

    @classmethod
    def read(cls, file: Path) -> Self:
        """Reads a ``model.json``.

        Raises:
            DataError: The file is missing or does not say what a caller must know.
        """
        try:
            values = json.loads(file.read_text())
            labels = tuple(values["labels"])
            card = cls(labels=labels, height=values["height"], width=values["width"])
        except (OSError, ValueError, TypeError, KeyError) as error:
            reason = class_and_text(error)
            raise DataError(f"{file} does not describe a model ({reason})") from None
        card._check(file)
        return card

    def _check(self, file: Path) -> None:
        named = self.labels and all(isinstance(label, str) and label for label in self.labels)
        if not named or len(set(self.labels)) != len(self.labels):
            raise DataError(f"{file}: labels must be different, non-empty texts: {self.labels!r}")
        for name in ("height", "width"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise DataError(f"{file}: {name} must be a whole number above 0, not {value!r}")


def normalise(file: Path) -> None:
    """Rewrites a Keras archive without what changes from save to save.

    That is: the dates of the members, the date in ``metadata.json``, and the memory addresses that
    Keras uses as ids of shared objects in ``config.json`` (here numbered in order of appearance).
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in sorted(old.namelist()):
            content = _without_date(name, old.read(name))
            new.writestr(zipfile.ZipInfo(name, date_time=_EPOCH), content)
    file.write_bytes(buffer.getvalue())


def _without_date(name: str, content: bytes) -> bytes:
    if name == "metadata.json":
        values = {**json.loads(content), "date_saved": "1980-01-01@00:00:00"}
        return json.dumps(values, sort_keys=True).encode()
    if name == "config.json":
        numbers: dict[str, int] = {}

        def renumber(match: re.Match[str]) -> str:
            return f"{match[1]}{numbers.setdefault(match[2], len(numbers))}"

        return _SHARED_OBJECT.sub(renumber, content.decode()).encode()
    return content
