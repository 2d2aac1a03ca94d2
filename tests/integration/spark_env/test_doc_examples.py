"""The Python examples of the library's pages do what the pages say."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.ml.linalg import DenseVector
from pyspark.sql import SparkSession

from tests.integration.spark_env.doc_examples import (
    ESTIMATOR_PAGE,
    LAST,
    LIBRARY_PAGE,
    a_readers_files,
    a_trainers_files,
    run_examples,
)

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("tensorflow_workers")]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_CACHE", str(tmp_path / "cache"))


# In place of what takes minutes. As they stand, make test-parity runs the pages.
ONE_TASK = {'mode="dropmalformed")': 'mode="dropmalformed", numPartitions=1).cache()'}
QUICK_LIBRARY = {
    **ONE_TASK,
    'modelName="ResNet50"': "modelFile=signs",
    'modelName="InceptionV3"': "modelFile=signs",
    "maxIter=20": "maxIter=2",
    "search.fit(": "pipeline.fit(",
}
QUICK_ESTIMATOR = {**ONE_TASK, "search.fit(images).bestModel": "estimator.fit(images)"}


def test_the_library_page(spark: SparkSession, tmp_path: Path) -> None:
    names = {"signs": tmp_path / "models/signs.keras", **a_readers_files(spark, tmp_path)}

    assert run_examples(LIBRARY_PAGE, names, tmp_path, QUICK_LIBRARY) == 5

    assert len(names["grid"]) == 2
    assert [row["scores"] for row in names["scores"].collect()] == [DenseVector([3.0]), None]
    assert names["forecasts"].first()["forecast"] == [2.0, 4.0, 6.0]
    assert names["scored"].first()["similarity"] == [11.0]
    assert names["halves"].first()["halves"] == [2.0, 3.0]
    answers = [row["objects"] for row in names[LAST].collect()]
    assert [{item["label"] for item in answer} for answer in answers] == [{"stop", "yield"}] * 2


def test_the_estimator_page(spark: SparkSession, tmp_path: Path) -> None:
    names = a_trainers_files(spark, tmp_path)

    assert run_examples(ESTIMATOR_PAGE, names, tmp_path, QUICK_ESTIMATOR) == 1

    assert (tmp_path / "models/signs/metadata").is_dir()
    assert len(names["best"].history["accuracy"]) == 1
    assert names["best"].classes == list(range(10))


def test_a_failing_example_is_found_by_its_line(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```python\na = 1\n```\n\n```python\n(a,\n b)\n```\n")

    with pytest.raises(NameError) as caught:
        run_examples(page, {}, tmp_path)

    assert (caught.traceback[-1].path, caught.traceback[-1].lineno + 1) == (page, 9)
