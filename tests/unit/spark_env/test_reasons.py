"""Every reason why a file is refused, provoked by a real file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from darkroom.contract import RejectReason, SourceConfig
from darkroom.ingestion.listing import LOCATION, list_sources
from darkroom.ingestion.reading import Audit
from darkroom.ingestion.sources.opening import open_sources
from tests.unit.spark_env.pictures import encode, photo

AUDIT = Audit(folder="", min_side=8, run_id="r")
OF_SEVERAL = {RejectReason.DUPLICATE, RejectReason.LABEL_CONFLICT, RejectReason.FORGOTTEN}
"""Reasons that need other files or a person: tests/integration/spark_env/test_ingest*.py."""

Make = Callable[[Path], None]


def holding(data: bytes) -> Make:
    def make(file: Path) -> None:
        file.write_bytes(data)

    return make


def _sparse(file: Path) -> None:
    """Larger than may be read, without any block on the disk."""
    with file.open("wb") as stream:
        stream.truncate(512 * 1024**2 + 1)


def _loop(file: Path) -> None:
    file.symlink_to(file)


def _outside(file: Path) -> None:
    (file.parent.parent / "secret.png").write_bytes(photo(1))
    file.symlink_to("../secret.png")


CASES: list[tuple[str, Make, str, str]] = [
    ("empty.png", holding(b""), "EMPTY", "the file holds no bytes"),
    (
        "words.jpg",
        holding(b"words"),
        "NOT_AN_IMAGE",
        "no known image format starts with bytes 77 6f 72 64 73",
    ),
    ("half.png", holding(photo(2, side=60)[:4000]), "TRUNCATED", "image file is truncated"),
    (
        "damaged.png",
        holding(photo(3, side=60)[:3000] + bytes(50) + photo(3, side=60)[3050:]),
        "CORRUPT",
        "broken data stream when reading image file",
    ),
    (
        "photo.heic",
        holding(b"\0\0\0\x1cftypheic\0\0\0\0mif1heic"),
        "UNSUPPORTED_FORMAT",
        "HEIC files are not decoded here: save the picture as JPEG or PNG",
    ),
    (
        "wide.png",
        holding(encode(Image.new("1", (10_000, 10_000)))),
        "TOO_LARGE",
        "10000x10000 pixels, the limit is 89478485",
    ),
    ("long.png", _sparse, "TOO_LARGE", "536870913 bytes, the limit is 536870912"),
    (
        "small.png",
        holding(encode(Image.new("RGB", (7, 9)))),
        "TOO_SMALL",
        "7x9 pixels, each side needs at least 8",
    ),
    ("folder.png", Path.mkdir, "UNREADABLE_FILE", "Is a directory"),
    ("pipe.png", os.mkfifo, "UNREADABLE_FILE", "not a regular file"),
    (
        "loop.png",
        _loop,
        "UNREADABLE_FILE",
        "the manifest names it, and there is no such file",
    ),
    ("link.png", _outside, "OUTSIDE_ROOT", "a link leads out of {root}"),
]


@pytest.mark.parametrize(("name", "make", "reason", "detail"), CASES, ids=[one[0] for one in CASES])
def test_a_file_is_refused_for_its_reason(
    tmp_path: Path, name: str, make: Make, reason: str, detail: str
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    make(root / name)
    refused = audited(root, name)
    assert (refused["reason"], refused["detail"]) == (reason, detail.format(root=root))
    assert refused.get("image") is None


def test_no_reason_is_without_its_file() -> None:
    assert {reason for _, _, reason, _ in CASES} | OF_SEVERAL == set(RejectReason)


def audited(root: Path, name: str) -> dict[str, Any]:
    """What becomes of a file that a manifest names."""
    (root / "m.csv").write_text(f"path,label\n{name},a\nother.png,b\n")
    rows: list[dict[str, Any]] = []
    config = SourceConfig(path=str(root / "m.csv"))
    list_sources(open_sources(config), lambda batch: rows.extend(batch.to_pylist()))
    [found] = AUDIT.of_files(rows[:1])
    return found


def test_a_good_file_has_its_bytes_id_and_facts(tmp_path: Path) -> None:
    data = photo(1, side=60)
    (tmp_path / "1.jpg").write_bytes(data)
    [row] = AUDIT.of_files([{LOCATION: str(tmp_path / "1.jpg"), "length": len(data)}])
    assert row["image"] == data
    assert row["image_id"] == hashlib.sha256(data).hexdigest()
    assert (row["format"], row["mode"], row["width"], row["height"]) == ("PNG", "RGB", 60, 60)
    assert "reason" not in row
