"""Reading files by path or URI, in Python workers."""

from __future__ import annotations

import functools
import os
import re
import urllib.parse
from typing import Any

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")


class UnreadableFileError(OSError):
    """A file that cannot be read; the message names it and says why."""


def read_uri(uri: str) -> bytes:
    """Reads a whole file.

    Args:
        uri: A path, a ``file:`` URI, a URI that Arrow opens (``hdfs:``, ``s3:``, ``gs:``, ...), or
            one that an installed fsspec file system opens.

    Returns:
        Its bytes.

    Raises:
        UnreadableFileError: It is missing, no file, or not reachable from this machine.
    """
    try:
        scheme = _SCHEME.match(uri)
        if scheme is None:
            return _read_local(uri)
        if scheme[1].lower() == "file":
            return _read_local(_local_path(uri))
        return _read_remote(uri, scheme[1])
    except Exception as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
        raise UnreadableFileError(f"cannot read {uri}: {reason}") from None


def _read_local(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def _local_path(uri: str) -> str:
    """Path of a file: URI; Spark writes some of them escaped and some as they are."""
    path = urllib.parse.urlsplit(uri, allow_fragments=False)
    plain = uri[len("file:") + 2 + len(path.netloc) :] if path.netloc else uri[len("file:") :]
    plain = "/" + plain.lstrip("/")
    return plain if os.path.exists(plain) else urllib.parse.unquote(plain)


def _read_remote(uri: str, scheme: str) -> bytes:
    rest = uri[len(scheme) + 1 :]
    host = rest[2:].partition("/")[0] if rest.startswith("//") else ""
    files = _file_system(f"{scheme}://{host}")
    if files is None:
        import fsspec

        with fsspec.open(uri, "rb") as stream:
            content: bytes = stream.read()
            return content
    # Arrow's paths begin with the bucket, or with the root of a file system without buckets.
    path = rest.removeprefix("//")
    if scheme.lower() in {"hdfs", "viewfs"}:
        path = path.removeprefix(host)
    with files.open_input_stream(path) as stream:
        return bytes(stream.read())


@functools.lru_cache(maxsize=32)
def _file_system(root: str) -> Any:
    """Arrow's file system of a scheme and host, connected once; None where Arrow has none."""
    import pyarrow as pa
    from pyarrow import fs

    try:
        return fs.FileSystem.from_uri(f"{root}/")[0]
    except pa.ArrowInvalid as error:
        if "Unrecognized filesystem" in str(error):
            return None
        raise
