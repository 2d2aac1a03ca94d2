"""Ingestion of sources that change between runs, and of other kinds than trees."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from darkroom.contract import OnMissing, SourceConfig, StageResult
from darkroom.contract import columns as c
from darkroom.ingestion.listing import write_listing
from darkroom.lake import housekeeping
from darkroom.lake import lake as lake_module
from darkroom.lake.commits import commit_files
from darkroom.stages import ingest as stage
from tests.integration.spark_env.test_ingest import GOOD, Place, counts, tables
from tests.unit.spark_env.pictures import photo, photos, write_tree

pytestmark = pytest.mark.integration

Lines = dict[str, tuple[str, str, str]]
"""Label, split and camera of each path of a manifest."""


def write_manifest(file: Path, lines: Lines) -> None:
    rows = [f"{path},{','.join(words)}" for path, words in lines.items()]
    file.write_text("\n".join(["path,label,split,camera", *rows]) + "\n")


def with_manifest(spark: SparkSession, root: Path, files: dict[str, bytes], lines: Lines) -> Place:
    place = Place(spark, root, files)
    write_manifest(place.source / "m.csv", lines)
    return from_source(place, path=str(place.source / "m.csv"))


def from_source(place: Place, **source: Any) -> Place:
    place.config = replace(place.config, source=SourceConfig(**source))
    return place


def image_id(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def label_of(place: Place) -> dict[str, str | None]:
    return {row[c.PATH]: row[c.LABEL] for row in place.lake.rows("signs", c.IMAGES)}


def reasons(place: Place) -> dict[str, str]:
    return {row[c.PATH]: row[c.REASON] for row in place.lake.rows("signs", c.REJECTED_IMAGES)}


def refusals(result: StageResult) -> dict[str, tuple[str, str]]:
    listed = result.outputs["rejected_files"]
    return {one["path"]: (one["reason"], one["detail"]) for one in listed}


def numbers(result: StageResult, *names: str) -> tuple[int, ...]:
    return tuple(result.outputs[name] for name in names)


PICTURES = {f"{n}.png": photo(n) for n in range(12)}
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

    now = tables(place)
    assert counts(place.ingest("r3")) == (13, 0, 0, 13)
    assert tables(place) == now

    place.config = replace(
        place.config, source=replace(place.config.source, on_missing=OnMissing.DELETE)
    )
    third = place.ingest("r4")
    assert (*counts(third), *numbers(third, "gone", "deleted")) == (13, 0, 0, 13, 2, 1)
    assert "3.png" not in label_of(place)
    assert reasons(place) == {"7.png": "EMPTY"}
    assert numbers(place.ingest("r5"), "gone", "deleted") == (0, 0)


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


@pytest.mark.long
def test_a_manifest_may_name_what_is_not_to_be_had(spark: SparkSession, tmp_path: Path) -> None:
    """And what it says of the split is taken, torn near-duplicates included."""
    files = {**PICTURES, "again.png": PICTURES["0.png"] + b"\n"}
    lines: Lines = {path: ("ab"[n % 2], "", "") for n, path in enumerate(PICTURES)}
    lines |= {"0.png": ("a", "train", ""), "again.png": ("a", "test", "")}
    lines |= {"2.png": ("a", "val", "")}
    (tmp_path / "secret.png").write_bytes(photo(9))
    refused = {
        "../secret.png": ("OUTSIDE_ROOT", f"it leads out of {tmp_path}/source"),
        "link.png": ("OUTSIDE_ROOT", f"a link leads out of {tmp_path}/source"),
        "nowhere.png": (
            "UNREADABLE_FILE",
            "the manifest names it, and there is no such file",
        ),
    }
    place = with_manifest(spark, tmp_path, files, lines | dict.fromkeys(refused, ("a", "", "")))
    (place.source / "link.png").symlink_to(tmp_path / "secret.png")
    first = place.ingest("r1")
    assert counts(first) == (16, 13, 3, 0)
    listed = {
        one["path"]: (one["reason"], one["detail"]) for one in first.outputs["rejected_files"]
    }
    assert listed == refused
    splits = dict(place.rows(c.SPLITS, c.IMAGE_ID, c.SPLIT))
    assert splits[image_id(PICTURES["0.png"])] == c.TRAIN
    assert splits[image_id(files["again.png"])] == c.TEST
    assert splits[image_id(PICTURES["2.png"])] == c.VALIDATION
    [leak] = place.lake.rows("signs", c.SPLIT_LEAKS)
    assert {leak[c.IMAGE_ID], leak[c.OTHER_IMAGE_ID]} == {
        image_id(files["0.png"]),
        image_id(files["again.png"]),
    }
    assert first.outputs["split_leaks"] == 1
    assert first.summary.endswith("; 1 pair of near-duplicates lies in different splits")
    # What is not there is looked for again, and found missing again.
    second = place.ingest("r2")
    assert (*counts(second), second.outputs["split_leaks"]) == (16, 0, 0, 16, 1)


def content(place: Place) -> dict[str, list[tuple[Any, ...]]]:
    """The tables but for what names the place: paths, facts, splits."""
    facts = (c.IMAGE_ID, c.PATH, c.LABEL, c.LENGTH, c.FORMAT, c.WIDTH, c.PERCEPTUAL_HASH)
    return {
        c.IMAGES: place.rows(c.IMAGES, *facts),
        c.REJECTED_IMAGES: place.rows(c.REJECTED_IMAGES, c.PATH, c.REASON),
        c.SPLITS: place.rows(c.SPLITS, c.IMAGE_ID, c.SPLIT),
    }


ODD_NAMES = {
    "a/[x]*? {y}.png": photo(70),
    "a/50% #1, ä.png": photo(71),
    "a/_hidden.png": photo(72),
    "a/.dot.png": photo(73),
    "b/k=v/z.png": photo(74),
    "b/empty.png": b"",
    "b/text.png": b"words",
}


@pytest.mark.long
def test_hadoop_reads_what_the_local_way_reads(spark: SparkSession, tmp_path: Path) -> None:
    local = Place(spark, tmp_path / "local", {**GOOD, **ODD_NAMES})
    local.ingest("r1")
    place = Place(spark, tmp_path / "hadoop", {})
    from_source(place, path=f"file://{local.source}")
    assert stage.inputs(place.config, place.workspace, place.run("r1")) is None
    first = place.ingest("r1")
    hidden = "a/_hidden.png"
    theirs, ours = content(local), content(place)
    expected = {
        c.IMAGES: [row for row in theirs[c.IMAGES] if row[1] != hidden],
        c.REJECTED_IMAGES: sorted([*theirs[c.REJECTED_IMAGES], (hidden, "UNREADABLE_FILE")]),
        c.SPLITS: [row for row in theirs[c.SPLITS] if row[0] != image_id(photo(72))],
    }
    assert ours == expected
    assert counts(first) == (17, 14, 3, 0)
    assert counts(place.ingest("r2")) == (17, 0, 0, 17)


def test_hadoop_lists_manifests_and_refuses_what_leads_out(
    spark: SparkSession, tmp_path: Path
) -> None:
    lines: Lines = {path: ("ab"[n % 2], "", "") for n, path in enumerate(PICTURES)}
    refused = ["../x.png", "gone.png", "/etc/passwd", "link.png"]
    place = with_manifest(spark, tmp_path, PICTURES, lines | dict.fromkeys(refused, ("a", "", "")))
    (tmp_path / "secret.png").write_bytes(photo(9))
    (place.source / "link.png").symlink_to(tmp_path / "secret.png")
    from_source(place, path=f"file:{place.source}/m.csv")
    result = place.ingest("r1")
    assert counts(result) == (16, 12, 4, 0)
    assert reasons(place) == {
        "../x.png": "OUTSIDE_ROOT",
        "link.png": "OUTSIDE_ROOT",
        "/etc/passwd": "OUTSIDE_ROOT",
        "gone.png": "UNREADABLE_FILE",
    }


@pytest.mark.long
def test_several_sources_share_the_tables(spark: SparkSession, tmp_path: Path) -> None:
    """The same name in two folders is two files, and unlabelled images are in no split."""
    one = write_tree(tmp_path / "one", photos("a", 6, 100) | {"b/000.png": photo(500)})
    two = write_tree(tmp_path / "two", photos("b", 5, 200) | {"a/copy.png": photo(100)})
    place = from_source(Place(spark, tmp_path, {}), path=(str(one), str(two)))
    result = place.ingest("r1")
    assert (*counts(result), result.outputs["classes"]) == (13, 12, 1, 0, {"a": 6, "b": 6})
    [copy] = result.outputs["rejected_files"]
    assert copy["detail"] == f"the same bytes as {one}/a/000.png"

    flat = write_tree(tmp_path / "flat", {"1.png": photo(900), "2.png": photo(100)})
    from_source(place, path=str(flat), kind="flat")
    result = place.ingest("r2")
    # The other sources were not looked at: nothing of theirs is gone.
    assert (*counts(result), *numbers(result, "gone", "without_label")) == (2, 1, 1, 0, 0, 1)
    assert reasons(place)["2.png"] == "DUPLICATE"
    splits = {row[0] for row in place.rows(c.SPLITS, c.IMAGE_ID)}
    assert image_id(photo(900)) not in splits
    assert len(splits) == 12


@pytest.mark.long
def test_a_file_that_is_written_or_vanishes_meanwhile_is_unreadable_for_now(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(spark, tmp_path, {**GOOD, "a/growing.png": photo(40), "b/brief.png": photo(41)})
    real = write_listing

    def meanwhile(*arguments: Any) -> Any:
        listing = real(*arguments)
        (place.source / "a/growing.png").write_bytes(photo(40) + b"more")
        (place.source / "b/brief.png").unlink()
        return listing

    monkeypatch.setattr(stage, "write_listing", meanwhile)
    result = place.ingest("r1")
    monkeypatch.undo()
    assert counts(result) == (13, 11, 2, 0)
    listed = {
        one["path"]: (one["reason"], one["detail"]) for one in result.outputs["rejected_files"]
    }
    length = len(photo(40))
    assert listed == {
        "a/growing.png": (
            "UNREADABLE_FILE",
            f"it had {length} bytes when it was listed and {length + 4} when it was read: ingest "
            "again when it is complete",
        ),
        "b/brief.png": ("UNREADABLE_FILE", "No such file or directory"),
    }
    result = place.ingest("r2")
    assert (*counts(result), *numbers(result, "gone")) == (12, 1, 0, 11, 1)
    assert "a/growing.png" in label_of(place)
