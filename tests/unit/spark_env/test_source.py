"""Listing a class-per-folder tree."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from darkroom.contract import DataError, SourceConfig
from darkroom.ingestion.source import PROJECT_ROOT, list_source, source_root
from tests.unit.spark_env.pictures import write_tree

TREE = {"b/2.jpg": b"22", "b/1.jpg": b"1", "a/deep/er/3.png": b"333", "a/4.png": b""}
LAYOUT = "make one sub-folder of images per class, or set source.path to such a folder"


def listed(root: Path) -> SourceConfig:
    return SourceConfig(path=str(root))


def test_files_come_sorted_with_label_length_and_time(tmp_path: Path) -> None:
    write_tree(tmp_path, TREE)
    os.utime(tmp_path / "b/1.jpg", ns=(0, 1_700_000_000_123_456_789))
    listing = list_source(listed(tmp_path))
    assert listing.labels == ("a", "b")
    assert [(f.path, f.label, f.length) for f in listing.files] == [
        ("a/4.png", "a", 0),
        ("a/deep/er/3.png", "a", 3),
        ("b/1.jpg", "b", 1),
        ("b/2.jpg", "b", 2),
    ]
    assert listing.files[2].modified_ns == 1_700_000_000_123_456_789


def test_hidden_files_and_folders_are_left_out_and_loose_files_counted(tmp_path: Path) -> None:
    hidden = {".darkroom-demo.json": b"{}", "a/.DS_Store": b"x", ".git/x": b"x", "a/.t/x": b"x"}
    write_tree(tmp_path, {**TREE, **hidden, "README.txt": b"hello"})
    listing = list_source(listed(tmp_path))
    assert len(listing.files) == 4
    assert listing.unlabelled == 1


def test_a_link_to_a_folder_above_ends_the_walk_and_a_dead_link_is_listed(tmp_path: Path) -> None:
    write_tree(tmp_path, TREE)
    (tmp_path / "a/loop").symlink_to(tmp_path)
    (tmp_path / "a/dead.png").symlink_to(tmp_path / "nowhere")
    paths = [file.path for file in list_source(listed(tmp_path)).files]
    assert paths == ["a/4.png", "a/dead.png", "a/deep/er/3.png", "b/1.jpg", "b/2.jpg"]


def _add(root: Path) -> None:
    (root / "a/new.png").write_bytes(b"")


def _remove(root: Path) -> None:
    (root / "a/4.png").unlink()


def _rename(root: Path) -> None:
    (root / "a/4.png").rename(root / "a/5.png")


def _move(root: Path) -> None:
    (root / "a/4.png").rename(root / "b/4.png")


def _resize(root: Path) -> None:
    status = (root / "b/1.jpg").stat()
    (root / "b/1.jpg").write_bytes(b"11")
    os.utime(root / "b/1.jpg", ns=(status.st_atime_ns, status.st_mtime_ns))


def _touch(root: Path) -> None:
    os.utime(root / "b/1.jpg", ns=(0, 1))


def _add_class(root: Path) -> None:
    (root / "c").mkdir()


@pytest.mark.parametrize(
    "change", [_add, _remove, _rename, _move, _resize, _touch, _add_class], ids=lambda f: f.__name__
)
def test_the_fingerprint_sees_every_change(tmp_path: Path, change: Callable[[Path], None]) -> None:
    write_tree(tmp_path, TREE)
    before = list_source(listed(tmp_path)).fingerprint
    assert list_source(listed(tmp_path)).fingerprint == before
    change(tmp_path)
    assert list_source(listed(tmp_path)).fingerprint != before


@pytest.mark.parametrize(
    ("files", "folders", "problem"),
    [
        ({}, [], "holds no class folders"),
        ({"1.jpg": b""}, [".hidden"], "holds no class folders"),
        ({}, ["a", "b"], "has 2 class folders but no files in them"),
        ({}, ["a"], "has 1 class folder but no files in them"),
        ({"stop/1.jpg": b""}, [], "has one class only (stop), at least 2 are needed"),
    ],
)
def test_an_unusable_tree_is_one_clear_line(
    tmp_path: Path, files: dict[str, bytes], folders: list[str], problem: str
) -> None:
    write_tree(tmp_path, files)
    for folder in folders:
        (tmp_path / folder).mkdir()
    with pytest.raises(DataError) as caught:
        list_source(listed(tmp_path))
    assert str(caught.value) == f"source folder {tmp_path} {problem}: {LAYOUT}"


def test_a_missing_folder_and_a_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError) as missing:
        list_source(listed(tmp_path / "nowhere"))
    assert str(missing.value) == f"source folder {tmp_path}/nowhere does not exist: {LAYOUT}"
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError) as file:
        list_source(listed(tmp_path / "file"))
    assert str(file.value) == f"source folder {tmp_path}/file is not a folder: {LAYOUT}"


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    write_tree(tmp_path, TREE)
    (tmp_path / os.fsdecode(b"a/caf\xe9.png")).write_bytes(b"")
    with pytest.raises(DataError) as caught:
        list_source(listed(tmp_path))
    assert str(caught.value) == (
        f"source folder {tmp_path}: the file name b'a/caf\\xe9.png' is not UTF-8: rename the file"
    )


def test_relative_paths_start_at_the_projects_root() -> None:
    assert source_root(SourceConfig(path="photos/signs")) == PROJECT_ROOT / "photos/signs"
    assert (PROJECT_ROOT / "spark_jobs/ingest_images.py").is_file()
