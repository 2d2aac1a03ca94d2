"""Folders of trainings: each belongs to the driver process that made it and goes when it ends."""

from __future__ import annotations

import atexit
import functools
import os
import re
import shutil
import socket
import tempfile
from pathlib import Path

_NAME = re.compile(r"(?P<host>.+)-(?P<pid>\d+)-\w+")


def new_training_folder(root: Path) -> Path:
    """Makes a folder that is removed when this process ends.

    Args:
        root: Where such folders lie; what killed processes of this machine left there is removed.

    Returns:
        A new, empty folder below it.
    """
    return Path(tempfile.mkdtemp(dir=_process_folder(root.absolute(), os.getpid())))


def engines_beside(network: Path) -> Path:
    """Where a training keeps what it prepared of its networks, to go with them."""
    return network.parent.parent / ".darkroom-engines"


@functools.cache
def _process_folder(root: Path, pid: int) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    _sweep(root)
    folder = Path(tempfile.mkdtemp(prefix=f"{socket.gethostname()}-{pid}-", dir=root))
    atexit.register(_remove, folder, pid)
    return folder


def _remove(folder: Path, pid: int) -> None:
    # A forked child inherits the hook, but not the folder.
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(root: Path) -> None:
    for folder in root.iterdir():
        name = _NAME.fullmatch(folder.name)
        if name and name["host"] == socket.gethostname() and not _alive(int(name["pid"])):
            shutil.rmtree(folder, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
