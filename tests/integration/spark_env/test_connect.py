"""The library in a Spark Connect session, with a server of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.spark_env import library_house as house
from tests.integration.spark_env.gateway_house import new_workspace

pytestmark = pytest.mark.integration

PROJECT = Path(__file__).parents[3]

PROGRAM = """
import json, sys
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import LogisticRegression
from pyspark.sql import SparkSession
from darkroom import DeepImageFeaturizer, KerasTransformer, readImages, registerKerasImageUDF
from darkroom.contract import ConfigError, Workspace
from darkroom.sql import create_views, register_functions

folder = sys.argv[1]
spark = SparkSession.builder.remote("local[1]").getOrCreate()
said = {"session": type(spark).__module__}
images = readImages(f"{folder}/pictures", numPartitions=1)

stages = [
    DeepImageFeaturizer(inputCol="image", outputCol="features", modelFile=f"{folder}/mean.keras"),
    KerasTransformer(
        inputCol="features", outputCol="doubled", modelFile=f"{folder}/doubler.keras"
    ),
    LogisticRegression(maxIter=2),
]
fitted = Pipeline(stages=stages).fit(images)
rows = fitted.transform(images).orderBy("origin").collect()
said["pipeline"] = [[row["label"], row["prediction"], row["doubled"]] for row in rows]

registerKerasImageUDF("tint", f"{folder}/colours.keras", labels=["red", "green", "blue"])
images.createOrReplaceTempView("traffic_imgs")
query = "SELECT tint(image)[0].label AS best FROM traffic_imgs ORDER BY origin"
said["sql"] = [row["best"] for row in spark.sql(query).collect()]

workspace = Workspace(f"{folder}/workspace")
said["deployed"] = [register_functions(spark, workspace), create_views(spark, workspace)]
query = "SELECT see_detail(image).model_version AS v, see_top(image, 1) AS top FROM seen"
rows = spark.sql(f"{query} ORDER BY path").collect()
said["answers"] = [[row["v"], [item["label"] for item in row["top"]]] for row in rows]

named = DeepImageFeaturizer(inputCol="image", outputCol="features", modelName="embedded")
PipelineModel([named]).save(f"{folder}/named")
(loaded,) = PipelineModel.load(f"{folder}/named").stages
said["loaded"] = [loaded.uid == named.uid, loaded.getModelName()]
try:
    fitted.save(f"{folder}/with files")
except ConfigError as error:
    said["refused"] = error.remedy
print("said", json.dumps(said))
# Without it PySpark waits for ever at exit: its models are deleted on the server then.
spark.stop()
"""


@pytest.mark.long
def test_the_library_in_a_connect_session(tmp_path: Path) -> None:
    house.save_mean(tmp_path / "mean.keras")
    house.save_doubler(tmp_path / "doubler.keras")
    house.colour_classifier().save(tmp_path / "colours.keras")
    new_workspace(tmp_path / "workspace")
    for label, colour in enumerate(["red", "blue"]):
        place = tmp_path / f"pictures/label={label}"
        place.mkdir(parents=True)
        for n in range(2):
            (place / f"{n}.png").write_bytes(house.picture(colour))

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        env={
            **os.environ,
            "DARKROOM_CACHE": str(tmp_path / "cache"),
            "PYSPARK_PYTHON": sys.executable,
            "PYTHONPATH": os.pathsep.join([str(PROJECT / "spark_jobs"), str(PROJECT), *sys.path]),
            "SPARK_LOCAL_IP": "127.0.0.1",
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("said ")]
    said = json.loads(line.removeprefix("said "))
    red, blue = [0, 0.0, [510, 0, 0]], [1, 1.0, [0, 0, 510]]
    assert said == {
        "session": "pyspark.sql.connect.session",
        "pipeline": [red] * 2 + [blue] * 2,
        "sql": ["red"] * 2 + ["blue"] * 2,
        "deployed": [["see"], ["colours_predictions", "colours_shadow_predictions", "seen"]],
        "answers": [["1", ["blue"]], ["1", ["red"]]],
        "loaded": [True, "embedded"],
        "refused": "a stage with files of its own is saved and loaded by a classic Spark session "
        "only: Spark Connect cannot transfer them",
    }
