"""The stages over pictures, in real Spark jobs with networks whose answers are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pyspark.ml import Pipeline
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.functions import array_to_vector
from pyspark.ml.linalg import DenseVector, VectorUDT
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from darkroom.contract import ConfigError
from darkroom.images import arrayToImageStruct, imageStructToArray
from darkroom.ml.base.attaching import COLUMNAR_INPUT
from darkroom.ml.pictures.column import image_type
from darkroom.ml.pictures.featurizer import DeepImageFeaturizer
from darkroom.ml.pictures.file_transformer import KerasImageFileTransformer
from darkroom.ml.pictures.predictor import DeepImagePredictor
from darkroom.ml.recognition.sql_udf import registerKerasImageUDF
from tests.integration.spark_env import library_house as house
from tests.integration.spark_env.library_house import RGB, picture

pytestmark = pytest.mark.integration

JUNK = "NOT_AN_IMAGE: no known image format starts with bytes 6a 75 6e 6b"


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DARKROOM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def mean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return house.save_mean(tmp_path_factory.mktemp("models") / "mean.keras")


@pytest.fixture
def as_bytes(spark: SparkSession, tmp_path: Path) -> DataFrame:
    rows = [(1, picture("red")), (2, None), (3, b"junk"), (4, picture("teal"))]
    return spark.createDataFrame(rows, "id int, image binary").repartition(2).sort("id")


def test_features_and_reasons_become_columns(as_bytes: DataFrame, mean: Path) -> None:
    featurizer = DeepImageFeaturizer(
        inputCol="image", outputCol="features", modelFile=mean, errorCol="why"
    )

    made = featurizer.transform(as_bytes)

    assert made.columns == ["id", "image", "features", "why"]
    assert made.schema["features"].dataType == VectorUDT()
    assert made.schema["features"].metadata == {"ml_attr": {"num_attrs": 3}}
    assert [tuple(row) for row in made.select("id", "features", "why").collect()] == [
        (1, DenseVector([255, 0, 0]), None),
        (2, None, None),
        (3, None, JUNK),
        (4, DenseVector([0, 128, 64]), None),
    ]


def test_vectors_in_and_beside_parquet_files(
    spark: SparkSession, mean: Path, tmp_path: Path
) -> None:
    """Spark 4.3 would hand a Parquet file's batches on, and fails to if there is a vector."""
    spark.conf.set(COLUMNAR_INPUT, "true")
    pictures = [(n, picture(colour)) for n, colour in enumerate(("red", "teal", "red", "teal"))]
    frame = spark.createDataFrame(pictures, "label int, image binary")
    beside = array_to_vector(F.array(F.col("label").cast("double"))).alias("beside")
    frame.select("*", beside).write.parquet(str(tmp_path / "pictures"))
    featurizer = DeepImageFeaturizer(inputCol="image", outputCol="features", modelFile=mean)

    made = featurizer.transform(spark.read.parquet(str(tmp_path / "pictures")))

    red = made.where("label = 0").select("features", "beside").first()
    assert red == (DenseVector([255, 0, 0]), DenseVector([0]))
    model = LogisticRegression(maxIter=2).fit(made)
    assert model.numFeatures == 3


def test_without_error_col_there_is_no_such_column(as_bytes: DataFrame, mean: Path) -> None:
    made = DeepImageFeaturizer(inputCol="image", outputCol="f", modelFile=mean).transform(as_bytes)

    assert made.columns == ["id", "image", "f"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"inputCol": "id"},
            "inputCol = 'id': its type is int: it must be BINARY (an encoded picture), Spark's "
            "image struct, or STRING (the path or URI of a picture)",
        ),
        ({"inputCol": "x"}, "inputCol = 'x': no such column, there are ['id', 'image']"),
        ({}, "inputCol = None: set inputCol of DeepImageFeaturizer"),
        (
            {"inputCol": "image", "outputCol": "id"},
            "outputCol = 'id': there is a column of that name: choose another",
        ),
        (
            {"inputCol": "image", "outputCol": "f", "errorCol": "f"},
            "errorCol = 'f': there is a column of that name: choose another",
        ),
        (
            {"inputCol": "image", "modelName": "embedded"},
            "modelName = 'embedded': set either modelName or modelFile of DeepImageFeaturizer, "
            "not both",
        ),
    ],
)
def test_what_cannot_be_is_said_at_transform(
    params: dict[str, Any], message: str, as_bytes: DataFrame, mean: Path
) -> None:
    featurizer = DeepImageFeaturizer(modelFile=mean, **params)

    with pytest.raises(ConfigError) as caught:
        featurizer.transform(as_bytes)

    assert str(caught.value) == message


def test_each_picture_is_computed_once_and_only_if_needed(
    spark: SparkSession, mean: Path, tmp_path: Path
) -> None:
    def calls(use: Callable[[DataFrame], DataFrame]) -> list[int]:
        diaries = [tmp_path / f"{n}" for n in range(6)]
        for diary in diaries:
            diary.write_text("")
        frame = spark.createDataFrame(
            [(n, str(diary)) for n, diary in enumerate(diaries)], ["n", "u"]
        )
        transformer = KerasImageFileTransformer(
            inputCol="u",
            outputCol="v",
            modelFile=mean,
            imageLoader=house.load_and_count,
            errorCol="why",
        )
        use(transformer.transform(frame)).collect()
        return [len(diary.read_text().splitlines()) for diary in diaries]

    once = [1] * 6
    assert calls(lambda made: made) == once
    assert calls(lambda made: made.where("v is not null and why is null")) == once
    assert calls(lambda made: made.select("v", "why", F.col("v").alias("again"))) == once
    assert calls(lambda made: made.where("why is null").orderBy(F.desc("n")).limit(2)) == once
    assert calls(lambda made: made.select("n")) == [0] * 6


def test_a_predictor_answers_probabilities_or_names(as_bytes: DataFrame, tmp_path: Path) -> None:
    file = tmp_path / "colours.keras"
    house.colour_classifier().save(file)
    predictor = DeepImagePredictor(inputCol="image", outputCol="out", modelFile=file)
    named = predictor.copy({predictor.decodePredictions: True, predictor.topK: 2})

    vector = predictor.transform(as_bytes).first()
    assert vector is not None
    scores = np.exp(np.array([255, 0, 0]) / 100)
    np.testing.assert_allclose(vector["out"].toArray(), scores / scores.sum(), rtol=1e-5)

    made = named.setLabels(["stop", "go", "wait"]).transform(as_bytes)
    assert made.schema["out"].dataType.simpleString() == (
        "array<struct<class:string,description:string,probability:float>>"
    )
    answers = [row["out"] for row in made.collect()]
    assert [
        answer and [(item["class"], item["description"]) for item in answer] for answer in answers
    ] == [
        [("0", "stop"), ("1", "go")],
        None,
        None,
        [("1", "go"), ("2", "wait")],
    ]
    with pytest.raises(ConfigError, match=r"^labels = \['stop'\]: the model has 3 outputs"):
        named.setLabels(["stop"]).transform(as_bytes)


def test_a_users_loader_may_fail_for_a_row(spark: SparkSession, tmp_path: Path) -> None:
    file = house.save_grey_sum(tmp_path / "sum.keras")
    frame = spark.createDataFrame([("3",), ("x",), (None,), ("0.5",)], "uri string").coalesce(1)
    transformer = KerasImageFileTransformer(
        inputCol="uri",
        outputCol="sum",
        modelFile=file,
        imageLoader="tests.integration.spark_env.library_house:load_number",
        errorCol="why",
    )

    assert [tuple(row)[1:] for row in transformer.transform(frame).collect()] == [
        (DenseVector([24]), None),
        (None, "ValueError: could not convert string to float: 'x'"),
        (None, None),
        (DenseVector([4]), None),
    ]
    with pytest.raises(ConfigError, match=r"inputCol = 'b': it holds bytes, and imageLoader takes"):
        transformer.setInputCol("b").transform(spark.createDataFrame([(b"",)], "b binary"))


def test_an_output_picture_is_sparks_image_struct(as_bytes: DataFrame, tmp_path: Path) -> None:
    transformer = KerasImageFileTransformer(
        inputCol="image",
        outputCol="negative",
        modelFile=house.save_negative(tmp_path / "negative.keras"),
        outputMode="image",
    )

    made = transformer.transform(as_bytes)

    assert made.schema["negative"].dataType == image_type()
    first, missing, *_ = (row["negative"] for row in made.collect())
    assert missing is None
    np.testing.assert_array_equal(
        imageStructToArray(first, channelOrder="RGB"), np.full((8, 8, 3), (0, 255, 255), np.float32)
    )


def dimmed(pixels: Any) -> Any:
    return np.asarray(Image.fromarray(pixels).resize((8, 8)), np.float32) / 2


def test_a_model_answers_from_sql(spark: SparkSession, as_bytes: DataFrame) -> None:
    model = house.colour_classifier()
    registerKerasImageUDF("tint_of", model, labels=["red", "green", "blue"])
    again = registerKerasImageUDF("dim_tint_of", model, preprocessor=dimmed, spark=spark)
    as_bytes.createOrReplaceTempView("encoded")

    answers = spark.sql("SELECT tint_of(image) AS objects FROM encoded ORDER BY id")
    assert answers.schema["objects"].dataType.simpleString() == (
        "array<struct<label:string,probability:float>>"
    )
    best = [row["objects"] and row["objects"][0]["label"] for row in answers.collect()]
    assert best == ["red", None, None, "green"]
    (row,) = as_bytes.where("id = 1").select(again("image").alias("o")).collect()
    strong = np.exp(1.275)
    assert row["o"][0]["label"] == "0"
    assert row["o"][0]["probability"] == pytest.approx(strong / (strong + 2), rel=1e-4)
    with pytest.raises(Exception, match=r"tint_of\(image\): image must be BINARY .*, not int32"):
        spark.sql("SELECT tint_of(id) FROM encoded").collect()
    with pytest.raises(ConfigError, match=r"^labels = \['a'\]: the model has 3 outputs"):
        registerKerasImageUDF("tint_of", model, labels=["a"])
    with pytest.raises(ConfigError, match=r"^name = 'a b': give letters, digits and underscores$"):
        registerKerasImageUDF("a b", model)


def test_a_cross_validator_searches_over_networks(
    spark: SparkSession, mean: Path, tmp_path: Path
) -> None:
    blind = house.save_mean(tmp_path / "blind.keras", scale=0.0)
    kind = StructType([StructField("image", image_type()), StructField("colour", StringType())])
    rows = [
        (arrayToImageStruct(np.full((8, 8, 3), RGB[name], np.uint8), channelOrder="RGB"), name)
        for name in ("red", "green") * 6
    ]
    frame = spark.createDataFrame(rows, kind).withColumn(
        "label", F.when(F.col("colour") == "red", 0.0).otherwise(1.0)
    )
    featurizer = DeepImageFeaturizer(inputCol="image", outputCol="features", modelFile=mean)
    pipeline = Pipeline(stages=[featurizer, LogisticRegression(maxIter=1)])
    grid = ParamGridBuilder().addGrid(featurizer.modelFile, [str(blind), str(mean)]).build()
    validator = CrossValidator(
        estimator=pipeline,
        estimatorParamMaps=grid,
        evaluator=MulticlassClassificationEvaluator(metricName="accuracy"),
        numFolds=2,
        seed=1,
    )

    fitted = validator.fit(frame.coalesce(1))

    assert fitted.avgMetrics[1] == 1.0
    assert fitted.avgMetrics[0] < 0.7
    best: Any = fitted.bestModel
    assert best.stages[0].getModelFile() == str(mean)
