"""What every transformer does alike: the inputs that it takes, those that it refuses, streams."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.ml import PipelineModel, Transformer
from pyspark.ml.linalg import DenseVector
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql.types import IntegerType, StructType

from darkroom import (
    DeepImageFeaturizer,
    DeepImagePredictor,
    KerasImageFileModel,
    KerasImageFileTransformer,
    KerasTransformer,
    arrayToImageStruct,
    imageStructToArray,
    registerKerasImageUDF,
)
from darkroom.contract import ConfigError
from darkroom.ml.pictures.column import image_type
from tests.integration.spark_env import library_house as house
from tests.integration.spark_env.conftest import bar_workers
from tests.integration.spark_env.library_house import RGB, picture

pytestmark = pytest.mark.integration

FILES = "path string, modificationTime timestamp, length long, content binary"
COLOURS = ["red", "green", "blue"]
JUNK = "NOT_AN_IMAGE: no known image format starts with bytes 6a 75 6e 6b"
UNDEFINED = "NOT_AN_IMAGE: the struct holds no picture (mode = -1)"
GONE = "UnreadableFileError: cannot read /nowhere/x.png: No such file or directory"


@pytest.fixture(scope="module", autouse=True)
def _apart(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of its own, and workers without TensorFlow: a chain takes one for each stage."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DARKROOM_CACHE", str(tmp_path_factory.mktemp("cache")))
        bar_workers(spark, patch)
        yield


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mean.keras, colours.keras, negative.keras and doubler.keras."""
    folder = tmp_path_factory.mktemp("models")
    house.save_mean(folder / "mean.keras")
    house.colour_classifier().save(folder / "colours.keras")
    house.save_negative(folder / "negative.keras")
    house.save_doubler(folder / "doubler.keras")
    return folder


def image_stages(models: Path, column: str) -> dict[str, Transformer]:
    """One of every stage over pictures, by the name of its output column."""
    return {
        "features": DeepImageFeaturizer(
            inputCol=column,
            outputCol="features",
            modelFile=models / "mean.keras",
            errorCol="features_error",
        ),
        "named": DeepImagePredictor(
            inputCol=column,
            outputCol="named",
            modelFile=models / "colours.keras",
            decodePredictions=True,
            labels=COLOURS,
            topK=1,
            errorCol="named_error",
        ),
        "negative": KerasImageFileTransformer(
            inputCol=column,
            outputCol="negative",
            modelFile=models / "negative.keras",
            outputMode="image",
            errorCol="negative_error",
        ),
        "trained": KerasImageFileModel(
            inputCol=column,
            outputCol="trained",
            modelFile=models / "colours.keras",
            classLabels=COLOURS,
            predictionCol="trained_best",
            errorCol="trained_error",
        ),
    }


def said_of(row: Row) -> dict[str, Any]:
    """What the image stages answered for one row."""
    best = row["named"][0] if row["named"] else None
    negative = row["negative"]
    return {
        "features": row["features"],
        "named": best and best["description"],
        "negative": negative and imageStructToArray(negative, channelOrder="RGB")[0, 0].tolist(),
        "trained": row["trained"] and int(row["trained"].argmax()),
        "trained_best": row["trained_best"],
    }


RED = {
    "features": DenseVector([255, 0, 0]),
    "named": "red",
    "negative": [0, 255, 255],
    "trained": 0,
    "trained_best": 0.0,
}
TEAL = {
    "features": DenseVector([0, 128, 64]),
    "named": "green",
    "negative": [255, 127, 191],
    "trained": 1,
    "trained_best": 1.0,
}
NOTHING = dict.fromkeys(RED)


def as_bytes(spark: SparkSession, folder: Path) -> DataFrame:
    rows = [(1, picture("red")), (2, None), (3, b"junk"), (4, picture("teal"))]
    return spark.createDataFrame(rows, "id int, image binary")


def as_structs(spark: SparkSession, folder: Path) -> DataFrame:
    def struct(colour: str) -> Any:
        return arrayToImageStruct(np.full((10, 12, 3), RGB[colour], np.uint8), channelOrder="RGB")

    broken = ("/data/cut.jpg", -1, -1, -1, -1, b"")
    rows = [(1, struct("red")), (2, None), (3, broken), (4, struct("teal"))]
    return spark.createDataFrame(
        rows, StructType().add("id", IntegerType()).add("image", image_type())
    )


def as_uris(spark: SparkSession, folder: Path) -> DataFrame:
    (folder / "a red.png").write_bytes(picture("red"))
    (folder / "teal.png").write_bytes(picture("teal"))
    uris = [(folder / "a red.png").as_uri(), None, "/nowhere/x.png", f"{folder}/teal.png"]
    return spark.createDataFrame(list(enumerate(uris, 1)), "id int, image string")


@pytest.fixture
def exported(spark: SparkSession, models: Path) -> Path:
    """The models, and what an engine needs of them."""
    for stage in image_stages(models, "image").values():
        stage.transform(spark.createDataFrame([], "image binary"))
    return models


@pytest.mark.parametrize(
    ("form", "reason"), [(as_bytes, JUNK), (as_structs, UNDEFINED), (as_uris, GONE)]
)
def test_every_stage_and_the_function_take_every_form_without_tensorflow(
    form: Any, reason: str, exported: Path, no_tensorflow: None, spark: SparkSession, tmp_path: Path
) -> None:
    stages = image_stages(exported, "image")
    frame = form(spark, tmp_path).coalesce(1)
    function = registerKerasImageUDF("tint", exported / "colours.keras", labels=COLOURS)

    made = PipelineModel(list(stages.values())).transform(frame)
    rows = made.withColumn("objects", function("image")).collect()

    assert [row["id"] for row in rows] == [1, 2, 3, 4]
    assert [said_of(row) for row in rows] == [RED, NOTHING, NOTHING, TEAL]
    for name in stages:
        assert [row[f"{name}_error"] for row in rows] == [None, None, reason, None]
    for row, colour in zip(rows, ("red", None, None, "teal"), strict=True):
        assert row["objects"] == (colour and tints_of(colour))


def tints_of(colour: str) -> list[Any]:
    """What the SQL function answers: every label and its probability, best first."""
    scores = np.exp(np.array(RGB[colour]) / 100)
    found = zip(COLOURS, scores / scores.sum(), strict=True)
    best = sorted(found, key=lambda item: -item[1])
    return [(label, pytest.approx(probability, rel=1e-5)) for label, probability in best]


@pytest.mark.parametrize("name", ["features", "named", "negative", "trained"])
@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("1", "int"),
        ("array(1.5D)", "array<double>"),
        ("named_struct('data', X'00')", "struct<data:binary>"),
    ],
)
def test_every_stage_refuses_a_column_that_holds_no_pictures(
    name: str, kind: str, shown: str, spark: SparkSession, models: Path
) -> None:
    frame = spark.range(1).selectExpr(f"{kind} AS `a.b`")

    with pytest.raises(ConfigError) as caught:
        image_stages(models, "a.b")[name].transform(frame)

    assert str(caught.value) == (
        f"inputCol = 'a.b': its type is {shown}: it must be BINARY (an encoded picture), Spark's "
        "image struct, or STRING (the path or URI of a picture)"
    )


def test_every_stage_transforms_a_stream(spark: SparkSession, models: Path, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    stream = spark.readStream.format("binaryFile").schema(FILES).load(str(tmp_path / "source"))
    doubler = KerasTransformer(
        inputCol="features", outputCol="doubled", modelFile=models / "doubler.keras"
    )
    stages = [*image_stages(models, "content").values(), doubler]
    made = PipelineModel(stages).transform(stream.coalesce(1)).drop("content")

    (tmp_path / "source/a.png").write_bytes(picture("red"))
    (tmp_path / "source/b.png").write_bytes(b"junk")
    house.write_stream(made, tmp_path)
    (tmp_path / "source/c.png").write_bytes(picture("teal"))
    house.write_stream(made, tmp_path)

    rows = spark.read.parquet(str(tmp_path / "out")).orderBy("path").collect()
    assert [row["path"][-5:] for row in rows] == ["a.png", "b.png", "c.png"]
    assert [said_of(row) for row in rows] == [RED, NOTHING, TEAL]
    assert [row["features_error"] for row in rows] == [None, JUNK, None]
    assert [row["doubled"] for row in rows] == [[510, 0, 0], None, [0, 256, 128]]
