"""Validation of tables whose rows are known, and its page."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from darkroom.contract import (
    ConfigError,
    MissingInputError,
    Stage,
    StageResult,
    StageStatus,
    ValidationConfig,
)
from darkroom.contract import columns as c
from darkroom.stages import validate as stage
from darkroom.stages.run import input_key
from darkroom.validation import facts as facts_module
from darkroom.validation.facts import Fact, image_facts
from darkroom.validation.pictures import samples_per_class
from tests.integration.spark_env.validation_house import (
    NAME,
    House,
    halved,
    image_row,
    picture,
    rejected_row,
    shades,
)

pytestmark = pytest.mark.integration

HOSTILE = "<script>alert('x')</script>"
CLASSES = shades("a", 0, 12) + [{**row, c.LABEL: HOSTILE} for row in shades("b", 40, 11)]


class Tags(HTMLParser):
    """Collects the tags of a page and what they point to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.pictures: list[str] = []
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            if name in {"src", "srcset"}:
                self.pictures.append(value or "")
            if name == "href":
                self.links.append(value or "")


@pytest.fixture(scope="module")
def house(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> House:
    """Good images, accepted; rejected files of every sort, some of them still there."""
    root = tmp_path_factory.mktemp("validate")
    source = root / "photos"
    (source / "a").mkdir(parents=True)
    house = House(spark, root / "workspace")
    copy, small, other = picture(0), picture(90, 4), picture(91)
    files = {"a/copy.png": copy, "a/small.png": small, "a/changed.png": other}
    for path, data in files.items():
        (source / path).write_bytes(data)
    (root / "outside.png").write_bytes(picture(92))
    house.append(
        c.REJECTED_IMAGES,
        [
            rejected_row(source, "a/copy.png", "DUPLICATE", copy, image_id=CLASSES[0][c.IMAGE_ID]),
            rejected_row(
                "s3://b/c", "a/far.png", "DUPLICATE", copy, image_id=CLASSES[1][c.IMAGE_ID]
            ),
            rejected_row(source, "a/small.png", "TOO_SMALL", small),
            rejected_row(source, "a/changed.png", "TOO_SMALL", small),
            rejected_row(source, "a/gone.png", "TOO_SMALL", small),
            rejected_row(source, "../outside.png", "OUTSIDE_ROOT", picture(92)),
            rejected_row(source, "../outside.png", "FORGOTTEN", picture(92)),
            *[rejected_row(source, f"a/{n:02}{HOSTILE}", "EMPTY") for n in range(14)],
        ],
    )
    refused = {"DUPLICATE": 2, "TOO_SMALL": 3, "OUTSIDE_ROOT": 1, "FORGOTTEN": 1, "EMPTY": 14}
    house.ingested(CLASSES, halved(CLASSES), found=1_000, refused=refused)
    return house


@pytest.fixture(scope="module")
def passed(house: House) -> StageResult:
    return house.validate()


def test_good_images_pass_and_the_page_is_the_report(house: House, passed: StageResult) -> None:
    assert passed.status is StageStatus.DONE
    assert passed.summary == "all 16 expectations met"
    assert passed.outputs == {
        "expectations": 16,
        "failed": [],
        "warnings": [],
        "suite": "built-in",
        "compared_with": None,
        "drift": [],
    }
    assert passed.report == "data_docs/signs/runs/r1/index.html"
    assert stage.still_there(passed, house.config, house.workspace)
    gone = replace(passed, report="data_docs/signs/runs/r0/index.html")
    assert not stage.still_there(gone, house.config, house.workspace)


def test_the_page_needs_nothing_but_itself_and_leads_to_great_expectations_page(
    house: House, passed: StageResult
) -> None:
    page = house.page(passed)
    tags = Tags(page)
    assert "script" not in tags.names
    assert "&lt;script&gt;alert(&#39;x&#39;)" in page
    assert "default-src 'none'" in page
    assert re.findall(r"url\(|@import", page) == []
    assert tags.pictures
    assert all(one.startswith("data:image/jpeg;base64,") for one in tags.pictures)
    assert passed.report is not None
    every, link = tags.links
    folder = (house.workspace.root / passed.report).parent
    listed = (folder / every).read_text()
    assert '<a href="runs/r1/index.html">r1</a>' in listed
    theirs = (folder / link).read_text()
    assert "at least 10 images in each class" in theirs
    assert "default-src 'none'" in theirs
    assert re.findall(r"url\(|@import|https?:", theirs) == []
    tags = Tags(theirs)
    assert not {"script", "link", "img"} & {*tags.names}
    back, suite, *anchors = tags.links
    assert ((folder / link).parent / back).resolve() == (folder / every).resolve()
    assert ((folder / link).parent / suite).exists()
    assert all(anchor.startswith("#") for anchor in anchors)


def test_the_page_shows_samples_of_each_class_and_what_can_be_seen_of_rejected_files(
    house: House, passed: StageResult
) -> None:
    page = house.page(passed)
    assert '<div class="word">PASS</div>' in page
    samples = page[page.index("Accepted samples") : page.index("Rejected files")]
    assert samples.count("<img") == 2 * samples_per_class(2) == 16
    rejected = page[page.index("Rejected files") :]
    # Copies, from afar by their original, and the small one; not what has changed, is gone, or
    # lies outside of the source.
    shown = re.findall(r'<img src="data:[^"]+" alt="([^"]+)"', rejected)
    assert shown == ["a/copy.png", "a/far.png", "a/small.png"]
    assert "EMPTY: 14" in rejected
    assert "The first 12; the table rejected_images has all." in rejected
    assert rejected.count("why a/") == 12 + 2 + 3


def test_an_unmet_expectation_is_a_permanent_failure_in_one_line(house: House) -> None:
    limits = ValidationConfig(min_images_per_class=12, max_class_ratio=20)
    strict = House(house.spark, house.root, replace(house.config, validation=limits))
    result = strict.validate()
    assert result.status is StageStatus.FAILED
    assert result.permanent
    assert result.summary == (
        f"1 of 16 expectations not met: expect_images_per_class_to_be_between: observed {HOSTILE} "
        "with 11, wanted at least 12 images in each class"
    )
    assert result.outputs["failed"] == [
        {
            "expectation": "expect_images_per_class_to_be_between",
            "observed": f"{HOSTILE} with 11",
            "wanted": "at least 12 images in each class",
        }
    ]
    assert '<div class="word">FAIL</div>' in strict.page(result)


def test_leaking_pairs_stop_the_run_and_are_named_and_shown(house: House) -> None:
    one, other, *_ = CLASSES
    pair = {c.IMAGE_ID: one[c.IMAGE_ID], c.OTHER_IMAGE_ID: other[c.IMAGE_ID], c.DISTANCE: 3}
    snapshot = house.append(
        c.SPLIT_LEAKS, [{**pair, c.SPLIT: "train", c.OTHER_SPLIT: "test"}], "r1"
    )
    run = house.run("r1").folder
    before = run.read(Stage.INGEST)
    leaking = {**before.outputs, "split_leaks": 1, "split_leaks_snapshot": snapshot}
    house.run("leaking").folder.write(replace(before, outputs=leaking))
    result = house.validate("leaking")
    assert result.status is StageStatus.FAILED
    assert result.summary == (
        "1 of 16 expectations not met: expect_split_leaks_to_be_at_most: observed 1 pair: "
        "a/000.png (train) and a/001.png (test), wanted no pair of near-duplicates in different "
        "splits"
    )
    page = house.page(result)
    shown = page[page.index("Near-duplicates in different splits") : page.index("<h2>Classes")]
    assert shown.count("<img") == 2
    assert "3 of 64 bits differ" in shown


def test_drift_is_a_warning_beside_the_last_accepted_snapshot(
    house: House, passed: StageResult
) -> None:
    """Brighter pictures in every class: what a broken camera adds."""
    brighter = shades("a", 200, 26)
    brighter += [{**row, c.LABEL: HOSTILE} for row in shades("b", 226, 24)]
    ingested = house.ingested(brighter, halved(brighter), "r2", found=1_000)
    result = house.validate("r2")
    assert result.status is StageStatus.DONE
    assert (
        result.outputs["compared_with"] == house.run("r1").earlier(Stage.INGEST)["images_snapshot"]
    )
    warnings = [one["expectation"] for one in result.outputs["warnings"]]
    assert warnings == ["expect_drift_to_be_at_most(brightness)"]
    assert {one["expectation"]: one["met"] for one in result.outputs["drift"]} == {
        "expect_drift_to_be_at_most(label)": True,
        "expect_drift_to_be_at_most(brightness)": False,
        "expect_drift_to_be_at_most(size)": True,
    }
    assert result.summary.startswith(
        "1 of 16 expectations not met: warning: expect_drift_to_be_at_most(brightness): observed 0."
    )
    page = house.page(result)
    assert '<div class="word">PASS with 1 warning</div>' in page
    assert "Compared with the last accepted snapshot" in page
    # The same run again is compared with the same snapshot, though it has been accepted since.
    again = stage.inputs(house.config, house.workspace, house.run("r2"))
    assert again["reference"] == result.outputs["compared_with"] != ingested["images_snapshot"]


@pytest.mark.parametrize("in_memory", [True, False])
def test_the_pipelines_own_file_is_all_that_counts(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: bool
) -> None:
    """Great Expectations' own expectations find the same on pandas and on Spark."""
    monkeypatch.setattr(facts_module, "PANDAS_LIMIT", 23 if in_memory else 22)
    file = tmp_path / "own.yaml"
    file.write_text(
        """
expectations:
  - {type: expect_labels_to_match_set, labels: [a, b], severity: warn}
  - {type: expect_column_min_to_be_between, column: smaller_side, min_value: 17}
"""
    )
    own = House(
        house.spark,
        house.root,
        replace(house.config, validation=ValidationConfig(expectations=str(file))),
    )
    result = own.validate()
    assert result.summary == (
        "2 of 2 expectations not met: expect_column_min_to_be_between(smaller_side): observed 16, "
        "wanted smaller_side minimum value must be greater than or equal to 17.0; "
        "warning: expect_labels_to_match_set: observed "
        f"unknown {HOSTILE}; missing b, wanted the classes a, b"
    )
    assert result.outputs["suite"] == str(file)
    file.write_text("expectations: [{type: expect_nothing}]")
    with pytest.raises(ConfigError, match=r"own\.yaml: expectations\[0\]: type = 'expect_nothing'"):
        own.validate()


def test_facts_count_everything_that_is_asked_for(spark: SparkSession, house: House) -> None:
    rows = [
        image_row("a/1.png", picture(0)),
        image_row("a/2.png", picture(17, 20), width=20, height=4),
        image_row("b/3.png", picture(255), label=None, format=None, brightness=None),
    ]
    rows.append(dict(rows[0]))
    lone = House(spark, house.root.parent / "lone")
    lone.ingested(rows, {rows[0][c.IMAGE_ID]: c.TRAIN, rows[2][c.IMAGE_ID]: c.TEST})
    lake = lone.lake
    facts = image_facts(lake.read(spark, NAME, c.IMAGES), lake.read(spark, NAME, c.SPLITS))
    assert facts.counts == {
        Fact.IMAGE_IDS: {"": 3},
        Fact.LABEL: {"a": 3},
        Fact.UNLABELLED: {"": 1},
        Fact.TRAIN: {"a": 2},
        Fact.FORMAT: {"PNG": 3, "": 1},
        Fact.SMALLER_SIDE: {"16": 3, "4": 1},
        Fact.LARGER_SIDE: {"16": 3, "20": 1},
        Fact.BRIGHTNESS: {"0": 2, "16": 1},
        Fact.SIZE: {"8": 3, "6": 1},
    }
    assert facts.images == 4


def test_the_key_sees_the_expectations_and_the_reference(house: House) -> None:
    run = house.run("r1")
    key = input_key(stage.inputs(house.config, house.workspace, run))
    limits = replace(house.config, validation=ValidationConfig(max_class_ratio=5))
    assert input_key(stage.inputs(limits, house.workspace, run)) != key


def test_without_an_ingestion_there_is_nothing_to_validate(house: House) -> None:
    with pytest.raises(MissingInputError, match=r"^stage ingest has not run in run other: run it"):
        stage.inputs(house.config, house.workspace, house.run("other"))
