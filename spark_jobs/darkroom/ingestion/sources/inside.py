"""Whether a path stays below a root: what stands between a manifest and the rest of the disk."""

from __future__ import annotations

import os
import posixpath

from darkroom.contract.source import is_uri


def relative_to(root: str, path: str) -> str | None:
    """Where a path leads, by its text alone.

    Nothing is decoded: ``%2e%2e`` is the name of a file, for whoever opens it takes it as one.

    Args:
        root: An absolute path or a URI, without a ``/`` at its end.
        path: Relative to the root, or absolute, or a URI; any text.

    Returns:
        The path relative to the root without ``.`` and ``..``, or None where it leads outside,
        names the root itself, or holds a NUL.
    """
    if "\0" in path:
        return None
    if is_uri(path) or path.startswith("/"):
        prefix = root.rstrip("/") + "/"
        if not path.startswith(prefix):
            return None
        path = path[len(prefix) :]
    # Of a leading // POSIX makes something special, and normpath keeps it.
    normal = posixpath.normpath(path.lstrip("/")) if path.strip("/") else "."
    if normal == "." or normal == ".." or normal.startswith("../"):
        return None
    return normal


def leads_inside(root: str, path: str) -> str | None:
    """Where a local path leads once every symbolic link is followed.

    Args:
        root: An absolute local folder.
        path: What `relative_to` returned.

    Returns:
        The absolute path without links, or None where it lies outside the root.
    """
    real_root = os.path.realpath(root)
    real = os.path.realpath(os.path.join(real_root, path))
    return real if real.startswith(real_root.rstrip("/") + "/") else None
