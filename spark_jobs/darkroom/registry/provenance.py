"""Which code and which packages make a model."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from darkroom.files.digests import digest_of

PROJECT: Final = Path(__file__).parents[3]
UNKNOWN: Final = "unknown"

_LOCK: Final = Path("requirements", "spark.txt")
_GIT_SECONDS: Final = 10


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What a model was made with.

    Attributes:
        git_commit: Of the code; with ``-dirty`` behind it when a tracked file differs from it;
            `UNKNOWN` where the code is in no repository of its own.
        lock_digest: SHA-256 of the packages' lock, ``requirements/spark.txt``; `UNKNOWN` where
            there is none.
    """

    git_commit: str
    lock_digest: str


def provenance(project: Path = PROJECT) -> Provenance:
    """What this process' code and packages are.

    Args:
        project: Folder of the code.
    """
    lock = project / _LOCK
    return Provenance(
        git_commit=_commit(project),
        lock_digest=digest_of(lock) if lock.is_file() else UNKNOWN,
    )


def _commit(project: Path) -> str:
    """Asks Git; a repository around the project that does not track the code is not the code's."""
    code = Path(__file__).relative_to(PROJECT)
    if _git(project, "ls-files", "--error-unmatch", str(code)) is None:
        return UNKNOWN
    said = _git(project, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    return said or UNKNOWN


def _git(project: Path, *arguments: str) -> str | None:
    """What a command of Git prints; None when there is no Git, or no answer."""
    # Variables such as GIT_DIR, set in a hook, would name another repository.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(project), *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
