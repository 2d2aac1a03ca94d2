"""Validation of what was really ingested."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
from pyspark.sql import SparkSession

from darkroom.contract import MissingInputError, Stage, StageStatus, ValidationConfig
from darkroom.contract import columns as c
from darkroom.stages import validate as stage
from darkroom.stages.run import input_key
from darkroom.validation import facts as facts_module
from tests.integration.spark_env.test_ingest import Place
from tests.unit.spark_env.pictures import photos

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def ingested(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Place:
    root = tmp_path_factory.mktemp("validate")
    place = Place(spark, root, {**photos("a", 30, 100), **photos("b", 20, 200)})
    run = place.run("r1")
    run.folder.write(place.ingest("r1"))
    return place


@pytest.fixture
def place(ingested: Place) -> Place:
    """The one ingestion, with a configuration and a result that a test may change."""
    return copy.copy(ingested)


def expecting(place: Place, limits: ValidationConfig) -> Place:
    place.config = replace(place.config, validation=limits)
    return place


@pytest.mark.parametrize("in_memory", [True, False])
def test_good_images_pass_with_data_docs(
    place: Place, monkeypatch: pytest.MonkeyPatch, in_memory: bool
) -> None:
    monkeypatch.setattr(facts_module, "PANDAS_LIMIT", 50 if in_memory else 49)
    result = stage.validate(place.spark, place.config, place.workspace, place.run("r1"))
    assert result.status is StageStatus.DONE
    assert result.summary == "all 11 expectations met"
    assert result.outputs == {"expectations": 11, "failed": []}
    assert result.report == "data_docs/signs/index.html"
    assert (place.workspace.root / result.report).is_file()
    assert stage.still_there(result, place.config, place.workspace)
    (place.workspace.root / result.report).unlink()
    assert not stage.still_there(result, place.config, place.workspace)


def test_an_unmet_expectation_is_a_permanent_failure_in_one_line(place: Place) -> None:
    expecting(place, ValidationConfig(min_images_per_class=21, max_class_ratio=1.4))
    result = stage.validate(place.spark, place.config, place.workspace, place.run("r1"))
    assert result.status is StageStatus.FAILED
    assert result.permanent
    assert result.summary == (
        "2 of 11 expectations not met: "
        "expect_column_values_to_be_between(images): observed b with 20, "
        "wanted at least 21 images in each class; "
        "expect_column_max_to_be_between(class_ratio): observed 1.5, wanted at most 1.4"
    )
    assert result.outputs["failed"][0] == {
        "expectation": "expect_column_values_to_be_between(images)",
        "observed": "b with 20",
        "expected": "at least 21 images in each class",
    }
    assert result.report is not None
    assert (place.workspace.root / result.report).is_file()


def test_spark_finds_what_pandas_finds(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same images twice: what two runs at once would leave behind."""
    run = place.run("r2")
    before = place.run("r1").folder.read(Stage.INGEST)
    twice = place.lake.read(place.spark, "signs", c.IMAGES, before.outputs["images_snapshot"])
    commit = place.lake.append(twice, "signs", c.IMAGES, run_id="r2", stage=Stage.INGEST)
    outputs = {**before.outputs, "images_snapshot": commit.snapshot_id}
    run.folder.write(replace(before, outputs=outputs))
    for limit in (100, 99):
        monkeypatch.setattr(facts_module, "PANDAS_LIMIT", limit)
        result = stage.validate(place.spark, place.config, place.workspace, run)
        assert result.summary.startswith(
            "1 of 11 expectations not met: expect_column_values_to_be_unique(image_id): "
            "observed 100 of 100 values ("
        )
        assert result.summary.endswith("), wanted each image once")
    # A run looks at its own snapshot, not at the latest.
    own = stage.validate(place.spark, place.config, place.workspace, place.run("r1"))
    assert own.status is StageStatus.DONE


def test_the_key_sees_the_limits(place: Place) -> None:
    run = place.run("r1")
    key = input_key(stage.inputs(place.config, place.workspace, run))
    expecting(place, ValidationConfig(max_class_ratio=5))
    assert input_key(stage.inputs(place.config, place.workspace, run)) != key


def test_without_an_ingestion_there_is_nothing_to_validate(place: Place) -> None:
    run = place.run("other")
    with pytest.raises(MissingInputError, match=r"^stage ingest has not run in run other: run it"):
        stage.inputs(place.config, place.workspace, run)
