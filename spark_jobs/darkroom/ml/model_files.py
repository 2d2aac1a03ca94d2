"""The files of one model: the network and what must be known to call it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from darkroom.contract import DataError

MODEL_FILE = "model.keras"
METADATA_FILE = "model.json"


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
            reason = f"{type(error).__name__}: {error}"
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


def sha256_of(file: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
