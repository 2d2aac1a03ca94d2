"""Files by path or URI: digests, a local copy, and where copies are kept."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import IO

from darkroom.contract import ConfigError

TIMEOUT_SECONDS = 15
"""How long a server may keep silent before it counts as out of reach."""


def default_cache() -> Path:
    """The cache folder where there is no workspace: ``DARKROOM_CACHE``, else in the home folder."""
    given = os.environ.get("DARKROOM_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "darkroom"


def digest_of(path: Path) -> str:
    """SHA-256 of a file, or of a folder's files and their relative paths, in hexadecimal."""
    if path.is_dir():
        digest = hashlib.sha256()
        for file in sorted(file for file in path.rglob("*") if file.is_file()):
            digest.update(f"{file.relative_to(path).as_posix()}\0{digest_of(file)}\n".encode())
        return digest.hexdigest()
    status = path.stat()
    return _file_digest(path.absolute(), "sha256", status.st_size, status.st_mtime_ns)


def md5_of(file: Path) -> str:
    """MD5 of a file, by which Keras knows its published ones, in hexadecimal."""
    status = file.stat()
    return _file_digest(file.absolute(), "md5", status.st_size, status.st_mtime_ns)


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
    parts = urllib.parse.urlsplit(uri)
    if "://" not in uri and parts.scheme != "file":
        file = Path(uri)
    elif parts.scheme == "file":
        file = Path(urllib.parse.unquote(parts.path))
    else:
        return _copied(field, uri, sha256)
    if not file.is_file():
        raise ConfigError(field, uri, "there is no such file: put it there or correct the path")
    _check(field, uri, file, sha256)
    return file


def shown(uri: str) -> str:
    """A URI without what may be secret in it: a user's password, a signature."""
    parts = urllib.parse.urlsplit(uri)
    if not parts.netloc:
        return uri
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", ""))


def one_line(error: object) -> str:
    """An error's text, short enough for a message."""
    return " ".join(str(error).split())[:200]


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
            _fetch(uri, copy)
        except Exception as error:
            raise ConfigError(
                field,
                shown(uri),
                f"it cannot be fetched ({type(error).__name__}: {one_line(error)}): put the file "
                "on this machine and give its path",
            ) from None
        _check(field, shown(uri), copy, sha256)
        copy.replace(target)
    return target


def _fetch(uri: str, target: Path) -> None:
    scheme = urllib.parse.urlsplit(uri).scheme
    with _opened(uri, scheme) as source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy, 1 << 20)
        expected = getattr(source, "length", None)
    # http.client counts down what is still to come, and ends a cut-off body without an error.
    if scheme in {"http", "https"} and expected:
        raise OSError(f"the server sent {expected} bytes too few")


def _opened(uri: str, scheme: str) -> IO[bytes]:
    if scheme in {"http", "https"}:
        opened: IO[bytes] = urllib.request.urlopen(uri, timeout=TIMEOUT_SECONDS)
        return opened
    from pyarrow import fs

    try:
        filesystem, path = fs.FileSystem.from_uri(uri)
    except ValueError:
        # Not one of Arrow's own (S3, GCS, Azure, HDFS): whatever is installed beside fsspec.
        import fsspec

        remote: IO[bytes] = fsspec.open(uri, "rb").open()
        return remote
    stream: IO[bytes] = filesystem.open_input_stream(path, compression=None)
    return stream


def _check(field: str, uri: str, file: Path, sha256: str | None) -> None:
    if sha256 is None or digest_of(file) == sha256.lower():
        return
    raise ConfigError(
        field,
        uri,
        f"its SHA-256 is {digest_of(file)} and not {sha256.lower()}: the file is damaged or "
        "another one, replace it or correct the digest",
    )


@functools.lru_cache(maxsize=64)
def _file_digest(file: Path, algorithm: str, size: int, modified: int) -> str:
    """Size and time of change are part of the call so that a changed file is read again."""
    del size, modified
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()
