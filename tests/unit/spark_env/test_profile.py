"""Expectations that are written from what the images are like."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from darkroom.contract import ConfigError, DataError, ValidationConfig
from darkroom.stages.profile import check_target
from darkroom.validation.facts import Fact, Facts
from darkroom.validation.facts_expectation import FactsExpectation
from darkroom.validation.profile import profile, write_profile
from darkroom.validation.suites import expectations_of, read_suite
from tests.unit.spark_env.validation_facts import CONFIG, GOOD

WRITTEN = """\
# What is expected of the images of signs. Written by make profile from 40 accepted
# images; edit it: it is all that counts. severity: error stops the run, warn is shown.
# All expectations and their fields: docs/validation.md
profile:
  images_snapshot: 77
  images: 40
expectations:
  # found: 40 different images
  - type: expect_every_image_once
    severity: error
  # found: 0 images without a class
  - type: expect_unlabelled_images_to_be_at_most
    max_value: 0
    severity: error
  # found: 2 classes
  - type: expect_labels_to_match_set
    labels:
    - a
    - b
    severity: error
  # found: 10 to 30 images in 2 classes
  - type: expect_images_per_class_to_be_between
    min_value: 5
    severity: error
  # found: 1 or more train images in each class
  - type: expect_images_per_class_to_be_between
    min_value: 1
    split: train
    severity: error
  # found: 1 or more test images in each class
  - type: expect_images_per_class_to_be_between
    min_value: 1
    split: test
    severity: error
  # found: 3 times
  - type: expect_class_ratio_to_be_at_most
    max_value: 6.0
    severity: error
  # found: JPEG, PNG
  - type: expect_formats_to_be_in_set
    formats:
    - JPEG
    - PNG
    severity: error
  # found: 16 to 1,000 pixels
  - type: expect_resolution_to_be_between
    min_side: 16
    max_side: 2000
    severity: error
  # found: 25 % of the files
  - type: expect_rejected_ratio_to_be_at_most
    max_value: 0.5
    severity: error
  # found: 10 % of the files
  - type: expect_duplicate_ratio_to_be_at_most
    max_value: 0.2
    severity: warn
  # found: 0 files
  - type: expect_label_conflicts_to_be_at_most
    max_value: 0
    severity: warn
  # found: 0 pairs
  - type: expect_split_leaks_to_be_at_most
    max_value: 0
    severity: error
  # found: 5 % of the images
  - type: expect_excluded_ratio_to_be_at_most
    max_value: 0.1
    severity: warn
  - type: expect_drift_to_be_at_most
    of: label
    max_value: 0.05
    severity: warn
"""


def test_a_profile_is_a_file_that_people_can_read(tmp_path: Path) -> None:
    file = tmp_path / "new" / "signs.yaml"
    write_profile(profile(GOOD, CONFIG), GOOD, CONFIG, file, 77)
    assert file.read_text().startswith(WRITTEN)
    assert file.read_text().count("expect_drift_to_be_at_most") == 3


HOSTILE = ["yes", "1", "a: b", "# no comment", "- x", "naïve ⚑", "'", "\n", "", "{x}"]


def test_what_was_profiled_meets_its_own_profile_whatever_the_classes_are_called(
    tmp_path: Path,
) -> None:
    facts = GOOD.but(
        {
            Fact.LABEL: dict.fromkeys(HOSTILE, 4),
            Fact.IMAGE_IDS: {"": 40},
            Fact.TRAIN: dict.fromkeys(HOSTILE, 3),
            Fact.TEST: dict.fromkeys(HOSTILE, 1),
            Fact.REJECTED: {"EMPTY": 3, "LABEL_CONFLICT": 2},
        }
    )
    file = tmp_path / "signs.yaml"
    write_profile(profile(facts, CONFIG), facts, CONFIG, file, 77)
    expectations = expectations_of(read_suite(file))
    assert len(expectations) == 17
    own = [one for one in expectations if isinstance(one, FactsExpectation)]
    assert len(own) == len(expectations)
    assert [one.wanted() for one in own if not one.judge(facts).met] == []


@pytest.mark.parametrize(
    ("found", "limit"),
    [({}, 0.01), ({"DUPLICATE": 1}, 0.034), ({"DUPLICATE": 60}, 1.0)],
)
def test_limits_on_shares_leave_room(found: dict[str, int], limit: float) -> None:
    facts = GOOD.but({Fact.REJECTED: found})
    entries = {one.entry.type: one.entry.arguments for one in profile(facts, CONFIG)}
    assert entries["expect_duplicate_ratio_to_be_at_most"] == {"max_value": limit}


def test_without_a_class_there_is_nothing_to_profile() -> None:
    with pytest.raises(DataError) as error:
        profile(Facts({Fact.UNLABELLED: {"": 3}}), CONFIG)
    assert str(error.value) == (
        "pipeline signs has no accepted image with a class: ingest some first"
    )


def test_a_file_that_people_may_have_edited_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = Path("config/expectations/signs.yaml")
    assert check_target(CONFIG, None, overwrite=False) == file
    file.parent.mkdir(parents=True)
    file.write_text("edited")
    with pytest.raises(ConfigError) as error:
        check_target(CONFIG, None, overwrite=False)
    assert str(error.value) == (
        "--output = 'config/expectations/signs.yaml': it is there, and may have been edited: "
        "give --overwrite, or another --output"
    )
    assert check_target(CONFIG, None, overwrite=True) == file
    assert check_target(CONFIG, Path("other.yaml"), overwrite=False) == Path("other.yaml")
    own = replace(CONFIG, validation=ValidationConfig(expectations="mine.yaml"))
    assert check_target(own, None, overwrite=False) == Path("mine.yaml")
