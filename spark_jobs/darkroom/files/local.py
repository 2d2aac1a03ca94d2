"""Files that a setting names, checked and on this machine."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import urllib.parse
from pathlib import Path

from darkroom.contract import ConfigError, class_and_text
from darkroom.files.cache import default_cache
from darkroom.files.digests import digest_of
from darkroom.files.uris import local_path, open_remote, shown


def existing(field: str, path: str | Path, *, given: object = None, folder: bool = True) -> Path:
    """A path of this machine, if there is something.

    Args:
        field: What to call the setting in an error.
        path: Of a file, or of a folder.
        given: The setting's value, where that is not the path as text.
        folder: Whether a folder will do.

    Raises:
        ConfigError: There is nothing, or a folder that will not do.
    """
    found = Path(path)
    if not (found.exists() if folder else found.is_file()):
        raise ConfigError(
            field,
            str(path) if given is None else given,
            "there is no such file: put it there or correct the path",
        )
    return found


def local_file(field: str, uri: str, sha256: str | None = None) -> Path:
    """Finds a file, or copies it here, and checks it.

    Args:
        field: What to call the setting in an error.
        uri: A path or URI. What is not on this machine is copied once into `default_cache`; a copy
            is looked up by its SHA-256, or by its URI where none is given.
        sha256: What the file's SHA-256 must be, in hexadecimal.

    Returns:
        Path of the file on this machine, its name as in the URI.

    Raises:
        ConfigError: The file is missing, out of reach or not the expected one.
    """
    path = local_path(uri)
    if path is None:
        return _copied(field, uri, sha256)
    file = existing(field, path, given=uri, folder=False)
    _check(field, uri, file, sha256)
    return file


def _copied(field: str, uri: str, sha256: str | None) -> Path:
    key = sha256.lower() if sha256 else hashlib.sha256(uri.encode()).hexdigest()
    name = Path(urllib.parse.urlsplit(uri).path).name or "weights"
    target = default_cache() / "files" / key / name
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as scratch:
        copy = Path(scratch) / name
        try:
            with open_remote(uri) as source, copy.open("wb") as stream:
                shutil.copyfileobj(source, stream, 1 << 20)
        except Exception as error:
            raise ConfigError(
                field,
                shown(uri),
                f"it cannot be fetched ({class_and_text(error)}): put the file on this machine and "
                "give its path",
            ) from None
        _check(field, shown(uri), copy, sha256)
        copy.replace(target)
    return target


def _check(field: str, uri: str, file: Path, sha256: str | None) -> None:
    if sha256 is None or digest_of(file) == sha256.lower():
        return
    raise ConfigError(
        field,
        uri,
        f"its SHA-256 is {digest_of(file)} and not {sha256.lower()}: the file is damaged or "
        "another one, replace it or correct the digest",
    )
