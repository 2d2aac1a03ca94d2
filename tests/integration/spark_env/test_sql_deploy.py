"""The stage deploy: a champion becomes a function, or nothing is published."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.errors import PythonException
from pyspark.sql import SparkSession

from darkroom.contract import (
    ConfigError,
    GateFailedError,
    MissingInputError,
    StageStatus,
    Workspace,
)
from darkroom.contract import columns as c
from darkroom.lake.housekeeping import forget
from darkroom.registry.ledger import Ledger
from darkroom.sql.deployments import deployed
from darkroom.stages.deploy import check_answers, deploy, inputs, smoke_query, still_there
from tests.integration.spark_env.colour_model import (
    LABELS,
    config,
    lambda_package,
    picture,
    probability_of_best,
)
from tests.integration.spark_env.sql_house import IMAGES, House

pytest_plugins = (
    "tests.integration.spark_env.mlflow_server",
    "tests.integration.spark_env.sql_house",
)
pytestmark = pytest.mark.integration


def test_deploy_answers_the_smoke_query(deployed_house: Any) -> None:
    _, digest, result = deployed_house

    assert result.status is StageStatus.DONE
    assert result.summary == (
        "SQL function colours_function deployed: colours version 1, "
        "5 rows of view colours_images answered"
    )
    outputs = result.outputs
    assert (outputs["function"], outputs["version"]) == ("colours_function", "1")
    assert outputs["model_digest"] == digest
    assert [row["path"] for row in outputs["rows"]] == sorted(IMAGES)[:5]
    assert [row["objects"][0]["label"] for row in outputs["rows"]] == ["blue"] * 4 + ["green"]
    assert json.loads(json.dumps(outputs)) == outputs


def test_deploy_leaves_one_row_and_the_files(deployed_house: Any) -> None:
    colours, digest, _ = deployed_house

    (row,) = colours.function_rows()
    assert row.pop("deployed_at").tzinfo is not None
    assert row == {
        "function": "colours_function",
        "pipeline": "colours",
        "view": "colours_images",
        "model_name": "colours",
        "model_version": "1",
        "model_digest": digest,
        "model_path": f"models/{digest}",
        "labels": list(LABELS),
        "run_id": "d",
    }
    files = sorted(file.name for file in (colours.workspace.models / digest).iterdir())
    assert files == ["model.json", "model.keras"]


def test_the_smoke_query_calls_the_function_on_its_rows_only(
    colours: House, tmp_path: Path
) -> None:
    calls = tmp_path / "calls"
    colours.register_counter("counted", calls)

    rows = colours.ask(smoke_query("counted", "colours_images"))

    assert [row.path for row in rows] == sorted(IMAGES)[:5]
    assert calls.read_text() == "x" * 5


def test_deploying_again_adds_no_row_and_imports_no_tensorflow(
    colours: House, no_tensorflow: None
) -> None:
    def imported(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import tensorflow  # noqa: F401

        yield from batches

    with pytest.raises(PythonException, match="tensorflow must not be imported by this process"):
        colours.spark.range(1).mapInArrow(imported, "id long").collect()

    # The training left what the engine needs.
    result = colours.deploy("d2")

    assert "SQL function colours_function was deployed already: " in result.summary
    assert [row["objects"][0]["label"] for row in result.outputs["rows"]] == (
        ["blue"] * 4 + ["green"]
    )
    assert len(colours.function_rows()) == 1


def test_an_earlier_result_stands_while_its_files_do(colours: House, tmp_path: Path) -> None:
    result = colours.deploy("d3")
    copy = Workspace(tmp_path / "copy")

    assert still_there(result, colours.config, colours.workspace)
    assert not still_there(result, replace(colours.config, view="other"), colours.workspace)
    assert not still_there(result, replace(colours.config, function="other"), colours.workspace)
    assert not still_there(result, colours.config, copy)


def test_the_inputs_name_the_champion_and_the_images(colours: House) -> None:
    assert inputs(colours.config, colours.workspace, colours.run("d4")) == {
        "function": "colours_function",
        "view": "colours_images",
        "version": "1",
        "model_digest": deployed(colours.lake)["colours_function"].model_digest,
        "images_snapshot": colours.lake.snapshot("colours", "images"),
        "engine": "auto",
    }


def test_a_new_champion_answers_without_a_new_session(
    spark: SparkSession, mlflow_uri: str, tmp_path: Path
) -> None:
    house = House(spark, tmp_path, mlflow_uri, config("moving"))
    house.add_images(IMAGES)
    sql = "SELECT max(moving_function(image)[0].probability) AS best FROM moving_images"
    house.crown(1)
    house.deploy("d1")
    before = house.ask(sql)[0].best
    first = deployed(house.lake)["moving_function"]
    house.crown(2)

    house.deploy("d2")

    assert before == pytest.approx(probability_of_best(1), abs=0.01)
    assert house.ask(sql)[0].best == pytest.approx(probability_of_best(2), abs=0.01)
    assert [row["model_version"] for row in house.function_rows()] == ["1", "2"]

    # Someone removes the deployed files: the next deployment brings them back.
    newest = deployed(house.lake)["moving_function"]
    shutil.rmtree(house.workspace.root / newest.model_path)
    with pytest.raises(MissingInputError, match=r"deploy pipeline moving again$"):
        newest.model_file(house.workspace)
    house.deploy("d3")
    assert newest.model_file(house.workspace).is_file()
    assert first.model_file(house.workspace).is_file()

    # The function gets another name: the old one goes with the deployment of the new one.
    house.config = replace(house.config, function="moved_function")
    renamed = house.deploy("d4")
    assert renamed.summary == (
        "SQL function moved_function deployed: moving version 2, 5 rows of view moving_images "
        "answered; function moving_function is withdrawn"
    )
    assert renamed.outputs["withdrawn"] == "moving_function"
    assert list(deployed(house.lake)) == ["moved_function"]
    assert house.deploy("d5").outputs["withdrawn"] is None


def test_without_a_champion_there_is_nothing_to_deploy(
    spark: SparkSession, mlflow_uri: str, tmp_path: Path
) -> None:
    house = House(spark, tmp_path, mlflow_uri, config("kingless"))

    with pytest.raises(MissingInputError) as caught:
        house.deploy()

    assert str(caught.value) == (
        "model kingless has no champion: approve a kingless candidate first"
    )


def test_without_images_nothing_is_published(
    spark: SparkSession, mlflow_uri: str, tmp_path: Path
) -> None:
    house = House(spark, tmp_path, mlflow_uri, config("imageless"))
    house.crown(1)
    trained_on = [row[c.IMAGE_ID] for row in house.lake.rows("imageless", c.IMAGES)]
    forget(house.lake, "imageless", trained_on, who="ann", run_id="f1")

    with pytest.raises(MissingInputError, match="the view has no image; run ingest first"):
        house.deploy()

    assert house.function_rows() == []


def test_a_built_in_name_is_refused(colours: House) -> None:
    taken = replace(colours.config, function="array_max")

    with pytest.raises(ConfigError) as caught:
        deploy(colours.spark, taken, colours.workspace, colours.run("d5"))

    assert str(caught.value) == (
        "function = 'array_max': Spark SQL has a function of that name: choose another"
    )


def test_answers_outside_the_model_are_refused(colours: House) -> None:
    rows = colours.ask(smoke_query("colours_function", "colours_images"))

    check_answers(rows, LABELS, "f")
    with pytest.raises(GateFailedError) as caught:
        check_answers(rows, ("red", "green"), "f")
    assert str(caught.value) == (
        "function f answers labels that its model does not have for image blue/0.jpg: blue"
    )


def test_an_image_without_an_answer_fails_the_deployment(
    spark: SparkSession, mlflow_uri: str, tmp_path: Path
) -> None:
    house = House(spark, tmp_path, mlflow_uri, config("unreadable"))
    house.add_images({"a/broken.jpg": b"not a picture"})
    house.crown(1)

    with pytest.raises(GateFailedError) as caught:
        house.deploy()

    reason = "function unreadable_function has no answer for image a/broken.jpg"
    assert str(caught.value) == (f"unreadable version 1 is refused, nothing answers yet: {reason}")
    assert house.function_rows() == []
    (refusal,) = Ledger(house.lake, "unreadable").refusals()
    assert (refusal.who, refusal.why) == ("deploy", reason)
    assert (refusal.from_version, refusal.to_version) == (None, "1")
    assert Ledger(house.lake, "unreadable").entries() == []


@pytest.mark.long
def test_a_model_with_code_in_it_never_answers(
    spark: SparkSession, mlflow_uri: str, tmp_path: Path
) -> None:
    house = House(spark, tmp_path, mlflow_uri, config("coded"))
    house.add_images({"red/0.jpg": picture("red")})
    house.crown_package(lambda_package(tmp_path / "models"))

    with pytest.raises(GateFailedError) as caught:
        house.deploy()

    assert str(caught.value).startswith("coded version 1 is refused, nothing answers yet: ")
    assert "model.keras: it holds a Lambda layer, whose code Keras does not run" in str(
        caught.value
    )
    assert "\n" not in str(caught.value)
    assert house.function_rows() == []
    (copied,) = json.loads(house.workspace.ledger("coded").read_text())
    assert (copied["action"], copied["who"], copied["to_version"]) == ("refuse", "deploy", "1")
