"""What deployed functions and views answer."""

from __future__ import annotations

import datetime as dt
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.types import StringType, StructField, StructType

from darkroom.contract import ConfigError, DataError, MissingInputError, Stage, Workspace
from darkroom.images import arrayToImageStruct
from darkroom.lake import Lake
from darkroom.ml.pictures.column import image_type
from darkroom.sql import create_views, register_functions
from darkroom.sql.deployments import deployed
from darkroom.sql.query import QueryError, answer, check_deployed
from tests.integration.spark_env.colour_model import LABELS, config, picture, probability_of_best
from tests.integration.spark_env.sql_house import IMAGES, House

pytest_plugins = (
    "tests.integration.spark_env.mlflow_server",
    "tests.integration.spark_env.sql_house",
)
pytestmark = pytest.mark.integration


def test_the_function_answers_every_label_best_first(colours: House) -> None:
    rows = colours.ask("SELECT path, label, colours_function(image) AS objects FROM colours_images")

    assert len(rows) == len(IMAGES)
    for row in rows:
        found = [item.probability for item in row.objects]
        assert row.objects[0].label == row.label
        assert found == sorted(found, reverse=True)
        # JPEG's pure colours are off by one or two of 255.
        assert found[0] == pytest.approx(probability_of_best(1), abs=0.01)
        assert sum(found) == pytest.approx(1, abs=1e-6)
        assert {item.label for item in row.objects} == set(LABELS)


def test_the_function_has_the_documented_type(colours: House) -> None:
    frame = colours.spark.sql("SELECT colours_function(image) AS objects FROM colours_images")

    assert frame.schema["objects"].dataType.simpleString() == (
        "array<struct<label:string,probability:float>>"
    )


@pytest.mark.parametrize("sql", ["NULL", "CAST(NULL AS BINARY)", "X''", "X'00FF'", "X'FFD8FFE0'"])
def test_null_and_unreadable_bytes_give_null(colours: House, sql: str) -> None:
    (row,) = colours.ask(f"SELECT colours_function({sql}) AS objects")

    assert row.objects is None


def test_a_broken_picture_spoils_no_other_row(colours: House) -> None:
    data = [
        ("cut", picture("red", size=64)[:-200]),
        ("red", picture("red", "PNG")),
        ("none", None),
        ("text", b"not a picture"),
        ("grey", grey_png()),
    ]
    frame = colours.spark.createDataFrame(data, "name string, image binary").repartition(1)
    frame.createOrReplaceTempView("odd_images")

    rows = colours.ask("SELECT name, colours_function(image) AS objects FROM odd_images")
    colours.spark.catalog.dropTempView("odd_images")

    answers = {row.name: row.objects and row.objects[0].label for row in rows}
    # Grey is equally red, green and blue: the first label wins.
    assert answers == {"cut": None, "red": "red", "none": None, "text": None, "grey": "red"}


def grey_png() -> bytes:
    stream = io.BytesIO()
    Image.new("L", (16, 16), 128).save(stream, "PNG")
    return stream.getvalue()


def test_another_type_is_refused_clearly(colours: House) -> None:
    with pytest.raises(PySparkException, match=r"image must be BINARY .*, not int"):
        colours.ask("SELECT colours_function(width) FROM colours_images")


def test_a_path_or_an_image_struct_is_a_picture_too(colours: House, tmp_path: Path) -> None:
    (tmp_path / "green.png").write_bytes(picture("green", "PNG"))
    pixels = np.asarray(Image.open(tmp_path / "green.png"))
    struct = arrayToImageStruct(pixels, channelOrder="RGB")
    frame = colours.spark.createDataFrame(
        [(str(tmp_path / "green.png"), struct), (str(tmp_path / "none.png"), None)],
        StructType([StructField("uri", StringType()), StructField("image", image_type())]),
    )
    frame.repartition(1).createOrReplaceTempView("given")

    rows = colours.ask(
        "SELECT colours_function(uri)[0].label AS by_path, "
        "colours_function_detail(uri).error AS error, "
        "colours_function(image)[0].label AS by_struct FROM given ORDER BY uri"
    )
    colours.spark.catalog.dropTempView("given")

    assert [(row.by_path, row.by_struct) for row in rows] == [("green", "green"), (None, None)]
    assert rows[0].error is None
    assert "none.png" in rows[1].error


def test_companions_tell_the_version_and_the_first_objects(colours: House) -> None:
    (row,) = colours.ask(
        "SELECT colours_function_detail(image) AS d, colours_function_top(image, 2) AS top, "
        "colours_function_top(image, NULL) AS none FROM colours_images WHERE path = 'red/0.jpg'"
    )
    (bad,) = colours.ask("SELECT colours_function_detail(X'00') AS d")

    assert (row.d.model_version, row.d.error, row.d.objects[0].label) == ("1", None, "red")
    assert row.top == row.d.objects[:2]
    assert row.none is None
    assert (bad.d.objects, bad.d.model_version) == (None, "1")
    assert "NOT_AN_IMAGE" in bad.d.error


def test_the_challenger_and_an_earlier_version_answer_beside_the_champion(
    spark: SparkSession, mlflow_uri: str, tmp_path: Path
) -> None:
    house = House(spark, tmp_path, mlflow_uri, config("waiting"))
    house.add_images({"red/1.png": picture("red", "PNG")})
    house.crown(1)
    house.deploy("d1")
    sql = "SELECT {}(image).model_version AS v, {}(image).objects[0].probability AS p FROM {}"

    def answer_of(function: str) -> tuple[str, Any]:
        name = f"{function}_detail"
        (row,) = house.ask(sql.format(name, name, "waiting_images"))
        return row.v, pytest.approx(row.p, abs=0.001)

    assert register_functions(spark, house.workspace, alias="challenger") == (
        "waiting_function_challenger",
    )
    # The House leaves the alias challenger where registering put it: at version 1.
    assert answer_of("waiting_function_challenger") == ("1", probability_of_best(1))
    house.crown(2)
    register_functions(spark, house.workspace, ["waiting_function"], alias="challenger")
    assert answer_of("waiting_function_challenger") == ("2", probability_of_best(2))
    assert answer_of("waiting_function") == ("1", probability_of_best(1))

    house.deploy("d2")
    assert answer_of("waiting_function") == ("2", probability_of_best(2))
    register_functions(spark, house.workspace, ["waiting_function"], version="1")
    assert answer_of("waiting_function") == ("1", probability_of_best(1))

    with pytest.raises(ConfigError) as caught:
        register_functions(spark, house.workspace, ["waiting_function"], version="7")
    assert str(caught.value) == (
        "version = '7': never deployed as waiting_function: choose one of 1, 2"
    )
    house.client.delete_registered_model_alias("waiting", "challenger")
    assert register_functions(spark, house.workspace, alias="challenger") == ()
    with pytest.raises(ConfigError, match="no version of model waiting waits for approval"):
        register_functions(spark, house.workspace, ["waiting_function"], alias="challenger")

    newest = deployed(house.lake)["waiting_function"]
    newest.model_file(house.workspace).write_bytes(b"another")
    with pytest.raises(DataError, match=r"but [0-9a-f]{12} was deployed: deploy pipeline waiting"):
        register_functions(spark, house.workspace)


@pytest.mark.parametrize(
    ("choice", "text"),
    [
        ({"alias": "best"}, "alias = 'best': there is no such choice, known are champion, "),
        (
            {"alias": "challenger", "version": "1"},
            "version = '1': give an alias or a version, not both",
        ),
    ],
)
def test_a_choice_that_cannot_be_is_refused(
    colours: House, choice: dict[str, str], text: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        register_functions(colours.spark, colours.workspace, **choice)

    assert text in str(caught.value)


def test_the_function_works_in_where_group_by_and_join(colours: House) -> None:
    rows = colours.ask(
        "SELECT best, count(*) AS n FROM "
        "(SELECT colours_function(image)[0].label AS best FROM colours_images "
        "WHERE colours_function(image)[0].probability > 0.5) GROUP BY best ORDER BY best"
    )

    assert [(row.best, row.n) for row in rows] == [("blue", 4), ("green", 4), ("red", 4)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT path, counted(image) FROM (SELECT path, image FROM colours_images ORDER BY path)",
        "SELECT * FROM (SELECT /*+ REPARTITION(8) */ path, length(counted(image)) AS size "
        "FROM colours_images) ORDER BY size, path",
    ],
)
def test_sorted_answers_take_one_run_of_the_network(
    colours: House, tmp_path: Path, sql: str
) -> None:
    calls = tmp_path / "calls"
    colours.register_counter("counted", calls)

    rows = colours.ask(sql)

    assert len(rows) == len(IMAGES)
    assert rows == sorted(rows, key=lambda row: (row[1] if "size" in row else 0, row.path))
    assert calls.read_text() == "x" * len(IMAGES)


def test_the_view_shows_the_accepted_images(colours: House) -> None:
    rows = colours.ask("SELECT * FROM colours_images")

    assert {row.path: bytes(row.image) for row in rows} == IMAGES
    assert {row.split for row in rows} == {"train"}
    assert list(rows[0].asDict()) == [
        *("path", "label", "image", "split", "image_id", "format", "mode", "width", "height"),
        *("length", "modified_at"),
    ]


def test_a_query_answers_no_more_rows_than_asked(colours: House) -> None:
    sql = "SELECT path, colours_function(image) AS objects, image FROM colours_images"

    found = answer(colours.spark, colours.workspace, f"{sql} ORDER BY path", limit=2)

    assert found.more
    lines = found.render("table").splitlines()
    assert lines[0].split() == ["path", "objects", "image"]
    assert lines[2].startswith("blue/0.jpg  blue 0.8")
    assert lines[2].endswith(" bytes>")
    assert lines[-1] == "(2 rows, and there are more: raise --limit)"
    read = json.loads(found.render("json"))
    assert [row["path"] for row in read] == ["blue/0.jpg", "blue/1.jpg"]
    assert read[0]["objects"][0]["label"] == "blue"


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        (
            "SELECT colour_function(image) FROM colours_images",
            "SQL: unknown function colour_function: did you mean colours_function?",
        ),
        (
            "SELECT path FROM colour_images",
            "SQL: unknown table or view colour_images: did you mean colours_images?",
        ),
        ("SELECT path FROM qqq", "SQL: unknown table or view qqq"),
        (
            "SELEC 1",
            "SQL: [PARSE_SYNTAX_ERROR] Syntax error at or near 'SELEC'. (line 1, pos 0)",
        ),
        (
            "SELECT colours_function(width) FROM colours_images",
            "SQL: TypeError: colours_function(image): image must be BINARY (an encoded picture), "
            "Spark's image struct, or STRING (the path or URI of a picture), not int32",
        ),
    ],
)
def test_a_wrong_query_is_one_line(colours: House, sql: str, text: str) -> None:
    with pytest.raises(QueryError) as caught:
        answer(colours.spark, colours.workspace, sql, limit=5)

    assert str(caught.value) == text
    assert caught.value.exit_code == 2


def test_an_unknown_column_names_the_known_ones(colours: House) -> None:
    with pytest.raises(QueryError, match=r"`paht` cannot be resolved.*\[`path`,") as caught:
        answer(colours.spark, colours.workspace, "SELECT paht FROM colours_images", limit=5)

    assert "\n" not in str(caught.value)
    assert "SQLSTATE" not in str(caught.value)


def test_registering_an_unknown_function_names_near_ones(colours: House) -> None:
    with pytest.raises(ConfigError) as caught:
        register_functions(colours.spark, colours.workspace, ["colour_function"])

    assert str(caught.value) == (
        "function = 'colour_function': not deployed, did you mean colours_function?"
    )


def test_only_the_named_functions_are_registered(colours: House) -> None:
    assert register_functions(colours.spark, colours.workspace, []) == ()
    names = register_functions(colours.spark, colours.workspace, ["colours_function"])
    assert names == ("colours_function",)


def test_nothing_deployed_says_how_to_deploy(spark: SparkSession, tmp_path: Path) -> None:
    empty = Workspace(tmp_path / "nowhere")

    with pytest.raises(MissingInputError) as caught:
        check_deployed(empty)

    assert str(caught.value) == (
        f"no function is deployed in workspace {empty.root}: run make demo, or train a pipeline "
        "of your own and approve its candidate (make run), then ask again"
    )
    assert not empty.root.exists()
    assert register_functions(spark, empty) == ()
    assert create_views(spark, empty) == ()


def test_a_name_smuggled_into_the_table_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake(Workspace(tmp_path))
    row = {
        "function": "f(x); DROP VIEW v",
        "pipeline": "p",
        "view": "v",
        "model_name": "p",
        "model_version": "1",
        "model_digest": "d",
        "model_path": "models/d",
        "labels": ["red"],
        "deployed_at": dt.datetime.now(dt.UTC),
    }
    lake.append_rows([row], "darkroom", "functions", run_id="r", stage=Stage.DEPLOY)

    for read in (register_functions, create_views):
        with pytest.raises(DataError, match="not a name that a configuration could have"):
            read(spark, Workspace(tmp_path))
