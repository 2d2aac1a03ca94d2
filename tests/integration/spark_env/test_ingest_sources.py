"""Ingestion of manifests, of Hadoop's file systems, and of several sources at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from darkroom.contract import columns as c
from darkroom.ingestion.listing import listed_files
from darkroom.stages import ingest as stage
from tests.integration.spark_env.ingest_house import (
    GOOD,
    PICTURES,
    Lines,
    Place,
    counts,
    from_source,
    image_id,
    label_of,
    numbers,
    reasons,
    refusals,
    with_manifest,
)
from tests.unit.spark_env.pictures import photo, photos, write_tree

pytestmark = pytest.mark.integration


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
    assert refusals(first) == refused
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
    real = listed_files

    def meanwhile(*arguments: Any) -> Any:
        listing = real(*arguments)
        (place.source / "a/growing.png").write_bytes(photo(40) + b"more")
        (place.source / "b/brief.png").unlink()
        return listing

    monkeypatch.setattr(stage, "listed_files", meanwhile)
    result = place.ingest("r1")
    monkeypatch.undo()
    assert counts(result) == (13, 11, 2, 0)
    length = len(photo(40))
    assert refusals(result) == {
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
