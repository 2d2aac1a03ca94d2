"""The expectations on facts that are known, and what Great Expectations makes of them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from darkroom.contract import ConfigError
from darkroom.validation.accepted import Accepted, compared
from darkroom.validation.facts import Fact, Facts, source_facts
from darkroom.validation.facts_expectation import FactsExpectation
from darkroom.validation.suites import Entry, Severity, Suite, built_in, expectations_of
from darkroom.validation.validator import Outcome, validate_facts
from tests.unit.spark_env.validation_facts import CONFIG, GOOD

HOSTILE = "<script>alert('x')</script>$words"
Changes = Mapping[Fact, Mapping[str, int]]


def no_metadata(columns: Sequence[str]) -> pd.DataFrame:
    raise AssertionError(f"nothing names a column, but {columns} are asked for")


def outcome(facts: Facts, docs: Path, suite: Suite | None = None) -> Outcome:
    return validate_facts(suite or built_in(CONFIG), facts, no_metadata, "run: 1", docs)


def test_facts_at_every_limit_pass_and_are_documented(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    result = outcome(GOOD, tmp_path / "docs")
    assert [one for one in result.checked if not one.met] == []
    assert [(one.expectation, one.observed) for one in result.checked] == [
        ("expect_every_image_once", "40 rows, 40 different images"),
        ("expect_unlabelled_images_to_be_at_most", "0 images"),
        ("expect_images_per_class_to_be_between", "10 to 30 in each of 2 classes"),
        ("expect_images_per_class_to_be_between(train)", "1 to 27 in each of 2 classes"),
        ("expect_images_per_class_to_be_between(test)", "1 to 9 in each of 2 classes"),
        ("expect_class_ratio_to_be_at_most", "3 times (a with 30, b with 10)"),
        ("expect_formats_to_be_in_set", "39 images of JPEG, 1 image of PNG"),
        ("expect_resolution_to_be_between", "16 to 1,000 pixels"),
        ("expect_rejected_ratio_to_be_at_most", "25 % (15 of 60 files)"),
        ("expect_split_leaks_to_be_at_most", "0 pairs"),
        ("expect_excluded_ratio_to_be_at_most", "5 % (2 of 40 images)"),
        ("expect_label_conflicts_to_be_at_most", "0 files"),
        ("expect_duplicate_ratio_to_be_at_most", "10 % (6 of 60 files)"),
        ("expect_drift_to_be_at_most(label)", "no snapshot was accepted before"),
        ("expect_drift_to_be_at_most(brightness)", "no snapshot was accepted before"),
        ("expect_drift_to_be_at_most(size)", "no snapshot was accepted before"),
    ]
    page = result.pages["facts"].read_text()
    assert "the largest class with at most 3 times the images of the smallest" in page
    assert "3 times (a with 30, b with 10)" in page
    # Nothing but the Data Docs, and no progress bars.
    assert sorted(os.listdir(tmp_path)) == ["docs", "home"]
    assert os.listdir(home) == []
    assert capfd.readouterr() == ("", "")


BAD: Changes = {
    Fact.IMAGE_IDS: {"": 39},
    Fact.UNLABELLED: {"": 2},
    Fact.LABEL: {"a": 37, HOSTILE: 3},
    Fact.TRAIN: {"a": 30},
    Fact.TEST: {HOSTILE: 3},
    Fact.EXCLUDED: {"a": 7},
    Fact.FORMAT: {"PCX": 2, "PNG": 38},
    Fact.SMALLER_SIDE: {"9": 2, "15": 1, "20": 37},
    Fact.REJECTED: {"EMPTY": 9, "DUPLICATE": 7, "LABEL_CONFLICT": 2},
    Fact.LEAKS: {"": 2},
    Fact.LEAK: {"a/1.png (train) and a/2.png (test)": 3, "a/1.png (train) and a/3.png (test)": 4},
    Fact.LABEL_BEFORE: {"a": 500, "b": 500},
    Fact.BRIGHTNESS_BEFORE: {"128": 1_000},
    Fact.SIZE_BEFORE: {"8": 25, "18": 975},
}


def test_each_expectation_that_is_not_met_says_what_it_found(tmp_path: Path) -> None:
    result = outcome(GOOD.but(BAD), tmp_path / "docs")
    assert [str(one) for one in result.unmet(Severity.ERROR)] == [
        "expect_every_image_once: observed 42 rows, 39 different images, "
        "wanted at least one image, and each one once",
        "expect_unlabelled_images_to_be_at_most: observed 2 images, "
        "wanted no image without a label",
        f"expect_images_per_class_to_be_between: observed {HOSTILE} with 3, "
        "wanted at least 10 images in each class",
        f"expect_images_per_class_to_be_between(train): observed {HOSTILE} with 0, "
        "wanted at least 1 train image in each class",
        "expect_images_per_class_to_be_between(test): observed a with 0, "
        "wanted at least 1 test image in each class",
        f"expect_class_ratio_to_be_at_most: observed 12.33 times (a with 37, {HOSTILE} with 3), "
        "wanted the largest class with at most 3 times the images of the smallest",
        "expect_formats_to_be_in_set: observed 2 images of PCX, wanted every image of format "
        "BMP or GIF or JPEG or MPO or PNG or PPM or TIFF or WEBP",
        "expect_resolution_to_be_between: observed 3 images below, the smallest with 9 pixels, "
        "wanted at least 16 pixels on each side of every image",
        "expect_rejected_ratio_to_be_at_most: observed 30 % (18 of 60 files), "
        "wanted at most 25 % of the files rejected",
        "expect_split_leaks_to_be_at_most: observed 2 pairs: a/1.png (train) and a/2.png (test), "
        "a/1.png (train) and a/3.png (test), "
        "wanted no pair of near-duplicates in different splits",
    ]
    assert [str(one) for one in result.unmet(Severity.WARN)] == [
        "expect_excluded_ratio_to_be_at_most: observed 17.5 % (7 of 40 images), "
        "wanted at most 5 % of the images excluded from all splits",
        "expect_label_conflicts_to_be_at_most: observed 2 files, "
        "wanted no file with the bytes of a file of another class",
        "expect_duplicate_ratio_to_be_at_most: observed 11.67 % (7 of 60 files), "
        "wanted at most 10 % of the files duplicates of others",
        "expect_drift_to_be_at_most(label): observed 0.1733 bits; the limit for 40 images against "
        "1,000 is 0.1466, wanted the mix of classes at most 0.05 bits from that of the last "
        "accepted snapshot",
        "expect_drift_to_be_at_most(brightness): observed 1.0000 bits; the limit for 40 images "
        "against 1,000 is 0.1527, wanted the brightness at most 0.05 bits from that of the last "
        "accepted snapshot",
    ]
    page = result.pages["facts"].read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(" in page
    assert len(re.findall(r">\s*not met\s*<", page)) == 15


@pytest.mark.parametrize(
    ("kind", "arguments", "changes", "met", "observed", "wanted"),
    [
        (
            "expect_images_per_class_to_be_between",
            {"min_value": 10, "max_value": 29},
            {},
            False,
            "a with 30",
            "10 to 29 images in each class",
        ),
        (
            "expect_images_per_class_to_be_between",
            {"max_value": 1},
            {Fact.LABEL: {f"class {n:02}": 2 for n in range(12)}},
            False,
            ", ".join(f"class {n:02} with 2" for n in range(10)) + " and 2 more",
            "at most 1 image in each class",
        ),
        (
            "expect_images_per_class_to_be_between",
            {"min_value": 1},
            {Fact.LABEL: {}},
            False,
            "no class",
            "at least 1 image in each class",
        ),
        (
            "expect_class_ratio_to_be_at_most",
            {"max_value": 5},
            {Fact.LABEL: {"a": 5, "b": 0}},
            False,
            "b has no image",
            "the largest class with at most 5 times the images of the smallest",
        ),
        (
            "expect_labels_to_match_set",
            {"labels": ["a", "b"]},
            {},
            True,
            "2 classes",
            "the classes a, b",
        ),
        (
            "expect_labels_to_match_set",
            {"labels": ["b", "c"]},
            {},
            False,
            "unknown a; missing c",
            "the classes b, c",
        ),
        (
            "expect_labels_to_match_set",
            {"labels": ["a", "b", "c"], "may_lack": True},
            {},
            True,
            "2 classes",
            "no classes but a, b, c",
        ),
        (
            "expect_resolution_to_be_between",
            {"min_side": 10, "max_side": 999},
            {},
            False,
            "39 images above, the largest with 1,000 pixels",
            "10 to 999 pixels on each side of every image",
        ),
        (
            "expect_rejected_ratio_to_be_at_most",
            {"max_value": 1},
            {Fact.FOUND: {"": 0}, Fact.REJECTED: {}},
            True,
            "100 % (0 of 0 files)",
            "at most 100 % of the files rejected",
        ),
        (
            "expect_split_leaks_to_be_at_most",
            {"max_value": 60},
            {Fact.LEAKS: {"": 60}, Fact.LEAK: {"x (train) and y (test)": 1}},
            True,
            "60 pairs: x (train) and y (test) and 59 more",
            "at most 60 pairs of near-duplicates in different splits",
        ),
        (
            "expect_drift_to_be_at_most",
            {"of": "size", "max_value": 0.5},
            {Fact.SIZE: {}, Fact.SIZE_BEFORE: {"3": 5}},
            False,
            "no image",
            "the size at most 0.5 bits from that of the last accepted snapshot",
        ),
        (
            "expect_every_image_once",
            {},
            {Fact.LABEL: {}, Fact.IMAGE_IDS: {"": 0}},
            False,
            "0 rows, 0 different images",
            "at least one image, and each one once",
        ),
    ],
)
def test_other_limits_than_the_built_in_ones(
    kind: str,
    arguments: dict[str, Any],
    changes: Changes,
    met: bool,
    observed: str,
    wanted: str,
) -> None:
    (expectation,) = expectations_of(Suite(entries=(Entry(type=kind, arguments=arguments),)))
    assert isinstance(expectation, FactsExpectation)
    judgement = expectation.judge(GOOD.but(changes))
    assert (judgement.met, judgement.observed) == (met, observed)
    assert expectation.wanted() == wanted


METADATA = pd.DataFrame({"format": ["JPEG", "<b>PNG"], "brightness": [10.0, 30.0]})


def test_great_expectations_own_ones_look_at_the_columns_that_they_name(tmp_path: Path) -> None:
    suite = Suite(
        entries=(
            Entry(
                type="expect_column_values_to_be_in_set",
                arguments={"column": "format", "value_set": ["JPEG"]},
                severity=Severity.WARN,
                notes="others are slow to decode",
            ),
            Entry(
                type="expect_column_mean_to_be_between",
                arguments={"column": "brightness", "min_value": 10, "max_value": 20},
            ),
        )
    )
    asked: list[Sequence[str]] = []

    def metadata(columns: Sequence[str]) -> pd.DataFrame:
        asked.append(columns)
        return METADATA

    result = validate_facts(suite, GOOD, metadata, "run", tmp_path)
    assert asked == [["brightness", "format"]]
    assert list(result.pages) == ["images"]
    assert [str(one) for one in result.checked] == [
        "expect_column_values_to_be_in_set(format): observed 1 of 2 values against it (<b>PNG), "
        "wanted format values must belong to this set: JPEG",
        "expect_column_mean_to_be_between(brightness): observed 20, wanted brightness mean must be "
        "greater than or equal to 10.0 and less than or equal to 20.0",
    ]
    assert [one.met for one in result.checked] == [False, True]
    assert result.checked[0].notes == "others are slow to decode"
    page = result.pages["images"].read_text()
    assert "&lt;b&gt;PNG" in page
    assert "<b>PNG" not in page


def test_an_expectation_that_does_not_fit_its_column_is_no_pass(tmp_path: Path) -> None:
    entry = Entry(
        type="expect_column_mean_to_be_between", arguments={"column": "format", "min_value": 1}
    )
    with pytest.raises(ConfigError) as error:
        validate_facts(
            Suite(entries=(entry,), origin="signs.yaml"), GOOD, lambda _: METADATA, "run", tmp_path
        )
    assert str(error.value).startswith(
        "signs.yaml: expectations[0] expect_column_mean_to_be_between = "
        "{'column': 'format', 'min_value': 1}: it could not be evaluated, does it fit the column? "
    )


def test_pages_of_earlier_runs_stay(tmp_path: Path) -> None:
    pages = [
        validate_facts(built_in(CONFIG), GOOD, no_metadata, name, tmp_path).pages["facts"]
        for name in ("../../escape", "second")
    ]
    assert all(page.is_file() and page.is_relative_to(tmp_path) for page in pages)
    assert not (tmp_path / "index.html").exists()


def test_rejected_files_of_earlier_runs_count() -> None:
    ingested = {"found": 40, "rejected": 0, "refused": {"EMPTY": 3, "CORRUPT": 1}}
    facts = Facts(source_facts(ingested))
    assert (facts.total(Fact.FOUND), facts.total(Fact.REJECTED)) == (40, 4)


def test_facts_survive_the_frame() -> None:
    facts = GOOD.but(BAD)
    assert Facts.of_frame(facts.frame()) == facts


def test_a_snapshot_is_compared_with_the_one_accepted_before_it(tmp_path: Path) -> None:
    accepted = Accepted(tmp_path / "accepted")
    assert accepted.reference(11) is None
    accepted.add(11, GOOD)
    # Validated once more it has no other reference than the first time.
    assert accepted.reference(11) is None
    accepted.add(12, GOOD.but({Fact.LABEL: {"c": 5}}))
    accepted.add(11, GOOD.but({Fact.LABEL: {"d": 5}}))
    for snapshot, expected in ((12, 11), (13, 12), (11, None)):
        found = accepted.reference(snapshot)
        assert (found.snapshot if found else None) == expected
    before = compared(GOOD, accepted.reference(12)).of(Fact.LABEL_BEFORE)
    assert before == {"a": 30, "b": 10}
    assert compared(GOOD, None) == GOOD
