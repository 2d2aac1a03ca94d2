"""Every reason for which a single file is refused, provoked with a real file."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from darkroom.ingestion.reading import audit_file
from tests.unit.spark_env.pictures import encode, photo, write_tree

PICTURE = photo(1, side=60)
DAMAGED = PICTURE[:3000] + bytes(50) + PICTURE[3050:]


def audited(root: Path, path: str) -> dict[str, Any]:
    return audit_file(root, {"path": path, "label": "a", "length": 1}, min_side=8)


def test_a_good_file_has_its_bytes_id_and_facts(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a/1.png": PICTURE})
    row = audited(tmp_path, "a/1.png")
    assert row["image"] == PICTURE
    assert row["image_id"] == hashlib.sha256(PICTURE).hexdigest()
    assert (row["path"], row["label"], row["length"]) == ("a/1.png", "a", 1)
    assert (row["format"], row["mode"], row["width"], row["height"]) == ("PNG", "RGB", 60, 60)
    assert "reason" not in row


@pytest.mark.parametrize(
    ("data", "reason", "detail"),
    [
        (b"", "EMPTY", "the file holds no bytes"),
        (b"text", "NOT_AN_IMAGE", "no known image format starts with bytes 74 65 78 74"),
        (PICTURE[:4000], "TRUNCATED", "image file is truncated"),
        (DAMAGED, "CORRUPT", "broken data stream when reading image file"),
        (
            encode(Image.new("1", (10_000, 10_000))),
            "TOO_LARGE",
            "10000x10000 pixels, the limit is 89478485",
        ),
        (
            encode(Image.new("RGB", (4, 90))),
            "TOO_SMALL",
            "4x90 pixels, each side needs at least 8",
        ),
    ],
)
def test_each_defect_has_its_reason(tmp_path: Path, data: bytes, reason: str, detail: str) -> None:
    write_tree(tmp_path, {"a/1.jpg": data})
    row = audited(tmp_path, "a/1.jpg")
    assert (row["reason"], row["detail"]) == (reason, detail)
    assert "image" not in row
    assert "image_id" not in row


def test_a_vanished_file_is_unreadable(tmp_path: Path) -> None:
    row = audited(tmp_path, "a/gone.jpg")
    assert (row["reason"], row["detail"]) == ("UNREADABLE_FILE", "No such file or directory")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    row = audited(tmp_path, "pipe.jpg")
    assert (row["reason"], row["detail"]) == ("UNREADABLE_FILE", "not a regular file")


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "film.jpg", "wb") as stream:
        stream.truncate(512 * 1024**2 + 1)  # sparse: takes no room on the disk
    row = audited(tmp_path, "film.jpg")
    assert (row["reason"], row["detail"]) == (
        "TOO_LARGE",
        "536870913 bytes, the limit is 536870912",
    )
