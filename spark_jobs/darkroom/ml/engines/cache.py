"""Where prepared models lie, by the digest of what they were made from."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from darkroom.backbones.files import default_cache, digest_of

__all__ = ["default_cache", "digest_of", "made_once"]


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
