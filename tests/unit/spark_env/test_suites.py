"""Files of expectations: what they may say, and what a mistake in one is answered with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from darkroom.contract import ConfigError, ValidationConfig
from darkroom.validation.facts_expectation import FactsExpectation
from darkroom.validation.suites import (
    FOLDER,
    Severity,
    built_in,
    columns_of,
    default_file,
    expectations_of,
    read_suite,
    suite_of,
)
from tests.unit.spark_env.validation_facts import CONFIG

GOOD = """
profile: {images_snapshot: 5}
expectations:
  - type: expect_images_per_class_to_be_between
    min_value: 30
    split: train
    severity: warn
    notes: fewer were not enough in spring
  - type: expect_column_values_to_be_between
    column: sharpness
    min_value: 4
    mostly: 0.99
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(text: str, file: Path = Path("signs.yaml")) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_a_file_says_type_severity_notes_and_the_expectations_own_fields(here: Path) -> None:
    suite = read_suite(write(GOOD))
    assert [(one.type, one.severity, one.notes) for one in suite.entries] == [
        (
            "expect_images_per_class_to_be_between",
            Severity.WARN,
            "fewer were not enough in spring",
        ),
        ("expect_column_values_to_be_between", Severity.ERROR, None),
    ]
    assert suite.entries[0].arguments == {"min_value": 30, "split": "train"}
    assert columns_of(suite) == ["sharpness"]
    own, theirs = expectations_of(suite)
    assert isinstance(own, FactsExpectation)
    assert own.wanted() == "at least 30 train images in each class"
    assert (own.severity.value, theirs.severity.value) == ("warning", "critical")


def test_the_pipelines_own_file_comes_before_the_built_in_suite(here: Path) -> None:
    assert suite_of(CONFIG) == built_in(CONFIG)
    assert suite_of(CONFIG).origin == "built-in"
    write(GOOD, default_file("signs"))
    assert suite_of(CONFIG).origin == "config/expectations/signs.yaml"
    write(GOOD, Path("elsewhere.yaml"))
    elsewhere = replace(CONFIG, validation=ValidationConfig(expectations="elsewhere.yaml"))
    assert suite_of(elsewhere).origin == "elsewhere.yaml"


COMMITTED = sorted((Path(__file__).resolve().parents[3] / FOLDER).glob("*.yaml"))


@pytest.mark.parametrize("file", COMMITTED, ids=lambda file: file.stem)
def test_the_files_of_this_repository_can_be_used(file: Path) -> None:
    assert (file.parents[1] / "pipelines" / file.name).exists()
    assert len(expectations_of(read_suite(file))) >= len(built_in(CONFIG).entries)


def test_the_fingerprint_is_of_what_is_expected_and_nothing_else(here: Path) -> None:
    first = read_suite(write(GOOD)).fingerprint
    assert read_suite(write(f"# edited\n{GOOD}".replace("in spring", "ever"))).fingerprint == first
    assert read_suite(write(GOOD.replace("warn", "error"))).fingerprint != first
    assert read_suite(write(GOOD.replace("30", "31"))).fingerprint != first


def entry(text: str) -> str:
    return f"expectations:\n  - {text}\n"


IMAGES_PER_CLASS = "signs.yaml: expectations[0] expect_images_per_class_to_be_between"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "expectations: [",
            "expectations = 'signs.yaml': not valid YAML: while parsing a flow node expected the "
            "node content, but found '<stream end>' in \"<unicode string>\", line 1, column 16: "
            "expectations: [ ^",
        ),
        (
            "- 1",
            "expectations = 'signs.yaml': the file must hold a mapping with expectations",
        ),
        (
            "expectation: []",
            "signs.yaml: expectation = []: there is no such field, did you mean expectations?",
        ),
        (
            "expectations:",
            "signs.yaml: expectations = None: give a list of at least one expectation",
        ),
        (
            entry("expect_every_image_once"),
            "signs.yaml: expectations[0] = 'expect_every_image_once': give a mapping with the "
            "expectation's type and fields",
        ),
        (
            entry("min_value: 3"),
            "signs.yaml: expectations[0]: type = None: name the expectation's type",
        ),
        (
            entry("{type: expect_images_per_clas_to_be_between, min_value: 3}"),
            "signs.yaml: expectations[0]: type = 'expect_images_per_clas_to_be_between': there is "
            "no such expectation, did you mean expect_images_per_class_to_be_between or "
            "expect_resolution_to_be_between or expect_column_sum_to_be_between?",
        ),
        (
            entry("{type: nothing like it}"),
            "signs.yaml: expectations[0]: type = 'nothing like it': there is no such expectation, "
            "docs/validation.md lists those that there are",
        ),
        (
            entry("{type: expect_images_per_class_to_be_between, min_valu: 3}"),
            f"{IMAGES_PER_CLASS}: min_valu = 3: there is no such field, did you mean min_value "
            "or max_value?",
        ),
        (
            entry("{type: expect_every_image_once, most: 3}"),
            "signs.yaml: expectations[0] expect_every_image_once: most = 3: it has no fields",
        ),
        (
            entry("{type: expect_images_per_class_to_be_between, min_value: 3, severity: fatal}"),
            f"{IMAGES_PER_CLASS}: severity = 'fatal': there is no such choice, known are error, "
            "warn",
        ),
        (
            entry("{type: expect_images_per_class_to_be_between, min_value: '3'}"),
            f"{IMAGES_PER_CLASS}: min_value = '3': give a whole number",
        ),
        (
            entry("{type: expect_images_per_class_to_be_between, min_value: 2.5}"),
            f"{IMAGES_PER_CLASS}: min_value = 2.5: give a whole number",
        ),
        (
            entry("{type: expect_images_per_class_to_be_between, min_value: -1}"),
            f"{IMAGES_PER_CLASS}: min_value = -1: must be at least 0",
        ),
        (
            entry("{type: expect_images_per_class_to_be_between, split: exam}"),
            f"{IMAGES_PER_CLASS}: split = 'exam': give train, validation or test",
        ),
        (
            entry("{type: expect_images_per_class_to_be_between, min_value: 9, max_value: 3}"),
            f"{IMAGES_PER_CLASS}: max_value = 3: must be at least min_value = 9",
        ),
        (
            entry("{type: expect_resolution_to_be_between, min_side: 9, max_side: 3}"),
            "signs.yaml: expectations[0] expect_resolution_to_be_between: max_side = 3: "
            "must be at least min_side = 9",
        ),
        (
            entry("{type: expect_class_ratio_to_be_at_most}"),
            "signs.yaml: expectations[0] expect_class_ratio_to_be_at_most: max_value = None: "
            "this field is required",
        ),
        (
            entry("{type: expect_rejected_ratio_to_be_at_most, max_value: true}"),
            "signs.yaml: expectations[0] expect_rejected_ratio_to_be_at_most: max_value = True: "
            "give a number",
        ),
        (
            entry("{type: expect_rejected_ratio_to_be_at_most, max_value: 1.5}"),
            "signs.yaml: expectations[0] expect_rejected_ratio_to_be_at_most: max_value = 1.5: "
            "must be at most 1",
        ),
        (
            entry("{type: expect_labels_to_match_set, labels: [a, a]}"),
            "signs.yaml: expectations[0] expect_labels_to_match_set: labels = ['a', 'a']: "
            "names something twice: remove one",
        ),
        (
            entry("{type: expect_drift_to_be_at_most, of: colour}"),
            "signs.yaml: expectations[0] expect_drift_to_be_at_most: of = 'colour': "
            "give label, brightness or size",
        ),
        (
            entry("{type: expect_column_values_to_not_be_null, column: brightnes}"),
            "signs.yaml: expectations[0] expect_column_values_to_not_be_null: column = "
            "'brightnes': there is no such column, did you mean brightness or height?",
        ),
        (
            entry("{type: expect_column_values_to_not_be_null, column: image}"),
            "signs.yaml: expectations[0] expect_column_values_to_not_be_null: column = "
            "'image': there is no such column, did you mean image_id or animated?",
        ),
    ],
)
def test_a_mistake_is_one_line_with_file_expectation_field_value_and_remedy(
    here: Path, text: str, message: str
) -> None:
    file = write(text)
    with pytest.raises(ConfigError) as error:
        expectations_of(read_suite(file))
    assert str(error.value) == message
    assert "\n" not in str(error.value)


def test_a_file_that_is_named_must_be_there(here: Path) -> None:
    config = replace(CONFIG, validation=ValidationConfig(expectations="missing.yaml"))
    with pytest.raises(ConfigError) as error:
        suite_of(config)
    assert str(error.value) == (
        "validation.expectations = 'missing.yaml': there is no such file: correct the path, or "
        "write one with make profile"
    )
    with pytest.raises(ConfigError, match=r"^validation.expectations = ' ': give the path of a"):
        ValidationConfig(expectations=" ")
