"""The engines inside Spark's Python workers: same answers, one load, no TensorFlow, flat memory."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from darkroom.ml.answers import float_lists
from darkroom.ml.engines import Engine, PreparedModel, load, prepare
from darkroom.ml.inference import (
    encoded,
    image_predictor,
    map_batches,
    predict_images,
)
from tests.unit.spark_env.pictures import photo

pytestmark = pytest.mark.integration

PROJECT = Path(__file__).parents[3]
SIDE = 8
WIDTH = 4


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import keras

    keras.utils.set_random_seed(3)
    pixels = keras.Input((SIDE, SIDE, 3), name="pixels")
    small = keras.layers.Rescaling(1 / 255)(pixels)
    features = keras.layers.Conv2D(WIDTH, 3, activation="relu")(small)
    file = tmp_path_factory.mktemp("models") / "small.keras"
    keras.Model(pixels, keras.layers.GlobalAveragePooling2D(name="f")(features)).save(file)
    return file


@pytest.fixture(scope="module")
def prepared(model_file: Path) -> PreparedModel:
    return prepare(model_file, model_file.parent)


def test_spark_answers_as_keras_does_in_order(
    spark: SparkSession, model_file: Path, prepared: PreparedModel
) -> None:
    assert prepared.engine is Engine.OPENVINO
    pictures = [photo(n) if n % 7 else None for n in range(60)] + [b"no picture"]
    frame = spark.createDataFrame(list(enumerate(pictures)), "id int, image binary")

    rows = predict_images(frame.repartitionByRange(3, "id"), prepared).collect()

    keras = prepare(model_file, model_file.parent, Engine.TENSORFLOW)
    expected = [one.value for one in image_predictor(keras)(pictures)]
    assert [row["id"] for row in rows] == list(range(61))
    for row, right in zip(rows, expected, strict=True):
        if right is None:
            assert row["vector"] is None
        else:
            np.testing.assert_allclose(row["vector"], right, rtol=1e-5)


Run = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]
SAID = "pid long, loads long, tensorflow boolean, peak long"


def predicting(prepared: PreparedModel) -> Run:
    """Predicts as `predict_images` does; a worker answers only what it says of itself then.

    That is: pid, models loaded so far, whether TensorFlow is imported, peak memory in kB.
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in map_batches(
            batches,
            prepared,
            lambda batch: encoded(batch.column("image")),
            lambda batch, found: pa.record_batch(
                [float_lists([one.value for one in found])], ["v"]
            ),
        ):
            pass
        yield pa.record_batch(
            {
                "pid": [os.getpid()],
                "loads": [load.cache_info().misses],
                "tensorflow": ["tensorflow" in sys.modules],
                "peak": [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss],
            }
        )

    return run


@pytest.fixture
def fresh_workers(spark: SparkSession) -> Iterator[None]:
    """Python workers that have run nothing before: Spark keeps those of other variables apart."""
    spark.sparkContext.environment["DARKROOM_TEST"] = str(time.time_ns())
    yield
    del spark.sparkContext.environment["DARKROOM_TEST"]


@pytest.mark.usefixtures("fresh_workers")
def test_a_worker_loads_a_model_once_and_never_tensorflow(
    spark: SparkSession, prepared: PreparedModel
) -> None:
    frame = spark.createDataFrame([(photo(n),) for n in range(8)], "image binary").repartition(4)

    said = [row for _ in range(3) for row in frame.mapInArrow(predicting(prepared), SAID).collect()]

    assert {row["loads"] for row in said} == {1}
    assert not any(row["tensorflow"] for row in said)


SMALL, LARGE = 200, 5000


@pytest.mark.usefixtures("fresh_workers")
def test_memory_is_flat_whatever_the_partition_size(
    spark: SparkSession, prepared: PreparedModel
) -> None:
    # A real JPEG of some 35 kB; 5,000 of them would be 170 MB, and 2.8 GB decoded.
    from benchmarks.photographs import photograph

    picture = spark.createDataFrame([(photograph(1),)], "image binary")

    def peak(count: int) -> int:
        rows = spark.range(0, count, 1, 1).crossJoin(picture).coalesce(1)
        (said,) = rows.mapInArrow(predicting(prepared), SAID).collect()
        return int(said["peak"])

    small, large = peak(SMALL), peak(LARGE)

    assert large <= 1.1 * small, f"{small} kB grew to {large} kB"


SHIPPED = """
import sys
from pathlib import Path
from pyspark.sql import SparkSession
from darkroom.ml.engines import load, prepare, ship
from darkroom.ml.inference import predict_images
spark = SparkSession.builder.master("local-cluster[1,1,1024]").getOrCreate()
file = Path(sys.argv[1])
made = prepare(file, file.parent)
shipped = ship(spark, made)
assert ship(spark, made) == shipped and shipped.file.startswith("sent:")
away = Path(made.file).rename(made.file + ".away")
frame = spark.createDataFrame([(bytearray(Path(sys.argv[2]).read_bytes()),)], "image binary")
print("answer", *predict_images(frame, shipped).collect()[0]["vector"])
away.rename(made.file)
"""


@pytest.mark.long
def test_a_cluster_s_workers_are_sent_the_model(
    model_file: Path, prepared: PreparedModel, tmp_path: Path
) -> None:
    (tmp_path / "picture.png").write_bytes(photo(1))
    done = subprocess.run(
        [sys.executable, "-c", SHIPPED, str(model_file), str(tmp_path / "picture.png")],
        env={
            **os.environ,
            "PYTHONPATH": str(PROJECT / "spark_jobs"),
            "PYSPARK_PYTHON": sys.executable,
            "SPARK_LOCAL_IP": "127.0.0.1",
        },
        capture_output=True,
        text=True,
        check=False,
    )

    answers = [line.split()[1:] for line in done.stdout.splitlines() if "answer" in line]
    assert len(answers) == 1, done.stderr[-2000:]
    (right,) = image_predictor(prepared)([photo(1)])
    assert right.value is not None
    np.testing.assert_allclose([float(value) for value in answers[0]], right.value, rtol=1e-5)
