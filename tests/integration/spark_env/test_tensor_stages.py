"""The stages over tensors, in real Spark jobs with networks whose answers are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.ml.linalg import DenseVector, Vectors, VectorUDT
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import IntegerType, StructType

from darkroom.contract import ConfigError
from darkroom.ml.tensors.keras_transformer import KerasTransformer
from darkroom.ml.tensors.tf_transformer import TFTransformer
from tests.integration.spark_env import library_house as house

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DARKROOM_CACHE", str(folder / "cache"))
        house.save_two_by_two(folder / "two.keras")
        house.save_grey_sum(folder / "sum.keras")
        house.save_scorer(folder / "scorer")
        yield folder


@pytest.fixture
def tables(spark: SparkSession) -> DataFrame:
    rows = [
        (1, [[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]], 10),
        (2, None, 10),
        (3, [[1.0, 2.0, 3.0], [4.0]], 10),
        (4, [[1.0, 2.0, 3.0]], 10),
        (5, [[0.0, 0.0, 0.0], [2.0, 2.0, 2.0]], -1),
        (6, [[1.0, None, 3.0], [3.0, 4.0, 5.0]], None),
    ]
    return spark.createDataFrame(rows, "id int, t array<array<double>>, o int").coalesce(1)


def test_several_inputs_and_outputs_by_name(tables: DataFrame, files: Path) -> None:
    transformer = KerasTransformer(
        modelFile=files / "two.keras",
        inputMapping={"o": "offset", "t": "table"},
        outputMapping={"shifted": "s", "twice": "d"},
        errorCol="why",
    )

    made = transformer.transform(tables)

    assert made.select("s", "d").schema.simpleString() == (
        "struct<s:array<float>,d:array<array<float>>>"
    )
    assert [tuple(row) for row in made.select("id", "s", "d", "why").collect()] == [
        (1, [12, 13, 14], [[2, 4, 6], [6, 8, 10]], None),
        (2, None, None, None),
        (3, None, None, "t: it holds a null, or lists of different lengths, inside"),
        (4, None, None, "t: its shape is (1, 3), the model takes (2, 3)"),
        (5, [0, 0, 0], [[0, 0, 0], [4, 4, 4]], None),
        (6, None, None, None),
    ]


def test_one_of_the_outputs_as_a_vector(tables: DataFrame, files: Path) -> None:
    transformer = KerasTransformer(
        modelFile=files / "two.keras",
        inputMapping={"o": "offset", "t": "table"},
        outputMapping={"twice": "d"},
        outputMode="vector",
    )

    made = transformer.transform(tables.where("id in (1, 2)"))

    assert made.columns == ["id", "t", "o", "d"]
    assert made.schema["d"].dataType == VectorUDT()
    assert [row["d"] for row in made.collect()] == [DenseVector([2, 4, 6, 6, 8, 10]), None]


def test_a_vector_becomes_a_picture(spark: SparkSession, files: Path) -> None:
    rows = [(Vectors.dense(range(8)),), (Vectors.sparse(8, [1], [5.0]),), (Vectors.dense([1]),)]
    frame = spark.createDataFrame(rows, ["v"]).coalesce(1)
    transformer = KerasTransformer(
        inputCol="v", outputCol="sum", modelFile=files / "sum.keras", errorCol="why"
    )

    assert [tuple(row)[1:] for row in transformer.transform(frame).collect()] == [
        ([28.0], None),
        ([5.0], None),
        (None, "v: its shape is (1,), the model takes (4, 2, 1)"),
    ]


@pytest.mark.usefixtures("tensorflow_workers")
def test_signatures_of_a_saved_model(spark: SparkSession, files: Path) -> None:
    rows = [([1.0, 2.0, 3.0],), ([4.0],), (None,), ([6.0],)]
    frame = spark.createDataFrame(rows, "v array<float>").coalesce(1)
    scorer = TFTransformer(
        modelFile=files / "scorer",
        inputMapping={"v": "x"},
        outputMapping={"double": "d", "total": "n"},
        errorCol="why",
    )

    made = scorer.transform(frame)
    assert made.schema["n"].dataType.simpleString() == "float"
    wrong = "v: its shape is (1,), the model takes (3,)"
    assert [tuple(row)[1:] for row in made.collect()] == [
        ([2, 4, 6], 6, None),
        (None, None, wrong),
        (None, None, None),
        (None, None, wrong),
    ]
    halves = scorer.copy({scorer.signature: "half", scorer.outputMapping: {"half": "h"}})
    assert [row["h"] for row in halves.transform(frame).collect()] == [
        [0.5, 1, 1.5],
        [2],
        None,
        [3],
    ]


@pytest.mark.usefixtures("tensorflow_workers")
def test_a_saved_model_transforms_a_stream(
    spark: SparkSession, files: Path, tmp_path: Path
) -> None:
    halves = TFTransformer(
        inputCol="v", outputCol="half", modelFile=files / "scorer", signature="half"
    )
    rows = spark.createDataFrame([([1.0, 4.0],), (None,)], "v array<double>").coalesce(1)
    rows.write.parquet(str(tmp_path / "source"))
    stream = spark.readStream.schema(rows.schema).parquet(str(tmp_path / "source"))

    house.write_stream(halves.transform(stream), tmp_path)

    found = spark.read.parquet(str(tmp_path / "out")).collect()
    assert [tuple(row) for row in found] == [([1, 4], [0.5, 2]), (None, None)]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"inputCol": "id"},
            "inputCol = 'id': the model has the inputs ['table', 'offset']: set inputMapping",
        ),
        (
            {"inputMapping": {"t": "table"}},
            "inputMapping = {'t': 'table'}: give each of the model's inputs ['table', 'offset'] "
            "one column",
        ),
        (
            {"inputMapping": {"t": "table", "x": "offset"}},
            "inputMapping = 'x': no such column, there are ['id', 't', 'o']",
        ),
        (
            {"inputMapping": {"t": "offset", "o": "table"}},
            "inputCol = 't': its type is array<array<double>>, a tensor of rank 2, and input "
            "'offset' takes float32 of shape (1,)",
        ),
        (
            {"inputMapping": {"t": "table", "o": "offset"}},
            "outputCol = 'out': the model has the outputs ['twice', 'shifted']: set outputMapping",
        ),
        (
            {"inputMapping": {"t": "table", "o": "offset"}, "outputMapping": {"x": "y"}},
            "outputMapping = 'x': the model has ['twice', 'shifted']",
        ),
        ({}, "inputCol = None: set either inputCol or inputMapping of KerasTransformer, neither"),
        (
            {"inputCol": "o", "modelFile": "nowhere.keras"},
            "modelFile = 'nowhere.keras': there is no such file: put it there or correct the path",
        ),
    ],
)
def test_what_cannot_be_is_said_at_transform(
    params: dict[str, Any], message: str, tables: DataFrame, files: Path
) -> None:
    given: dict[str, Any] = {"modelFile": files / "two.keras", "outputCol": "out"} | params
    transformer = KerasTransformer(**given)

    with pytest.raises(ConfigError) as caught:
        transformer.transform(tables)

    assert str(caught.value).startswith(message)


def test_a_column_of_another_type_is_refused(spark: SparkSession, files: Path) -> None:
    kind = StructType().add("i", IntegerType()).add("v", VectorUDT())
    frame = spark.createDataFrame([(1, Vectors.dense([1.0]))], kind).selectExpr(
        "i", "v", "array('a') AS s"
    )
    transformer = KerasTransformer(inputCol="s", outputCol="o", modelFile=files / "sum.keras")

    with pytest.raises(ConfigError) as caught:
        transformer.transform(frame)

    assert str(caught.value) == (
        "inputCol = 's': its type is array<string> and input 'pixels' takes float32 of shape "
        "(4, 2, 1): cast it"
    )
