"""Every expectation, met and not met, on facts that are known."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from darkroom.contract import GateConfig, PipelineConfig, SourceConfig, ValidationConfig
from darkroom.validation.facts import source_facts
from darkroom.validation.suites import Facts
from darkroom.validation.validator import Failure, Outcome, validate_facts

CONFIG = PipelineConfig(
    name="signs",
    function="signs_function",
    view="signs_view",
    source=SourceConfig(path="signs", min_side=16),
    gate=GateConfig(thresholds={"accuracy": 0.5}),
    validation=ValidationConfig(
        min_images_per_class=10, max_rejected_share=0.25, max_class_ratio=3
    ),
)
FORMATS = "BMP, GIF, JPEG, MPO, PNG, PPM, TIFF, WEBP"

IMAGES = pd.DataFrame(
    {
        "image_id": ["1", "2", "3", "4"],
        "label": ["a", "a", "b", "b"],
        "format": ["JPEG", "PNG", "JPEG", "GIF"],
        "smaller_side": [16, 20, 400, 99],
    }
)
CLASSES = pd.DataFrame({"label": ["a", "b"], "images": [30, 10], "train": [29, 1], "test": [1, 9]})
SOURCE = pd.DataFrame({"rejected_share": [0.25], "class_ratio": [3.0]})
GOOD = Facts(IMAGES, CLASSES, SOURCE)


def outcome(facts: Facts, tmp_path: Path) -> Outcome:
    return validate_facts(facts, CONFIG, "run 1", tmp_path / "docs")


def test_facts_at_every_limit_pass_and_are_documented(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    result = outcome(GOOD, tmp_path)
    assert result == Outcome(11, (), tmp_path / "docs/index.html")
    assert "expectations/classes.html" in result.index.read_text()
    # Nothing but the Data Docs, and no progress bars.
    assert os.listdir(tmp_path) == ["home", "docs"] or os.listdir(tmp_path) == ["docs", "home"]
    assert os.listdir(home) == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("facts", "failures"),
    [
        (
            replace(GOOD, images=IMAGES.iloc[:0]),
            [
                ("expect_table_row_count_to_be_between", "0", "at least 1 image"),
                ("expect_column_min_to_be_between(smaller_side)", "None", "at least 16 pixels"),
            ],
        ),
        (
            replace(GOOD, images=IMAGES.assign(label=["a", None, "b", "b"])),
            [
                (
                    "expect_column_values_to_not_be_null(label)",
                    "1 of 4 values (None)",
                    "a label for each image",
                )
            ],
        ),
        (
            replace(GOOD, images=IMAGES.assign(image_id=["1", "2", None, "4"])),
            [
                (
                    "expect_column_values_to_not_be_null(image_id)",
                    "1 of 4 values (None)",
                    "an id for each image",
                )
            ],
        ),
        (
            replace(GOOD, images=IMAGES.assign(image_id=["1", "2", "2", "4"])),
            [
                (
                    "expect_column_values_to_be_unique(image_id)",
                    "2 of 4 values (2)",
                    "each image once",
                )
            ],
        ),
        (
            replace(GOOD, images=IMAGES.assign(smaller_side=[16, 15, 99, 99])),
            [("expect_column_min_to_be_between(smaller_side)", "15", "at least 16 pixels")],
        ),
        (
            replace(GOOD, images=IMAGES.assign(format=["JPEG", "TGA", "PNG", "TGA"])),
            [
                (
                    "expect_column_values_to_be_in_set(format)",
                    "2 of 4 values (TGA)",
                    f"one of {FORMATS}",
                )
            ],
        ),
        (
            replace(GOOD, classes=CLASSES.assign(images=[30, 9])),
            [
                (
                    "expect_column_values_to_be_between(images)",
                    "b with 9",
                    "at least 10 images in each class",
                )
            ],
        ),
        (
            replace(GOOD, classes=CLASSES.assign(train=[0, 0])),
            [
                (
                    "expect_column_values_to_be_between(train)",
                    "a with 0, b with 0",
                    "at least 1 training image in each class",
                )
            ],
        ),
        (
            replace(GOOD, classes=CLASSES.assign(test=[1, 0])),
            [
                (
                    "expect_column_values_to_be_between(test)",
                    "b with 0",
                    "at least 1 test image in each class",
                )
            ],
        ),
        (
            replace(GOOD, source=SOURCE.assign(rejected_share=[0.2512])),
            [("expect_column_max_to_be_between(rejected_share)", "0.2512", "at most 0.25")],
        ),
        (
            replace(GOOD, source=SOURCE.assign(class_ratio=[3.5])),
            [("expect_column_max_to_be_between(class_ratio)", "3.5", "at most 3")],
        ),
    ],
)
def test_each_expectation_that_is_not_met_is_named(
    tmp_path: Path, facts: Facts, failures: list[tuple[str, str, str]]
) -> None:
    result = outcome(facts, tmp_path)
    assert result.failures == tuple(Failure(*failure) for failure in failures)
    assert result.index.is_file()


def test_an_expectation_that_can_not_be_evaluated_is_no_pass(tmp_path: Path) -> None:
    broken = replace(GOOD, images=IMAGES.drop(columns="format"))
    with pytest.raises(RuntimeError, match=r'The column "format" in BatchData does not') as one:
        outcome(broken, tmp_path)
    named = "expect_column_values_to_be_in_set(format) could not be evaluated: "
    assert str(one.value).startswith(named)


def test_rejected_files_of_earlier_runs_count() -> None:
    ingested = {"found": 40, "rejected": 0, "refused": {"EMPTY": 3, "CORRUPT": 1}}
    facts = source_facts(ingested, CLASSES)
    assert facts.to_dict("records") == [{"rejected_share": 0.1, "class_ratio": 3.0}]
