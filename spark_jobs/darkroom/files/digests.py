"""What tells files and values apart, whatever they are called."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path


def digest_of(path: Path) -> str:
    """SHA-256 of a file, or of a folder's files and their relative paths, in hexadecimal."""
    if path.is_dir():
        digest = hashlib.sha256()
        for file in sorted(file for file in path.rglob("*") if file.is_file()):
            digest.update(f"{file.relative_to(path).as_posix()}\0{digest_of(file)}\n".encode())
        return digest.hexdigest()
    status = path.stat()
    return _file_digest(path.absolute(), "sha256", status.st_size, status.st_mtime_ns)


def digest_of_json(values: object) -> str:
    """SHA-256 of the canonical JSON of values that JSON knows, in hexadecimal."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def md5_of(file: Path) -> str:
    """MD5 of a file, by which Keras knows its published ones, in hexadecimal."""
    status = file.stat()
    return _file_digest(file.absolute(), "md5", status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _file_digest(file: Path, algorithm: str, size: int, modified: int) -> str:
    """Size and time of change are part of the call so that a changed file is read again."""
    del size, modified
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()
