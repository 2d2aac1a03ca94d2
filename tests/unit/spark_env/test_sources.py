"""Listing trees, flat folders and manifests without Spark."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from darkroom.contract import DataError, SourceConfig
from darkroom.contract.source import SourceKind
from darkroom.ingestion.listing import Listing, list_sources, listed_files
from darkroom.ingestion.sources.local import PROJECT_ROOT, LocalPlace
from darkroom.ingestion.sources.opening import all_local, open_sources
from tests.unit.spark_env.pictures import write_tree

TREE = {"b/2.jpg": b"22", "b/1.jpg": b"1", "a/deep/er/3.png": b"333", "a/4.png": b""}
LAYOUT = "make one sub-folder of images per class, or set source.path to such a folder"


def source(path: object, **more: Any) -> SourceConfig:
    return SourceConfig(path=str(path), **more)


def listed(config: SourceConfig) -> tuple[Listing, list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    listing = list_sources(
        open_sources(config), lambda batch: rows.extend(batch.to_pylist(maps_as_pydicts="strict"))
    )
    return listing, rows


def problem(config: SourceConfig) -> str:
    with pytest.raises(DataError) as caught:
        listed(config)
    return str(caught.value)


def test_files_come_with_label_length_and_time(tmp_path: Path) -> None:
    write_tree(tmp_path, TREE)
    os.utime(tmp_path / "b/1.jpg", ns=(0, 1_700_000_000_123_456_789))
    listing, rows = listed(source(tmp_path))
    assert (listing.labels, listing.found, listing.total_bytes) == (("a", "b"), 4, 6)
    assert listing.roots == (str(tmp_path),)
    assert [(row["path"], row["label"], row["length"]) for row in rows] == [
        ("a/4.png", "a", 0),
        ("a/deep/er/3.png", "a", 3),
        ("b/1.jpg", "b", 1),
        ("b/2.jpg", "b", 2),
    ]
    assert round(rows[2]["modified_at"].timestamp() * 1e6) == 1_700_000_000_123_456
    assert rows[1]["location"] == f"{tmp_path}/a/deep/er/3.png"


def test_hidden_files_and_folders_are_left_out_and_loose_files_counted(tmp_path: Path) -> None:
    hidden = {".darkroom-demo.json": b"{}", "a/.DS_Store": b"x", ".git/x": b"x", "a/.t/x": b"x"}
    write_tree(tmp_path, {**TREE, **hidden, "README.txt": b"hello"})
    listing, rows = listed(source(tmp_path))
    assert (len(rows), listing.loose) == (4, 1)


def test_a_link_to_a_folder_above_ends_the_walk_and_a_dead_link_is_listed(tmp_path: Path) -> None:
    write_tree(tmp_path, TREE)
    (tmp_path / "a/loop").symlink_to(tmp_path)
    (tmp_path / "a/dead.png").symlink_to(tmp_path / "nowhere")
    paths = [row["path"] for row in listed(source(tmp_path))[1]]
    assert paths == ["a/4.png", "a/dead.png", "a/deep/er/3.png", "b/1.jpg", "b/2.jpg"]


def test_what_vanishes_while_it_is_listed_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file between its name and its length, a folder between its parent and itself."""
    write_tree(tmp_path, {**TREE, "a/brief/5.png": b"55555", "b/0.jpg": b"0"})
    read_names = os.scandir

    def scandir(folder: Any) -> Any:
        if folder == f"{tmp_path}/a/brief":
            (tmp_path / "a/brief/5.png").unlink()
            (tmp_path / "a/brief").rmdir()
        names = read_names(folder)
        if folder != f"{tmp_path}/b":
            return names
        known = list(names)
        (tmp_path / "b/0.jpg").unlink()
        return contextlib.nullcontext(known)

    monkeypatch.setattr("darkroom.ingestion.sources.local.os.scandir", scandir)
    listing, rows = listed(source(tmp_path))
    assert [row["path"] for row in rows] == sorted(TREE, key=lambda path: path.split("/"))
    assert (listing.found, listing.total_bytes) == (4, 6)


def test_a_class_folder_may_be_a_link(tmp_path: Path) -> None:
    write_tree(tmp_path, {"elsewhere/1.jpg": b"1", "tree/a/1.jpg": b"1"})
    (tmp_path / "tree/b").symlink_to(tmp_path / "elsewhere")
    assert [row["path"] for row in listed(source(tmp_path / "tree"))[1]] == ["a/1.jpg", "b/1.jpg"]


def test_a_flat_folder_has_no_labels(tmp_path: Path) -> None:
    write_tree(tmp_path, {"1.jpg": b"1", "more/2.jpg": b"22"})
    listing, rows = listed(source(tmp_path, kind="flat"))
    assert listing.labels == ()
    assert [(row["path"], row["label"]) for row in rows] == [("1.jpg", None), ("more/2.jpg", None)]


def test_several_sources_are_listed_one_after_the_other(tmp_path: Path) -> None:
    write_tree(tmp_path, {"x/a/1.jpg": b"1", "y/b/1.jpg": b"2"})
    config = SourceConfig(path=(f"{tmp_path}/x", f"{tmp_path}/y"))
    listing, rows = listed(config)
    assert listing.labels == ("a", "b")
    assert [(row["root"], row["path"]) for row in rows] == [
        (f"{tmp_path}/x", "a/1.jpg"),
        (f"{tmp_path}/y", "b/1.jpg"),
    ]


def test_two_manifests_may_share_a_folder_but_no_file(tmp_path: Path) -> None:
    write_tree(tmp_path, {"x.csv": b"path,label\n1.jpg,a\n", "y.csv": b"path,label\n2.jpg,b\n"})
    both = SourceConfig(path=(f"{tmp_path}/x.csv", f"{tmp_path}/y.csv"))
    assert [row["path"] for row in listed(both)[1]] == ["1.jpg", "2.jpg"]
    write_tree(tmp_path, {"y.csv": b"path,label\n1.jpg,b\n"})
    expected = f"source {tmp_path}: '1.jpg' is named twice: keep one line for each file"
    assert problem(both) == expected


def test_the_listing_is_written_for_spark(tmp_path: Path) -> None:
    write_tree(tmp_path / "source", TREE)
    file = tmp_path / "scratch/listing.parquet"
    found = listed_files(open_sources(source(tmp_path / "source")))
    found.write(file)
    rows = pq.read_table(file).to_pylist()
    assert (found.listing, rows) == listed(source(tmp_path / "source"))
    assert len(rows) == found.listing.found == 4


CSV = b"path,label,split,camera\na/1.jpg,stop,train,x1\nb.jpg,go,VAL,\n\nc.jpg,,,\n"
JSON_LINES = (
    b'{"path": "a/1.jpg", "label": "stop", "split": "train", "camera": "x1"}\n'
    b'{"path": "b.jpg", "label": "go", "split": "val"}\n\n{"path": "c.jpg", "label": null}\n'
)


def parquet() -> bytes:
    rows = [json.loads(line) for line in JSON_LINES.splitlines() if line]
    columns = {name: [row.get(name) for row in rows] for name in rows[0]}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())


@pytest.mark.parametrize(
    ("name", "content"), [("m.csv", CSV), ("m.jsonl", JSON_LINES), ("m.parquet", parquet())]
)
def test_a_manifest_names_files_labels_and_whatever_else(
    tmp_path: Path, name: str, content: bytes
) -> None:
    write_tree(tmp_path, {"a/1.jpg": b"1", "b.jpg": b"22", name: content})
    listing, rows = listed(source(tmp_path / name))
    assert listing.labels == ("go", "stop")
    shown = [(row["path"], row["label"], row["length"], row["metadata"]) for row in rows]
    assert shown == [
        ("a/1.jpg", "stop", 1, {"camera": "x1", "split": "train"}),
        ("b.jpg", "go", 2, {"split": "validation"}),
        ("c.jpg", None, None, None),
    ]
    assert rows[2]["reason"] == "UNREADABLE_FILE"
    assert rows[2]["detail"] == "the manifest names it, and there is no such file"


@pytest.mark.parametrize("name", ["m.csv", "m.jsonl"])
def test_the_mark_of_an_encoding_is_no_part_of_the_first_column(tmp_path: Path, name: str) -> None:
    content = {"m.csv": b"path,label\r\n1.jpg,a\r\n2.jpg,b\r\n"}
    content["m.jsonl"] = b'{"path": "1.jpg", "label": "a"}\n{"path": "2.jpg", "label": "b"}\n'
    write_tree(tmp_path, {name: b"\xef\xbb\xbf" + content[name]})
    assert [row["path"] for row in listed(source(tmp_path / name))[1]] == ["1.jpg", "2.jpg"]


def test_a_path_is_a_manifest_by_its_ending_alone() -> None:
    endings = ("x.csv", "a/X.CSV", "x.json", "x.jsonl", "x.ndjson", "s3a://b/x.parquet")
    folders = ("csv", "photos/json", "x.csv/photos", "parquet", "x.txt")
    for path in (*endings, *folders):
        expected = SourceKind.MANIFEST if path in endings else SourceKind.TREE
        assert source(path).kind_of(path) is expected


def test_labels_that_look_like_numbers_keep_their_zeros(tmp_path: Path) -> None:
    write_tree(tmp_path, {"m.csv": b"path,label\n1.jpg,007\n2.jpg,7\n"})
    assert listed(source(tmp_path / "m.csv"))[0].labels == ("007", "7")


def test_a_manifest_may_have_its_files_elsewhere(tmp_path: Path) -> None:
    manifest = b"path,label\n1.jpg,a\n./x/../2.jpg,b\n"
    write_tree(tmp_path, {"photos/1.jpg": b"1", "photos/2.jpg": b"2", "lists/m.csv": manifest})
    listing, rows = listed(source(tmp_path / "lists/m.csv", root=str(tmp_path / "photos")))
    assert listing.roots == (f"{tmp_path}/photos",)
    assert [(row["path"], row["length"]) for row in rows] == [("1.jpg", 1), ("2.jpg", 1)]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("m.csv", b"", "source {root} holds no files: " + LAYOUT),
        (
            "m.csv",
            b"path,lable\n1.jpg,a\n",
            "manifest {m}, line 2: there is no column 'label', only path, lable: a manifest needs "
            "path and label",
        ),
        ("m.csv", b"path,label\n,a\n", "manifest {m}, line 2: it names no path: fill it in"),
        (
            "m.csv",
            b"path,label\na,b.jpg,c\n",
            "manifest {m}, line 2: 3 values for 2 columns: put values that hold a comma in quotes",
        ),
        (
            "m.csv",
            b'path,label\n"a,b\n',
            "manifest {m}, line 2: not valid CSV: unexpected end of data",
        ),
        ("m.csv", b"path,path\n", "manifest {m}: the column 'path' is there twice: rename one"),
        (
            "m.csv",
            b"path,label\n\xff,a\n",
            "manifest {m}, line 2: not UTF-8: save the file as UTF-8",
        ),
        (
            "m.csv",
            b"path,label,split\nx,a,dev\n",
            "manifest {m}, line 2: split = 'dev': give one of train, validation, val, test, "
            "or none",
        ),
        (
            "m.jsonl",
            b'{"path": "x"\n',
            "manifest {m}, line 1: not valid JSON: Expecting ',' delimiter",
        ),
        ("m.jsonl", b"[1]\n", "manifest {m}, line 1: write one JSON object a line"),
        (
            "m.csv",
            b"path,label\nx,a\ny,a\n",
            "source {root} has one class only (a), at least 2 are needed: " + LAYOUT,
        ),
    ],
)
def test_a_bad_manifest_is_one_clear_line(
    tmp_path: Path, name: str, content: bytes, expected: str
) -> None:
    write_tree(tmp_path, {name: content})
    assert problem(source(tmp_path / name)) == expected.format(root=tmp_path, m=tmp_path / name)


def test_half_a_parquet_manifest_is_one_clear_line(tmp_path: Path) -> None:
    write_tree(tmp_path, {"m.parquet": parquet()[:100]})
    expected = f"manifest {tmp_path}/m.parquet is not a whole Parquet file: "
    assert problem(source(tmp_path / "m.parquet")).startswith(expected)


def test_a_manifest_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert problem(source(tmp_path / "m.csv")) == (
        f"manifest {tmp_path}/m.csv cannot be read (No such file or directory): set source.path "
        "to a file that this user can read"
    )


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
    os.utime(root / "b/1.jpg", ns=(0, 1000))


def _add_class(root: Path) -> None:
    (root / "c").mkdir()


@pytest.mark.parametrize(
    "change", [_add, _remove, _rename, _move, _resize, _touch, _add_class], ids=lambda f: f.__name__
)
def test_the_fingerprint_sees_every_change(tmp_path: Path, change: Callable[[Path], None]) -> None:
    write_tree(tmp_path, TREE)
    before = listed(source(tmp_path))[0].fingerprint
    assert listed(source(tmp_path))[0].fingerprint == before
    change(tmp_path)
    assert listed(source(tmp_path))[0].fingerprint != before


def test_the_fingerprint_sees_what_a_manifest_says(tmp_path: Path) -> None:
    seen = set()
    for camera in ("x", "y"):
        rows = f"path,label,camera\n1.jpg,a,{camera}\n2.jpg,b,\n".encode()
        write_tree(tmp_path, {"m.csv": rows})
        seen.add(listed(source(tmp_path / "m.csv"))[0].fingerprint)
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("files", "folders", "expected"),
    [
        ({}, [], "holds no class folders: " + LAYOUT),
        (
            {"1.jpg": b""},
            [".hidden"],
            f"holds no class folders: {LAYOUT}, or source.kind to flat for images without labels",
        ),
        ({}, ["a", "b"], "has 2 class folders but no files in them: " + LAYOUT),
        ({}, ["a"], "has 1 class folder but no files in them: " + LAYOUT),
        (
            {"stop/1.jpg": b""},
            [],
            "has one class only (stop), at least 2 are needed: " + LAYOUT,
        ),
    ],
)
def test_an_unusable_tree_is_one_clear_line(
    tmp_path: Path, files: Mapping[str, bytes], folders: list[str], expected: str
) -> None:
    write_tree(tmp_path, files)
    for folder in folders:
        (tmp_path / folder).mkdir()
    assert problem(source(tmp_path)) == f"source folder {tmp_path} {expected}"


def test_a_missing_folder_and_a_file_are_named(tmp_path: Path) -> None:
    missing = problem(source(tmp_path / "nowhere"))
    assert missing == f"source folder {tmp_path}/nowhere does not exist: {LAYOUT}"
    (tmp_path / "file").write_bytes(b"")
    file = problem(source(tmp_path / "file"))
    assert file == f"source folder {tmp_path}/file is not a folder: {LAYOUT}"


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    write_tree(tmp_path, TREE)
    (tmp_path / os.fsdecode(b"a/caf\xe9.png")).write_bytes(b"")
    assert problem(source(tmp_path)) == (
        f"source folder {tmp_path}: the file name b'a/caf\\xe9.png' is not UTF-8: rename the file"
    )


def test_relative_paths_start_at_the_projects_root() -> None:
    assert LocalPlace("photos/signs").root == str(PROJECT_ROOT / "photos/signs")
    assert (PROJECT_ROOT / "spark_jobs/ingest_images.py").is_file()


def test_whatever_has_a_scheme_needs_spark() -> None:
    assert all_local(source("photos"))
    assert not all_local(source("hdfs://name/photos"))
    assert not all_local(source("m.csv", root="s3a://bucket/photos"))
