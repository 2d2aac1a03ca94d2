"""readImages and decodeImages in Spark: sources, modes, streams."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.errors import PythonException
from pyspark.ml.image import ImageSchema
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from darkroom.contract import ConfigError
from darkroom.images import arrayToImageStruct, imageStructToArray, resize_rgb
from darkroom.ml.pictures.column import image_type
from darkroom.ml.pictures.reading import createResizeImageUDF, decodeImages, readImages
from tests.unit.spark_env.pictures import noise, photo, write_tree

pytestmark = pytest.mark.integration

CUT = photo(9, side=60)[:4000]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = [
        {"path": "b/2.jpg", "label": "blue", "weight": 2},
        {"path": "a/gone.png", "label": "grey", "weight": 3},
        {"path": "empty.png", "label": "none", "weight": 4},
    ]
    files = {
        "top.png": photo(0),
        "a/1 x.png": photo(1),
        "b/2.jpg": photo(2),  # a PNG in truth
        "b/cut.png": CUT,
        "empty.png": b"",  # Spark's file sources leave empty files out; a manifest names it
        "list.csv": b"path,label\na/1 x.png,red\nb/cut.png,green\n",
        "list.jsonl": "\n".join(json.dumps(line) for line in lines).encode(),
        "unnamed.csv": b"file\nx.png\n",
    }
    return write_tree(tmp_path_factory.mktemp("tree"), files)


def by_name(frame: DataFrame) -> dict[str, Row]:
    return {row.origin.rpartition("/")[2]: row for row in frame.collect()}


def test_a_folder_has_its_own_files_only_and_the_type_is_sparks(
    spark: SparkSession, tree: Path
) -> None:
    frame = readImages(tree / "b", withContent=True, spark=spark)
    assert frame.columns == ["origin", "image", "content", "reason", "detail"]
    assert frame.schema["image"].dataType == ImageSchema.columnSchema
    rows = by_name(frame)
    assert set(rows) == {"2.jpg", "cut.png"}
    good, cut = rows["2.jpg"], rows["cut.png"]
    assert good.origin == good.image.origin == f"file:{tree}/b/2.jpg"
    assert bytes(good.content) == photo(2)
    np.testing.assert_array_equal(imageStructToArray(good.image, "RGB"), noise(2))
    # pyspark's own reading of the struct agrees.
    np.testing.assert_array_equal(ImageSchema.toNDArray(good.image)[..., ::-1], noise(2))
    assert (cut.image, bytes(cut.content)) == (None, CUT)
    assert (cut.reason, cut.detail) == ("TRUNCATED", "image file is truncated")


def test_recursion_globs_and_lists(spark: SparkSession, tree: Path) -> None:
    everything = readImages(str(tree), recursive=True, mode="dropmalformed", numPartitions=3)
    assert everything.columns == ["origin", "image"]
    assert everything.rdd.getNumPartitions() == 3
    assert set(by_name(everything)) == {"top.png", "1 x.png", "2.jpg"}
    assert set(by_name(readImages(f"{tree}/*/*.jpg"))) == {"2.jpg"}
    assert set(by_name(readImages([tree / "a", tree / "top.png"]))) == {"1 x.png", "top.png"}


def test_manifests_keep_their_columns(spark: SparkSession, tree: Path) -> None:
    frame = readImages([tree / "list.csv", tree / "list.jsonl"]).drop("image")
    found = {(row.origin, row.reason, row.label, row.weight) for row in frame.collect()}
    assert found == {
        (f"{tree}/a/1 x.png", None, "red", None),
        (f"{tree}/b/cut.png", "TRUNCATED", "green", None),
        (f"{tree}/b/2.jpg", None, "blue", 2),
        (f"{tree}/a/gone.png", "UNREADABLE_FILE", "grey", 3),
        (f"{tree}/empty.png", "EMPTY", "none", 4),
    }


def test_parquet_manifests(spark: SparkSession, tree: Path, tmp_path: Path) -> None:
    paths = [(f"{tree}/top.png", 1), (f"file:{tree}/a/1 x.png", 2)]
    spark.createDataFrame(paths, "path string, n int").write.parquet(f"{tmp_path}/m.parquet")
    rows = readImages(tmp_path / "m.parquet").collect()
    assert {(row.n, row.image.height) for row in rows} == {(1, 24), (2, 24)}


def test_a_sample_is_the_same_every_time(spark: SparkSession, tmp_path: Path) -> None:
    write_tree(tmp_path, {f"{n}.png": b"words" for n in range(200)})

    def names(**options: Any) -> set[str]:
        return set(by_name(readImages(tmp_path, sampleRatio=0.25, **options)))

    assert 25 <= len(names()) <= 75
    assert names() == names(numPartitions=5) == names(seed=0) != names(seed=1)


def test_failfast_names_the_file(spark: SparkSession, tree: Path) -> None:
    frame = readImages(tree / "b", mode="failfast")  # nothing has been read yet
    assert frame.columns == ["origin", "image"]
    expected = f"DataError: file:{tree}/b/cut.png: TRUNCATED: image file is truncated"
    with pytest.raises(PythonException) as caught:
        frame.collect()
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (
            "gone",
            "path = 'file:{tree}/gone': nothing is there: give an existing folder, glob or file",
        ),
        (
            "*.xyz",
            "path = 'file:{tree}/*.xyz': nothing is there: give an existing folder, glob or file",
        ),
        (
            "gone.csv",
            "path = 'file:{tree}/gone.csv': nothing is there: give an existing folder, glob or "
            "file",
        ),
        (
            "unnamed.csv",
            "path = '{tree}/unnamed.csv': a manifest needs a column path of texts, its columns "
            "are: file string",
        ),
    ],
)
def test_unusable_paths_are_named(spark: SparkSession, tree: Path, path: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        readImages(f"{tree}/{path}")
    assert str(caught.value) == text.format(tree=tree)


def test_columns_that_do_not_fit_are_named(spark: SparkSession) -> None:
    frame = spark.createDataFrame([("a", "b", 1)], "path string, content string, reason int")
    cases: list[tuple[DataFrame, dict[str, Any], str]] = [
        (frame, {}, "contentCol = 'content': its type is string: it must be binary"),
        (
            frame.drop("content"),
            {},
            "frame = 'reason': this column is added: rename the one there is",
        ),
        (
            frame.select("path"),
            {"pathCol": "uri"},
            "pathCol = 'uri': no such column, there are ['path']",
        ),
    ]
    for given, options, text in cases:
        with pytest.raises(ConfigError) as caught:
            decodeImages(given, **options)
        assert str(caught.value) == text


def test_a_stream_of_files(spark: SparkSession, tree: Path) -> None:
    columns = "path string, modificationTime timestamp, length long, content binary"
    files = spark.readStream.format("binaryFile").schema(columns).load(f"{tree}/b")
    query = decodeImages(files).writeStream.format("memory").queryName("stream_of_files")
    query.trigger(availableNow=True).start().awaitTermination(60)
    rows = by_name(spark.table("stream_of_files"))
    assert rows["2.jpg"].length == len(photo(2))
    np.testing.assert_array_equal(imageStructToArray(rows["2.jpg"].image, "RGB"), noise(2))
    assert rows["cut.png"].reason == "TRUNCATED"


def test_resizing_in_spark(spark: SparkSession) -> None:
    rows = [(arrayToImageStruct(noise(5), "x", "RGB"),), (None,)]
    frame = spark.createDataFrame(rows, StructType().add("image", image_type()))
    small = createResizeImageUDF((6, 4))
    resized, nothing = frame.select(small(F.col("image")).alias("image")).collect()
    np.testing.assert_array_equal(
        imageStructToArray(resized.image, "RGB"), resize_rgb(noise(5), 6, 4)
    )
    assert (resized.image.origin, nothing.image) == ("x", None)
