"""Ingestion of sources that change between runs."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pyspark.sql import SparkSession

from darkroom.contract import OnMissing
from darkroom.contract import columns as c
from darkroom.lake import housekeeping
from darkroom.lake import lake as lake_module
from darkroom.lake.commits import commit_files
from tests.integration.spark_env.ingest_house import (
    GOOD,
    PICTURES,
    Lines,
    Place,
    counts,
    image_id,
    label_of,
    numbers,
    reasons,
    tables,
    with_manifest,
    write_manifest,
)
from tests.unit.spark_env.pictures import encode, noise, photo, write_tree

pytestmark = pytest.mark.integration

STORY_FILES = {
    **PICTURES,
    "copy of 4.png": PICTURES["4.png"],
    "contested a.png": photo(50),
    "contested b.png": photo(50),
    "broken.png": b"not yet",
}
WORDS: Lines = {path: ("ab"[n % 2], "", "x1") for n, path in enumerate(PICTURES)}
WORDS |= {
    "copy of 4.png": ("a", "", ""),
    "contested a.png": ("a", "", ""),
    "contested b.png": ("b", "", ""),
    "broken.png": ("b", "", ""),
}


def dying_after(commits: int) -> Any:
    """Stands in for `commit_files`: the process dies before the next commit."""
    left = [commit_files] * commits

    def dying(*arguments: Any, **named: Any) -> Any:
        if not left:
            raise KeyboardInterrupt
        return left.pop()(*arguments, **named)

    return dying


def test_the_tables_follow_a_source_that_changes(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although a run has died on the way, with one of the two tables committed."""
    place = with_manifest(spark, tmp_path, STORY_FILES, WORDS)
    first = place.ingest("r1")
    assert counts(first) == (16, 12, 4, 0)
    assert reasons(place) == {
        "broken.png": "NOT_AN_IMAGE",
        "contested a.png": "LABEL_CONFLICT",
        "contested b.png": "LABEL_CONFLICT",
        "copy of 4.png": "DUPLICATE",
    }
    before = first.outputs["images_snapshot"]

    source, lines = place.source, dict(WORDS)
    lines["0.png"] = ("b", "", "x1")  # another label
    lines["1.png"] = ("b", "", "x2")  # another camera
    (source / "2.png").write_bytes(photo(102))  # another picture
    del lines["3.png"]  # gone
    del lines["4.png"]  # gone, but for its copy
    (source / "5.png").rename(source / "moved.png")
    lines["moved.png"] = lines.pop("5.png")
    del lines["contested b.png"]  # the conflict is settled
    (source / "broken.png").write_bytes(photo(103))  # mended
    os.utime(source / "6.png", ns=(0, 0))  # touched
    (source / "7.png").write_bytes(b"")  # spoilt
    os.utime(source / "8.png", ns=(0, 0))  # touched
    lines["8.png"] = ("a", "", "x3")  # and another camera
    write_manifest(source / "m.csv", lines)
    with monkeypatch.context() as patch:
        patch.setattr(lake_module, "commit_files", dying_after(1))
        with pytest.raises(KeyboardInterrupt):
            place.ingest("dead")
    assert "7.png" in reasons(place).keys() & label_of(place).keys()
    second = place.ingest("r2")
    assert counts(second) == (13, 8, 1, 4)
    # 3.png, 4.png, 5.png and contested b.png are in the manifest no longer.
    assert numbers(second, "relabelled", "moved", "gone", "deleted") == (3, 2, 4, 2)
    assert second.summary == (
        "13 files: 8 accepted, 1 rejected (1 EMPTY), 4 unchanged, 3 relabelled, 2 moved, 4 gone "
        "from the source, 2 deleted; 13 images in 2 classes"
    )
    assert label_of(place) == {
        **{f"{n}.png": "ab"[n % 2] for n in (1, 2, 3, 6, 8, 9, 10, 11)},
        "0.png": "b",
        "copy of 4.png": "a",
        "moved.png": "b",
        "contested a.png": "a",
        "broken.png": "b",
    }
    assert reasons(place) == {"7.png": "EMPTY", "contested b.png": "LABEL_CONFLICT"}
    rows = {row[c.PATH]: row for row in place.lake.rows("signs", c.IMAGES)}
    assert rows["1.png"][c.METADATA] == {"camera": "x2"}
    assert bytes(rows["2.png"][c.IMAGE]) == photo(102)
    assert rows["copy of 4.png"][c.IMAGE_ID] == image_id(PICTURES["4.png"])
    assert rows["6.png"][c.MODIFIED_AT].timestamp() == 0
    assert (rows["8.png"][c.MODIFIED_AT].timestamp(), rows["8.png"][c.METADATA]) == (
        0,
        {"camera": "x3"},
    )
    assert {path: row[c.RUN_ID] for path, row in rows.items() if row[c.RUN_ID] == "r2"}.keys() == {
        "0.png",
        "1.png",
        "2.png",
        "8.png",
        "copy of 4.png",
        "moved.png",
        "contested a.png",
        "broken.png",
    }
    # History keeps what was said before.
    old = place.lake.read(spark, "signs", c.IMAGES, before)
    assert {row[0]: row[1] for row in old.select(c.PATH, c.LABEL).collect()}["0.png"] == "a"

    place.config = replace(
        place.config, source=replace(place.config.source, on_missing=OnMissing.DELETE)
    )
    third = place.ingest("r3")
    assert (*counts(third), *numbers(third, "gone", "deleted")) == (13, 0, 0, 13, 2, 1)
    assert rows.keys() - label_of(place).keys() == {"3.png"}
    assert reasons(place) == {"7.png": "EMPTY"}

    now = tables(place)
    fourth = place.ingest("r4")
    assert (*counts(fourth), *numbers(fourth, "gone", "deleted")) == (13, 0, 0, 13, 0, 0)
    assert tables(place) == now


@pytest.mark.long
def test_a_copy_that_a_dead_run_refused_is_not_lost_with_its_original(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run died after it had refused the copy; the original is gone before the next one."""
    place = Place(spark, tmp_path, {**GOOD, "a/copy.png": GOOD["a/000.png"]})
    monkeypatch.setattr(lake_module, "commit_files", dying_after(1))
    with pytest.raises(KeyboardInterrupt):
        place.ingest("dead")
    monkeypatch.undo()
    assert reasons(place) == {"a/copy.png": "DUPLICATE"}
    (place.source / "a/000.png").unlink()
    assert counts(place.ingest("r1")) == (11, 11, 0, 0)
    assert "a/copy.png" in label_of(place)
    assert reasons(place) == {}


@pytest.mark.long
def test_two_files_that_change_places_keep_both_pictures(
    spark: SparkSession, tmp_path: Path
) -> None:
    place = Place(spark, tmp_path, GOOD)
    place.ingest("r1")
    one, other = place.source / "a/000.png", place.source / "a/001.png"
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    for number, file in enumerate((one, other)):
        os.utime(file, ns=(0, number * 1_000_000_000))
    result = place.ingest("r2")
    assert (*counts(result), *numbers(result, "moved", "deleted")) == (11, 2, 0, 9, 2, 0)
    rows = {row[c.PATH]: row for row in place.lake.rows("signs", c.IMAGES)}
    assert len(rows) == 11
    assert bytes(rows["a/000.png"][c.IMAGE]) == GOOD["a/001.png"]
    assert bytes(rows["a/001.png"][c.IMAGE]) == GOOD["a/000.png"]


@pytest.mark.long
def test_a_forgotten_picture_does_not_come_back(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is forgotten before a run, another one while the run has read it but not committed."""
    place = Place(spark, tmp_path, {**GOOD, "a/copy.png": GOOD["a/000.png"]})
    place.ingest("r1")
    forgotten = {image_id(GOOD["a/000.png"]), image_id(photo(600))}

    def forget(one: str) -> None:
        housekeeping.forget(place.lake, "signs", [one], who="ann", run_id="f")

    forget(image_id(GOOD["a/000.png"]))
    write_tree(place.source, {"a/new.png": photo(600), "a/same.png": photo(600)})
    real = commit_files

    def meanwhile(table: Any, **named: Any) -> Any:
        if table.name()[-1] == c.IMAGES:
            monkeypatch.undo()
            # Known by the copy that has just been refused.
            forget(image_id(photo(600)))
        return real(table, **named)

    monkeypatch.setattr(lake_module, "commit_files", meanwhile)
    result = place.ingest("r2")
    # The attempt that counts is the second one.
    assert (*counts(result), result.outputs["reasons"]) == (14, 0, 4, 10, {"FORGOTTEN": 4})
    for table in (c.IMAGES, c.SPLITS):
        kept = {row[0] for row in place.rows(table, c.IMAGE_ID)}
        assert len(kept) == 10
        assert not kept & forgotten
    assert counts(place.ingest("r3")) == (14, 0, 0, 14)


def test_a_late_picture_between_two_splits_waits_until_one_side_is_forgotten(
    spark: SparkSession, tmp_path: Path
) -> None:
    one, other = noise(300).astype(float), noise(1300)
    steps = [one + share * (other - one) for share in (0, 0.2, 0.4)]
    first, between, last = (encode(Image.fromarray(step.astype(np.uint8))) for step in steps)
    lines: Lines = {path: ("ab"[n % 2], "", "") for n, path in enumerate(PICTURES)}
    lines |= {"first.png": ("a", "train", ""), "last.png": ("a", "test", "")}
    files = {**PICTURES, "first.png": first, "last.png": last}
    place = with_manifest(spark, tmp_path, files, lines)
    assert numbers(place.ingest("r1"), "split_leaks", "excluded") == (0, 0)
    write_tree(place.source, {"between.png": between})
    write_manifest(place.source / "m.csv", lines | {"between.png": ("a", "", "")})
    second = place.ingest("r2")
    assert numbers(second, "split_leaks", "excluded") == (0, 1)
    assert second.summary.endswith("; one looks like images of several splits and is in none")
    # Asked again, and answered as before: nothing is written.
    third = place.ingest("r3")
    assert third.outputs["splits_snapshot"] == second.outputs["splits_snapshot"]
    assert third.outputs["excluded"] == 1
    housekeeping.forget(place.lake, "signs", [image_id(last)], who="ann", run_id="f")
    assert numbers(place.ingest("r4"), "split_leaks", "excluded") == (0, 0)
    assert dict(place.rows(c.SPLITS, c.IMAGE_ID, c.SPLIT))[image_id(between)] == c.TRAIN
