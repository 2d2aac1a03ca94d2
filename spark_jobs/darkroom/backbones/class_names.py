"""What the outputs of a classifier are called."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from darkroom.backbones.published import CLASS_INDEX, cached
from darkroom.contract import ConfigError

ClassNames = tuple[tuple[str, str], ...]
"""(class id, description) of every output, in their order."""


def imagenet_names(cache: Path | None = None) -> ClassNames:
    """ImageNet's 1000 classes as Keras publishes them: WordNet id and English name.

    Args:
        cache: Folder to look into before Keras' own cache.

    Raises:
        ConfigError: The file is neither there nor in Keras' cache and cannot be downloaded.
    """
    file = cache / CLASS_INDEX.file if cache else None
    if file is None or not file.is_file() or not CLASS_INDEX.is_same(file):
        file = cached(CLASS_INDEX, "class names", "imagenet")
    index = json.loads(file.read_text())
    return tuple((index[str(n)][0], index[str(n)][1]) for n in range(len(index)))


def named(labels: Sequence[str] | None, count: int) -> ClassNames:
    """Names of a user's own classes.

    Args:
        labels: One per output, in their order; None for the numbers from 0.
        count: Of outputs.

    Returns:
        (number as text, label).

    Raises:
        ConfigError: There are more or fewer labels than outputs.
    """
    if labels is None:
        return tuple((str(n), str(n)) for n in range(count))
    if len(labels) != count:
        raise ConfigError("labels", list(labels), f"the model has {count} outputs: name each once")
    return tuple((str(n), label) for n, label in enumerate(labels))
