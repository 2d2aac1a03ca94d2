"""Ingestion on small trees whose outcome is known."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pyspark.sql import SparkSession

from darkroom.contract import (
    DataError,
    PipelineConfig,
    SourceConfig,
    SplitConfig,
    StageResult,
    StageStatus,
    TuningConfig,
    Workspace,
)
from darkroom.contract import columns as c
from darkroom.images import audit_image
from darkroom.ingestion import reading, staging
from darkroom.ingestion.incremental import NEW, STATE, all_new, compare
from darkroom.ingestion.listing import listed_files
from darkroom.ingestion.reading import Audit, _auditor
from darkroom.ingestion.sources.opening import open_sources
from darkroom.lake import Lake
from darkroom.lake import lake as lake_module
from darkroom.lake.commits import commit_files
from darkroom.stages import ingest as stage
from tests.integration.spark_env.ingest_house import (
    DEFECTS,
    GOOD,
    Place,
    Rows,
    counts,
    key_of,
    tables,
)
from tests.unit.spark_env.pictures import encode, photo, photos, write_tree

pytestmark = pytest.mark.integration


def expected_split(perceptual_hash: str) -> str:
    position = int(hashlib.sha256(perceptual_hash.encode()).hexdigest()[:13], 16) / 16**13
    return "test" if position < 0.2 else "train"


@dataclass(frozen=True)
class Story:
    """Three ingestions of one source: of all files, of additions, and of nothing new."""

    place: Place
    first: StageResult
    second: StageResult
    third: StageResult
    after_first: Rows
    after_second: Rows
    after_third: Rows
    keys: list[str]


ADDED = {
    "a/new.png": photo(400),
    "b/new.png": photo(401),
    "a/new_text.jpg": b"more words",
    "a/new_copy.png": GOOD["a/001.png"],
    "b/new_copy.png": GOOD["a/002.png"],
    "a/new_third_copy.png": DEFECTS["a/x_both.png"],
}


@pytest.fixture(scope="module")
def story(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Story:
    root = tmp_path_factory.mktemp("story")
    place = Place(spark, root, {**GOOD, **DEFECTS, ".darkroom-demo.json": b"{}"})
    (place.source / "b/x_dead.png").symlink_to(place.source / "nowhere")
    keys = [place.key()]
    first, after_first = place.ingest("r1"), tables(place)
    keys.append(place.key())
    for path in GOOD:
        _blank(place.source / path)
    # A time stamp that changes alone: the file has to be opened to see that nothing else did.
    (place.source / "a/000.png").write_bytes(GOOD["a/000.png"])
    os.utime(place.source / "a/000.png", ns=(0, 1_000_000_000))
    write_tree(place.source, ADDED)
    keys.append(place.key())
    second, after_second = place.ingest("r2"), tables(place)
    os.utime(place.source / "a/000.png", ns=(0, 1_000_000_000))
    third = place.ingest("r3")
    return Story(place, first, second, third, after_first, after_second, tables(place), keys)


def _blank(file: Path) -> None:
    """Whoever opens the file from now on rejects it; nobody sees that from outside."""
    status = file.stat()
    file.write_bytes(bytes(status.st_size))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_every_file_is_accepted_or_rejected_with_its_reason(story: Story) -> None:
    result = story.first
    assert result.status is StageStatus.DONE
    assert result.summary == (
        "22 files: 11 accepted, 11 rejected (1 CORRUPT, 1 DUPLICATE, 1 EMPTY, 2 LABEL_CONFLICT, "
        "1 NOT_AN_IMAGE, 1 TOO_LARGE, 1 TOO_SMALL, 1 TRUNCATED, 1 UNREADABLE_FILE, "
        "1 UNSUPPORTED_FORMAT); 11 images in 2 classes"
    )
    assert counts(result) == (22, 11, 11, 0)
    assert result.outputs["classes"] == {"a": 6, "b": 5}
    assert result.outputs["reasons"] == result.outputs["refused"]
    assert sum(result.outputs["reasons"].values()) == 11


def test_the_detail_of_a_rejection_says_what_is_wrong(story: Story) -> None:
    expected = [
        ("a/x_both.png", "LABEL_CONFLICT", "the same bytes are in b as b/x_both.png"),
        ("a/x_copy.png", "DUPLICATE", "the same bytes as a/000.png"),
        ("a/x_empty.jpg", "EMPTY", "the file holds no bytes"),
        (
            "a/x_text.jpg",
            "NOT_AN_IMAGE",
            "no known image format starts with bytes 77 6f 72 64 73",
        ),
        ("b/x_both.png", "LABEL_CONFLICT", "the same bytes are in a as a/x_both.png"),
        ("b/x_cut.png", "TRUNCATED", "image file is truncated"),
        ("b/x_damaged.png", "CORRUPT", "broken data stream when reading image file"),
        ("b/x_dead.png", "UNREADABLE_FILE", "No such file or directory"),
        ("b/x_huge.png", "TOO_LARGE", "10000x10000 pixels, the limit is 89478485"),
        (
            "b/x_scan.pdf",
            "UNSUPPORTED_FORMAT",
            "PDF files are not decoded here: save the picture as JPEG or PNG",
        ),
        ("b/x_tiny.png", "TOO_SMALL", "4x4 pixels, each side needs at least 8"),
    ]
    assert story.after_first[c.REJECTED_IMAGES] == expected
    listed = story.first.outputs["rejected_files"]
    assert [(one["path"], one["reason"], one["detail"]) for one in listed] == expected


def test_the_images_hold_what_the_files_hold(story: Story) -> None:
    images = story.place.lake.rows("signs", c.IMAGES)
    rows = {row[c.PATH]: row for row in images if row[c.RUN_ID] == "r1"}
    assert {path: row[c.IMAGE] for path, row in rows.items()} == GOOD
    for path, row in rows.items():
        assert row[c.IMAGE_ID] == hashlib.sha256(GOOD[path]).hexdigest()
        assert (row[c.LABEL], row[c.LENGTH]) == (path[0], len(GOOD[path]))
        assert (row[c.FORMAT], row[c.MODE], row[c.WIDTH], row[c.HEIGHT]) == ("PNG", "RGB", 24, 24)
    path = "b/001.png"
    modified_ns = (story.place.source / path).stat().st_mtime_ns
    assert round(rows[path][c.MODIFIED_AT].timestamp() * 1e6) == modified_ns // 1000


def test_the_split_is_a_function_of_what_a_picture_looks_like(story: Story) -> None:
    images = {row[c.IMAGE_ID]: row for row in story.place.lake.rows("signs", c.IMAGES)}
    splits = story.place.lake.rows("signs", c.SPLITS)
    assert sorted(row[c.IMAGE_ID] for row in splits) == sorted(images)
    for row in splits:
        assert row[c.GROUP_ID] == images[row[c.IMAGE_ID]][c.PERCEPTUAL_HASH]
        assert row[c.SPLIT] == expected_split(row[c.GROUP_ID])
    assert {row[c.SPLIT] for row in splits} == {"test", "train"}


def test_files_that_are_known_are_not_opened_again(story: Story) -> None:
    """The old files have become unreadable in the meantime, and nobody has noticed."""
    result = story.second
    assert counts(result) == (28, 2, 4, 22)
    assert result.summary == (
        "28 files: 2 accepted, 4 rejected (1 DUPLICATE, 2 LABEL_CONFLICT, 1 NOT_AN_IMAGE), "
        "22 unchanged; 13 images in 2 classes"
    )
    assert sum(result.outputs["refused"].values()) == 15


def test_later_copies_are_compared_with_earlier_files(story: Story) -> None:
    listed = story.second.outputs["rejected_files"]
    assert [(one["path"], one["reason"], one["detail"]) for one in listed] == [
        ("a/new_copy.png", "DUPLICATE", "the same bytes as a/001.png"),
        (
            "a/new_text.jpg",
            "NOT_AN_IMAGE",
            "no known image format starts with bytes 6d 6f 72 65 20 77 6f 72 64 73",
        ),
        ("a/new_third_copy.png", "LABEL_CONFLICT", "the same bytes are in b as b/x_both.png"),
        ("b/new_copy.png", "LABEL_CONFLICT", "the same bytes are in a as a/002.png"),
    ]


def test_new_images_move_no_old_one(story: Story) -> None:
    for name in (c.IMAGES, c.REJECTED_IMAGES, c.SPLITS):
        assert set(story.after_first[name]) < set(story.after_second[name])
    assert len(story.after_second[c.IMAGES]) == len(story.after_second[c.SPLITS]) == 13


def test_nothing_new_changes_no_table(story: Story) -> None:
    assert counts(story.third) == (28, 0, 0, 28)
    assert story.third.summary == "28 files: 0 accepted, 0 rejected, 28 unchanged; " + (
        "13 images in 2 classes"
    )
    assert story.after_third == story.after_second
    for name in ("images_snapshot", "splits_snapshot", "classes", "refused"):
        assert story.third.outputs[name] == story.second.outputs[name]


def test_an_earlier_result_stands_while_the_tables_do(story: Story, tmp_path: Path) -> None:
    assert story.keys[0] == story.keys[1] != story.keys[2]
    config = story.place.config
    assert stage.still_there(story.third, config, story.place.workspace)
    # What it names is not what the tables hold now: a forgotten image must not come back this way.
    assert not stage.still_there(story.first, config, story.place.workspace)
    assert not stage.still_there(story.first, config, Workspace(tmp_path))


@pytest.mark.parametrize(
    "change",
    [
        lambda config: replace(config, source=replace(config.source, min_side=9)),
        lambda config: replace(config, split=SplitConfig(test_share=0.3)),
        lambda config: replace(config, tuning=TuningConfig(folds=4)),
    ],
)
def test_the_key_sees_what_the_result_depends_on(
    story: Story, change: Callable[[PipelineConfig], PipelineConfig]
) -> None:
    run = story.place.run("any")
    keys = {
        key_of(config, story.place.workspace, run)
        for config in (story.place.config, change(story.place.config))
    }
    assert len(keys) == 2


@pytest.mark.long
def test_runs_that_crash_at_every_commit_end_in_the_same_tables(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, story: Story
) -> None:
    place = Place(spark, tmp_path, {**GOOD, **DEFECTS})
    (place.source / "b/x_dead.png").symlink_to(place.source / "nowhere")
    real = commit_files
    commits_left = 0

    def dying(*args: Any, **kwargs: Any) -> Any:
        nonlocal commits_left
        if not commits_left:
            raise KeyboardInterrupt
        commits_left -= 1
        return real(*args, **kwargs)

    monkeypatch.setattr(lake_module, "commit_files", dying)
    for crash, commits in enumerate((0, 1, 1)):
        commits_left = commits
        with pytest.raises(KeyboardInterrupt):
            place.ingest(f"crash {crash}")
    monkeypatch.undo()
    result = place.ingest("last")
    assert counts(result) == (22, 0, 0, 22)
    assert result.outputs["refused"] == story.first.outputs["refused"]
    assert tables(place) == story.after_first


def test_no_usable_file_is_an_error_that_counts_the_reasons(
    spark: SparkSession, tmp_path: Path
) -> None:
    place = Place(spark, tmp_path, {"a/1.jpg": b"", "a/2.jpg": b"words", "b/1.jpg": b"text"})
    expected = (
        f"source folder {place.source}: none of its 3 files is usable (1 EMPTY, 2 NOT_AN_IMAGE): "
        "replace them by images that open in a viewer"
    )
    for run_id in ("first", "again"):
        with pytest.raises(DataError) as caught:
            place.ingest(run_id)
        assert str(caught.value) == expected
    assert len(place.rows(c.REJECTED_IMAGES, c.PATH)) == 3


def test_a_class_smaller_than_the_folds_is_named(spark: SparkSession, tmp_path: Path) -> None:
    """Two of its pictures differ in their bytes alone, so they also share a split."""
    same = encode(Image.open(io.BytesIO(photo(100))), compress_level=0)
    files = {**photos("a", 3, 100), "a/again.png": same, **photos("b", 2, 200)}
    place = Place(spark, tmp_path, files)
    (place.source / "c").mkdir()
    with pytest.raises(DataError) as caught:
        place.ingest()
    assert str(caught.value) == (
        "too few usable images for tuning.folds = 3: class b has 2, c has 0: add images to "
        f"{place.source}, remove the class, or lower tuning.folds"
    )
    hashes = dict(place.rows(c.IMAGES, c.PATH, c.PERCEPTUAL_HASH))
    assert hashes["a/again.png"] == hashes["a/000.png"]
    assert len(set(hashes.values())) == 5


def test_workers_write_several_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many files are audited together, and with refused ones among them."""
    monkeypatch.setattr(staging, "ROW_GROUP_BYTES", 3000)
    monkeypatch.setattr(reading, "PART_FILES", 2)
    source = write_tree(tmp_path / "source", {**GOOD, "a/003.jpg": b"", "b/bad.jpg": b"words"})
    listed = listed_files(open_sources(SourceConfig(path=str(source))))
    files = pq.read_table(pa.BufferReader(listed.files))
    audit = Audit(folder=f"file://{tmp_path}/staged", min_side=8, run_id="r")
    columns = (c.PATH, c.LABEL, c.LENGTH, c.IMAGE_ID, c.REASON, c.DETAIL, "staged")
    work = _auditor(audit, columns, str(tmp_path))
    [named] = list(work(iter(files.to_batches(max_chunksize=5))))
    audited = pq.read_table(*named["written"].to_pylist()).to_pydict()
    assert audited["path"] == files["path"].to_pylist()
    reasons = dict(zip(audited["path"], audited["reason"], strict=True))
    refused = {"a/003.jpg": "EMPTY", "b/bad.jpg": "NOT_AN_IMAGE"}
    assert {path: reason for path, reason in reasons.items() if reason} == refused
    [location] = set(audited["staged"]) - {None}
    file = pq.ParquetFile(location.removeprefix("file://"))
    assert file.num_row_groups > 3
    staged = file.read().to_pylist()
    assert {row["path"]: row["image"] for row in staged} == GOOD
    for row in staged:
        data = GOOD[row["path"]]
        assert (row["image_id"], row["length"]) == (hashlib.sha256(data).hexdigest(), len(data))
        assert (row["label"], row["run_id"]) == (row["path"][0], "r")
        assert row["perceptual_hash"] == audit_image(data).perceptual_hash


def test_files_are_audited_together_until_they_are_many_or_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "PART_FILES", 3)
    monkeypatch.setattr(reading, "PART_BYTES", 10)

    def parts(*lengths: int | None) -> list[list[int | None]]:
        batch = pa.RecordBatch.from_pydict({c.LENGTH: pa.array(lengths, pa.int64())})
        return [part.column(0).to_pylist() for part in reading._parts(batch)]

    assert parts(1, None, 2, 3) == [[1, None, 2], [3]]
    assert parts(5, 5, 1) == [[5, 5], [1]]
    assert parts(99, 1, 99) == [[99], [1], [99]]
    assert parts(4) == [[4]]
    assert parts() == []


def test_what_was_listed_before_spark_started_is_what_is_ingested(
    spark: SparkSession, tmp_path: Path
) -> None:
    """For it is what the result will be remembered for."""
    place = Place(spark, tmp_path, {**GOOD, "a/bad.png": b"words", "b/bad.png": b""})
    run = place.run("r1")
    key = key_of(place.config, place.workspace, run)
    write_tree(place.source, {"a/late.png": photo(800)})
    first = stage.ingest(spark, place.config, place.workspace, run)
    assert counts(first) == (13, 11, 2, 0)
    assert first.outputs["reasons"] == {"EMPTY": 1, "NOT_AN_IMAGE": 1}
    assert place.rows(c.REJECTED_IMAGES, c.PATH, c.REASON) == [
        ("a/bad.png", "NOT_AN_IMAGE"),
        ("b/bad.png", "EMPTY"),
    ]
    assert {row[c.PATH]: row[c.IMAGE] for row in place.lake.rows("signs", c.IMAGES)} == GOOD
    assert place.key() != key
    again = stage.ingest(spark, place.config, place.workspace, run)
    assert counts(again) == (14, 1, 0, 13)


def test_nothing_is_compared_where_nothing_is_known(spark: SparkSession, tmp_path: Path) -> None:
    """To the same effect as a comparison with empty tables."""
    source = write_tree(tmp_path / "source", {"a/1.png": b"1", "b/2.png": b""})
    config = SourceConfig(path=str(source))
    listed_files(open_sources(config)).write(tmp_path / "listed")
    listed = spark.read.parquet(str(tmp_path / "listed"))
    lake = Lake(Workspace(tmp_path / "workspace"))
    images, rejected = (
        lake.read_files(spark, table, []) for table in (c.IMAGES, c.REJECTED_IMAGES)
    )
    compared, new = compare(listed, images, rejected, [str(source)]), all_new(listed)
    assert [(one.name, one.dataType) for one in new.schema] == [
        (one.name, one.dataType) for one in compared.schema
    ]
    rows = [sorted(frame.collect(), key=str) for frame in (compared, new)]
    assert rows[0] == rows[1]
    assert [row[STATE] for row in rows[1]] == [NEW, NEW]
