"""What deployed functions and views answer."""

from __future__ import annotations

import datetime as dt
import io
import json
from pathlib import Path

import pytest
from PIL import Image
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from darkroom.contract import ConfigError, DataError, MissingInputError, Stage, Workspace
from darkroom.lake import Lake
from darkroom.sql import create_views, register_functions
from darkroom.sql.query import QueryError, answer, check_deployed
from tests.integration.spark_env.colour_model import LABELS, picture, probability_of_best
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
    with pytest.raises(PySparkException, match=r"image must be BINARY, .*, not string"):
        colours.ask("SELECT colours_function(path) FROM colours_images")


def test_the_function_works_in_where_group_by_and_join(colours: House) -> None:
    rows = colours.ask(
        "SELECT best, count(*) AS n FROM "
        "(SELECT colours_function(image)[0].label AS best FROM colours_images "
        "WHERE colours_function(image)[0].probability > 0.5) GROUP BY best ORDER BY best"
    )

    assert [(row.best, row.n) for row in rows] == [("blue", 4), ("green", 4), ("red", 4)]


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
            "SELECT colours_function(path) FROM colours_images",
            "SQL: TypeError: colours_function(image): image must be BINARY, the bytes of an "
            "encoded picture, not string",
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
