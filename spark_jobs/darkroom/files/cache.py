"""The folder of what was made once and is found again by the digest of what it was made from."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def default_cache() -> Path:
    """The cache folder where there is no workspace: ``DARKROOM_CACHE``, else in the home folder."""
    given = os.environ.get("DARKROOM_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "darkroom"


def made_once(target: Path, make: Callable[[Path], None]) -> Path:
    """Makes a folder unless it is there; two processes at a time may try.

    Args:
        target: The folder.
        make: Fills an empty folder beside it, which then takes the target's name.

    Returns:
        The target, complete: a killed maker leaves nothing under its name.
    """
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as scratch:
        folder = Path(scratch) / "folder"
        folder.mkdir()
        make(folder)
        try:
            os.rename(folder, target)
        except OSError:
            # Another process was first; what it made of the same file is as good.
            if not target.is_dir():
                raise
            shutil.rmtree(folder)
    return target
