"""A source that grows: the stages before the training pay for what is new alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from darkroom.contract import columns as c
from darkroom.stages.featurize import featurize
from darkroom.stages.run import StageRun
from tests.integration.spark_env.ingest_house import Place, counts
from tests.unit.spark_env.pictures import photo, photos, write_tree

pytestmark = pytest.mark.integration


def test_one_percent_more_images_cost_one_percent_of_the_features(
    spark: SparkSession, tmp_path: Path
) -> None:
    place = Place(spark, tmp_path, {**photos("a", 50, 0), **photos("b", 50, 500)})

    def retrain(run_id: str) -> tuple[tuple[int, ...], tuple[int, int]]:
        ingested = place.ingest(run_id)
        folder = place.workspace.run("signs", run_id)
        folder.write(ingested)
        run = StageRun(folder=folder, options={"backbone": "embedded"})
        outputs = featurize(spark, place.config, place.workspace, run).outputs
        return counts(ingested), (outputs["computed"], outputs["reused"])

    first = retrain("r1")
    write_tree(place.source, {"b/new.png": photo(999)})
    second = retrain("r2")
    third = retrain("r3")

    # Files found, accepted, rejected and unchanged; then vectors computed and reused.
    assert first == ((100, 100, 0, 0), (100, 0))
    assert second == ((101, 1, 0, 100), (1, 100))
    assert third == ((101, 0, 0, 101), (0, 101))
    runs = [row[c.RUN_ID] for row in place.lake.rows("signs", c.FEATURES)]
    assert (runs.count("r1"), runs.count("r2"), len(runs)) == (100, 1, 101)
