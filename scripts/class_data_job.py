"""A small Spark job that loads the JVM classes Darkroom's stages use.

``class_data_archive.sh`` runs it once, in a JVM that writes every class it loaded to an archive;
later drivers map that archive instead of reading the classes from their jars again.
"""

import tempfile
from collections.abc import Iterator

import pandas as pd
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

IMAGES = 40


def _shout(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    for batch in batches:
        yield batch.assign(label=batch["label"].str.upper())


def _written_and_read(spark: SparkSession, folder: str) -> DataFrame:
    """Writes a table like ``images`` as Parquet and reads it back."""
    rows = spark.range(IMAGES).select(
        F.sha2(F.col("id").cast("string"), 256).alias("image_id"),
        F.col("id").cast("string").cast("binary").alias("content"),
        F.when(F.col("id") % 2 == 0, "even").otherwise("odd").alias("label"),
        F.array(F.col("id").cast("float"), F.rand(seed=1).cast("float")).alias("features"),
        F.current_timestamp().alias("read_at"),
    )
    rows.repartition(2).write.mode("overwrite").parquet(folder)
    return spark.read.parquet(folder)


def _query(spark: SparkSession, images: DataFrame) -> None:
    """Joins, windows, groups and converts, as the stages do."""
    images.createOrReplaceTempView("images")
    spark.udf.register("shout", lambda text: text.upper(), "string")
    spark.sql(
        "SELECT label, count(*) AS n, first(shout(label)) AS loud, max(read_at) AS newest FROM "
        "(SELECT *, row_number() OVER (PARTITION BY label ORDER BY image_id) AS i FROM images) "
        "WHERE i < 10 GROUP BY label HAVING n > 1 ORDER BY n DESC"
    ).collect()
    others = spark.createDataFrame(images.select("image_id").limit(5).toPandas())
    images.join(others, "image_id", "left_anti").dropDuplicates(["image_id"]).count()
    images.mapInPandas(_shout, images.schema).cache().count()


def _fit(images: DataFrame) -> None:
    """Fits the classifier that the tune stage fits."""
    vectors = images.select(
        array_to_vector(F.col("features")).alias("features"),
        (F.col("label") == "even").cast("double").alias("label"),
    )
    LogisticRegression(maxIter=2).fit(vectors).transform(vectors).collect()


def main() -> None:
    """Runs the job in a throw-away folder."""
    spark = SparkSession.builder.appName("class-data").getOrCreate()
    with tempfile.TemporaryDirectory(prefix="darkroom-class-data-") as folder:
        images = _written_and_read(spark, folder)
        _query(spark, images)
        _fit(images)
    spark.stop()


if __name__ == "__main__":
    main()
