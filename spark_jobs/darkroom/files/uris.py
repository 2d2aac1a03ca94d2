"""Reading files by path or URI."""

from __future__ import annotations

import base64
import errno
import functools
import os
import re
import stat
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from darkroom.contract import one_line
from darkroom.contract.source import SCHEME

TIMEOUT_SECONDS: Final = 15
"""How long a server may keep silent before it counts as out of reach."""

_SCHEME: Final = re.compile(SCHEME)
_WEB: Final = ("http", "https")
_IN_ADDRESSES: Final = "%/:=&?~#+!$,;'@()*[]"


class UnreadableFileError(OSError):
    """A file that cannot be read; the message names it and says why."""


def local_path(uri: str) -> Path | None:
    """Where a path or a ``file:`` URI leads on this machine; None for any other URI."""
    scheme = _SCHEME.match(uri)
    if scheme is None:
        return Path(uri)
    if scheme[0].lower() != "file:":
        return None
    host = urllib.parse.urlsplit(uri, allow_fragments=False).netloc
    plain = uri[len("file:") + 2 + len(host) :] if host else uri[len("file:") :]
    path = Path("/" + plain.lstrip("/"))
    # Spark writes some of them escaped and some as they are.
    return path if path.exists() else Path(urllib.parse.unquote(str(path)))


def shown(uri: str) -> str:
    """A URI without what may be secret in it: a user's password, a signature."""
    parts = urllib.parse.urlsplit(uri)
    if not parts.netloc:
        return uri
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", ""))


def read_uri(uri: str) -> bytes:
    """Reads a whole file.

    Args:
        uri: A path, or a URI: ``file:``, ``http:`` or ``https:``, one that Arrow opens (``hdfs:``,
            ``s3:``, ``gs:``, ``abfs:``), or one that an installed fsspec file system opens.

    Returns:
        Its bytes.

    Raises:
        UnreadableFileError: It is missing, no file, or not reachable from this machine.
    """
    try:
        path = local_path(uri)
        if path is not None:
            return read_local(path)
        with open_remote(uri) as stream:
            return bytes(stream.read())
    except Exception as error:
        raise UnreadableFileError(f"cannot read {uri}: {reason_of(error)}") from None


def read_local(path: str | Path, limit: int | None = None) -> bytes:
    """Reads a whole file of this machine.

    Args:
        path: Where it is.
        limit: Most bytes that are read; None for no limit.

    Raises:
        OSError: It is missing, no regular file, or not readable; EFBIG if it is above the limit.
    """
    with open(path, "rb", buffering=0, opener=_without_waiting) as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        if limit is not None and status.st_size > limit:
            raise OSError(errno.EFBIG, f"{status.st_size} bytes, the limit is {limit}")
        return stream.readall()


def _without_waiting(path: str, flags: int) -> int:
    """Opening a pipe would otherwise wait for a writer for ever."""
    return os.open(path, flags | os.O_NONBLOCK)


def reason_of(error: Exception) -> str:
    """Why a file could not be read, one line without the file's name where the system says it."""
    return getattr(error, "strerror", None) or one_line(error)


@contextmanager
def open_remote(uri: str) -> Iterator[IO[bytes]]:
    """Opens a URI that is no ``file:`` URI; what it yields is to be read to its end.

    Raises:
        Exception: Whatever the library that opens it raises.
    """
    scheme = uri.partition(":")[0].lower()
    if scheme in _WEB:
        with urllib.request.urlopen(_request(uri), timeout=TIMEOUT_SECONDS) as answer:
            yield answer
            # http.client counts down what is still to come, and ends a cut-off body in silence.
            if answer.length:
                raise OSError(f"the server sent {answer.length} bytes too few")
        return
    found = _in_arrow(uri)
    if found is None:
        import fsspec

        with fsspec.open(uri, "rb") as stream:
            yield stream
        return
    files, path = found
    with files.open_input_stream(path, compression=None) as stream:
        yield stream


def _request(uri: str) -> urllib.request.Request:
    """The request; urllib takes neither a user in an address nor what is not escaped in it."""
    parts = urllib.parse.urlsplit(uri)
    login, _, host = parts.netloc.rpartition("@")
    address = urllib.parse.urlunsplit(parts._replace(netloc=host, fragment=""))
    request = urllib.request.Request(urllib.parse.quote(address, safe=_IN_ADDRESSES))
    if login:
        word = base64.b64encode(urllib.parse.unquote(login).encode()).decode()
        # Not for the server that this one may send us to.
        request.add_unredirected_header("Authorization", f"Basic {word}")
    return request


def _in_arrow(uri: str) -> tuple[Any, str] | None:
    """Arrow's file system of a URI and the path there; None where Arrow has none.

    The path is taken as it stands, unescaped: names may hold any character. Only what reads like
    Arrow's options (``?region=eu-west-1``) is none of it.
    """
    scheme, _, rest = uri.partition(":")
    host, _, path = rest.removeprefix("//").partition("/") if rest[:2] == "//" else ("", "", rest)
    path, mark, options = path.partition("?") if "=" in path.partition("?")[2] else (path, "", "")
    found = _file_system(f"{scheme}://{host}/{mark}{options}")
    if found is None:
        return None
    files, root = found
    # Arrow's paths begin with the bucket, or with the root of a file system without buckets.
    return files, f"{root.rstrip('/')}/{path.lstrip('/')}"


@functools.lru_cache(maxsize=32)
def _file_system(uri: str) -> tuple[Any, str] | None:
    """Arrow's file system at a root, connected once, and its name for that root."""
    import pyarrow as pa
    from pyarrow import fs

    try:
        files, root = fs.FileSystem.from_uri(uri)
    except pa.ArrowInvalid as error:
        if "Unrecognized filesystem" in str(error):
            return None
        raise
    return files, root
