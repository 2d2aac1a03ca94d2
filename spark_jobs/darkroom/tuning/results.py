"""What finished fits left behind: each is stored at once, by all that it depends on.

Workers write and read this store: a search whose driver was killed, or to which a value was added,
finds every fit that has ended before. Standard library and NumPy only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from darkroom.contract.workspace import replacing, write_atomically
from darkroom.files.digests import digest_of_json
from darkroom.tuning.head import Head

FITS_VERSION: Final = 1
"""Part of every key: raise it when a change of the code changes what a fit results in."""


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """What came of one fit without one fold.

    Attributes:
        scores: Score of the fold per metric; empty for a failed fit.
        seconds: How long it took.
        error: Why it failed, one line; None if it did not.
        history: Of a network: by metric one value per epoch, ``val_`` before those of the fold.
        epochs: Of a network: how many its weights have seen; with early stopping up to the best.
        stopped: Of a network: whether it had to stop because others were better.
    """

    scores: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    error: str | None = None
    history: Mapping[str, list[float]] = field(default_factory=dict)
    epochs: int = 0
    stopped: bool = False


def content_key(**parts: Any) -> str:
    """SHA-256 of the canonical JSON of everything that a fit depends on."""
    return digest_of_json({"version": FITS_VERSION, **parts})


@dataclass(frozen=True)
class ResultStore:
    """Results and heads as files.

    Attributes:
        folder: Where they lie; it need not exist yet, and every worker must see it.
    """

    folder: Path

    def get(self, key: str) -> FitResult | None:
        """The result of a fit; None if it has not ended."""
        file = self._file(key, "json")
        return FitResult(**json.loads(file.read_text())) if file.exists() else None

    def put(self, key: str, result: FitResult) -> None:
        """Stores a result so that a reader sees all of it or none."""
        write_atomically(self._file(key, "json"), json.dumps(asdict(result)))

    def forget_failure(self, key: str) -> None:
        """Removes the result of a fit that failed, so that it is tried again."""
        found = self.get(key)
        if found is not None and found.error is not None:
            self._file(key, "json").unlink()

    def get_head(self, key: str) -> Head | None:
        """A head that was fitted on all rows; None if none was."""
        file = self._file(key, "npz")
        if not file.exists():
            return None
        with np.load(file, allow_pickle=False) as arrays:
            return Head(**arrays)

    def put_head(self, key: str, head: Head) -> None:
        """Stores a head so that a reader sees all of it or none."""
        file = self._file(key, "npz")
        arrays = {name: value for name, value in vars(head).items() if value is not None}
        with replacing(file) as stream:
            np.savez(stream, **arrays)

    def network(self, key: str) -> Path:
        """File of a network that was trained on all rows; there is none before that."""
        return self._file(key, "keras")

    def checkpoint(self, key: str) -> Path:
        """File that a network's training goes on from; it goes when the training is over."""
        return self._file(key, "checkpoint")

    def _file(self, key: str, suffix: str) -> Path:
        return self.folder / key[:2] / f"{key}.{suffix}"
