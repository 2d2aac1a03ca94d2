"""What Keras itself publishes: weights and class names, in its cache or downloaded once."""

from __future__ import annotations

import functools
import json
import os
import socket
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from darkroom.backbones.libraries import import_keras
from darkroom.contract import ConfigError, one_line
from darkroom.files.digests import digest_of, md5_of
from darkroom.files.uris import TIMEOUT_SECONDS

WEIGHTS_FILE = Path(__file__).with_name("published_weights.json")


@dataclass(frozen=True)
class Published:
    """One file that Keras publishes.

    Attributes:
        file: Its name in Keras' cache.
        url: Where Keras downloads it.
        digest: MD5 or SHA-256 by which Keras knows it; empty where Keras checks none.
    """

    file: str
    url: str
    digest: str

    def is_same(self, file: Path) -> bool:
        """Whether a file's bytes are the published ones; False where Keras names no digest."""
        if not self.digest:
            return False
        return self.digest == (md5_of(file) if len(self.digest) == 32 else digest_of(file))


CLASS_INDEX = Published(
    "imagenet_class_index.json",
    "https://storage.googleapis.com/download.tensorflow.org/data/imagenet_class_index.json",
    "c2c37ea517e94d9795004a39431a14cb",
)


def published_weights(name: str, *, top: bool) -> Published:
    """The ImageNet weights of a classifier of keras.applications, with or without its top."""
    return Published(**_table()[name]["top" if top else "features"])


def keras_cache() -> Path:
    """Where Keras keeps what it downloads: ``KERAS_HOME``, else ``~/.keras``, below ``models``."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home).expanduser() if home else Path.home() / ".keras") / "models"


def cached(published: Published, field: str, value: str) -> Path:
    """Finds a published file in Keras' cache, or downloads it there.

    Args:
        published: The file.
        field: What to call the setting in an error.
        value: The setting.

    Returns:
        Its path; its bytes are the published ones wherever Keras says which these are.

    Raises:
        ConfigError: There is no such file and no way to download it, or it is another one.
    """
    file = keras_cache() / published.file
    if not file.exists():
        return _downloaded(published, file, field, value)
    if published.digest and not published.is_same(file):
        raise ConfigError(
            field,
            value,
            f"{file} is damaged or not the file that Keras publishes (digest "
            f"{published.digest}): replace it, or delete it to have it downloaded",
        )
    return file


def _downloaded(published: Published, file: Path, field: str, value: str) -> Path:
    try:
        # Keras would build on the system's patience, minutes where packets are dropped.
        _reach(published.url)
        keras = import_keras()
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=".") as scratch, _patience():
            arrived = keras.utils.get_file(
                published.file,
                published.url,
                cache_subdir=scratch,
                file_hash=published.digest or None,
            )
            Path(arrived).replace(file)
    except Exception as error:
        raise ConfigError(
            field,
            value,
            f"this machine has no {published.file} and cannot download it ({one_line(error)}): "
            f"put that file into {file.parent}",
        ) from None
    return file


def _reach(url: str) -> None:
    request = urllib.request.Request(url, method="HEAD")
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):
        pass


@contextmanager
def _patience() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(4 * TIMEOUT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


@functools.cache
def _table() -> dict[str, dict[str, dict[str, str]]]:
    table: dict[str, dict[str, dict[str, str]]] = json.loads(WEIGHTS_FILE.read_text())
    return table
