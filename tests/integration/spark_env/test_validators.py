"""ImageCrossValidator and ImageTrainValidationSplit beside pyspark.ml's, number for number."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.ml import Pipeline
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import (
    BinaryClassificationEvaluator,
    MulticlassClassificationEvaluator,
)
from pyspark.ml.feature import SQLTransformer, StringIndexer
from pyspark.ml.linalg import DenseVector
from pyspark.ml.param import Param
from pyspark.ml.tuning import (
    CrossValidator,
    CrossValidatorModel,
    ParamGridBuilder,
    TrainValidationSplit,
    TrainValidationSplitModel,
)
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from darkroom import DeepImageFeaturizer, ImageCrossValidator, ImageTrainValidationSplit
from darkroom.contract import ConfigError
from darkroom.tuning.validators.feature_files import transformed
from darkroom.tuning.validators.prefixes import _packed
from tests.integration.spark_env import spy_stage
from tests.integration.spark_env.conftest import bar_workers
from tests.integration.spark_env.library_house import plain_picture, save_mean
from tests.integration.spark_env.spy_stage import Scaler

pytestmark = pytest.mark.integration

ROWS = 60


def accuracy(label: str) -> MulticlassClassificationEvaluator:
    return MulticlassClassificationEvaluator(metricName="accuracy", labelCol=label)


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    """Two clouds that overlap; groups of two rows."""
    random = np.random.default_rng(4)
    given = [
        (float(random.normal(n % 2, 0.8)), "odd" if n % 2 else "even", n // 4, n // 2 % 2, n % 2)
        for n in range(ROWS)
    ]
    frame = spark.createDataFrame(given, "x double, label string, twins int, half int, parity int")
    return frame.repartition(2).cache()


@pytest.fixture(autouse=True)
def runs(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """By output column the number of rows that the stages were run on."""
    counts = {name: spark.sparkContext.accumulator(0) for name in ("features", "more")}
    for name, count in counts.items():
        monkeypatch.setitem(spy_stage.RUNS, name, count)
    return counts


class Grid:
    """An indexer, a featurizer with two settings, a head with two settings."""

    def __init__(self) -> None:
        self.featurizer = Scaler()
        self.head = LogisticRegression(labelCol="y", maxIter=2)
        indexer = StringIndexer(inputCol="label", outputCol="y")
        self.pipeline = Pipeline(stages=[indexer, self.featurizer, self.head])
        builder = ParamGridBuilder().addGrid(self.head.regParam, [0.01, 3.0])
        self.maps = builder.addGrid(self.featurizer.scale, [0.0, 5.0]).build()

    def search(self, kind: Any, **params: Any) -> Any:
        return kind(
            estimator=self.pipeline,
            estimatorParamMaps=self.maps,
            evaluator=accuracy("y"),
            parallelism=2,
            **params,
        )


def predictions(model: Any, rows: DataFrame) -> list[Any]:
    return [tuple(row) for row in model.transform(rows).select("x", "prediction").collect()]


@pytest.mark.parametrize(
    ("params", "step"),
    [pytest.param({"seed": 5}, 1, marks=pytest.mark.long), ({"foldCol": "half"}, 3)],
)
def test_the_numbers_and_the_winner_are_those_of_pysparks(
    rows: DataFrame, runs: dict[str, Any], params: dict[str, Any], step: int, tmp_path: Path
) -> None:
    grid = Grid()
    grid.maps = grid.maps[::step]
    given = {"numFolds": 2, **params}
    ours: Any = grid.search(ImageCrossValidator, collectSubModels=True, **given).fit(rows)
    # Once for each of the two settings, of all folds and heads.
    assert runs["features"].value == 2 * ROWS
    theirs: Any = grid.search(CrossValidator, **given).fit(rows)

    models, best = ours.subModels, ours.bestModel
    assert type(ours) is CrossValidatorModel
    assert ours.avgMetrics == theirs.avgMetrics
    assert ours.stdMetrics == theirs.stdMetrics
    assert len(set(ours.avgMetrics)) > 1
    assert predictions(ours, rows) == predictions(theirs, rows)
    mine, known = best.stages, theirs.bestModel.stages
    assert mine[1].getOrDefault("scale") == known[1].getOrDefault("scale")
    assert mine[2].coefficients == known[2].coefficients
    assert [len(fold) for fold in models] == [len(grid.maps)] * 2
    assert predictions(models[1][0], rows)
    assert ours.getNumFolds() == 2

    if "seed" in params:
        ours.write().option("persistSubModels", "false").save(str(tmp_path / "found"))
        again = CrossValidatorModel.load(str(tmp_path / "found"))
        assert again.avgMetrics == ours.avgMetrics
        assert predictions(again, rows) == predictions(ours, rows)


def test_one_split_is_pysparks_too(rows: DataFrame, runs: dict[str, Any]) -> None:
    grid = Grid()
    grid.maps = grid.maps[::3]
    ours = grid.search(ImageTrainValidationSplit, trainRatio=0.6).fit(rows)
    assert runs["features"].value == 2 * ROWS
    theirs = grid.search(TrainValidationSplit, trainRatio=0.6).fit(rows)

    assert type(ours) is TrainValidationSplitModel
    assert ours.validationMetrics == theirs.validationMetrics
    assert len(set(ours.validationMetrics)) > 1
    assert predictions(ours, rows) == predictions(theirs, rows)


@pytest.mark.long
def test_stages_before_a_difference_run_once(rows: DataFrame, runs: dict[str, Any]) -> None:
    """The first is shared by all trials, the second by those of one scale."""
    head = LogisticRegression(labelCol="parity", featuresCol="more", maxIter=1)
    second = Scaler("features", "more")
    maps = ParamGridBuilder().addGrid(second.scale, [1.0, 2.0]).addGrid(head.regParam, [0.0, 1.0])
    ImageCrossValidator(
        estimator=Pipeline(stages=[Scaler(), second, head]),
        estimatorParamMaps=maps.build(),
        evaluator=accuracy("parity"),
        numFolds=2,
    ).fit(rows)
    assert {name: count.value for name, count in runs.items()} == {
        "features": ROWS,
        "more": 2 * ROWS,
    }


@pytest.mark.long
def test_rows_that_a_stage_drops_change_no_fold(rows: DataFrame) -> None:
    """The folds are drawn over the rows as they came in, as pyspark.ml draws them."""
    head = LogisticRegression(labelCol="parity", featuresCol="features", maxIter=1)
    fewer = SQLTransformer(statement="SELECT * FROM __THIS__ WHERE x > 0.2")
    pipeline = Pipeline(stages=[fewer, Scaler(), head])
    numbers = [
        kind(
            estimator=pipeline,
            estimatorParamMaps=[{}],
            evaluator=accuracy("parity"),
            numFolds=2,
            seed=9,
        )
        .fit(rows)
        .avgMetrics
        for kind in (ImageCrossValidator, CrossValidator)
    ]
    assert numbers[0] == numbers[1]


def test_groups_stay_together(rows: DataFrame) -> None:
    search = ImageCrossValidator(numFolds=3, seed=1, groupCol="twins")
    frame, splits = search._divided(rows)
    folds: dict[int, set[int]] = {}
    for number, (train, validation) in enumerate(splits):
        held_out = frame.filter(validation).select("twins").collect()
        assert len(held_out) + frame.filter(train).count() == ROWS
        for row in held_out:
            folds.setdefault(row["twins"], set()).add(number)
    assert len(folds) == ROWS // 4
    assert all(len(found) == 1 for found in folds.values())
    assert set().union(*folds.values()) == {0, 1, 2}

    frame, share = ImageTrainValidationSplit(groupCol="twins", seed=2)._shares(rows)
    shares = frame.groupBy("twins").agg(F.min(share), F.max(share)).collect()
    assert all(0 <= row[1] == row[2] < 1 for row in shares)
    assert len({row[1] for row in shares}) == ROWS // 4


@pytest.mark.parametrize(
    "kind",
    [ImageCrossValidator, pytest.param(ImageTrainValidationSplit, marks=pytest.mark.long)],
)
def test_a_saved_search_is_the_same(kind: Any, tmp_path: Path) -> None:
    grid = Grid()
    grid.maps = [{grid.head.regParam: 0.5}, {grid.featurizer.scale: 3.0}]
    search = grid.search(kind, seed=6, groupCol="twins")
    search.write().overwrite().save(str(tmp_path / "search"))
    again = kind.load(str(tmp_path / "search"))
    assert type(again) is kind
    assert again.uid == search.uid
    assert again.getGroupCol() == "twins"
    assert again.getOrDefault("seed") == 6
    assert again.getEstimatorParamMaps() == search.getEstimatorParamMaps()
    assert [s.uid for s in again.getEstimator().getStages()] == [
        s.uid for s in search.getEstimator().getStages()
    ]
    assert again.getEvaluator().getMetricName() == "accuracy"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"estimatorParamMaps": []},
            "estimatorParamMaps = []: there is nothing to try: give at least one param map, [{}] "
            "for the defaults",
        ),
        ({"foldCol": "fold"}, "foldCol = 'fold': no such column, there are ['x', 'label', 'twins'"),
        ({"groupCol": "group"}, "groupCol = 'group': no such column, there are ['x', 'label'"),
        (
            {"groupCol": "twins", "foldCol": "half"},
            "groupCol = 'twins': set either foldCol or groupCol",
        ),
        (
            {"foldCol": "twins"},
            "a row has this fold: give whole numbers from 0 to numFolds - 1 = 2",
        ),
        (
            {"foldCol": "half"},
            "foldCol = 2: of 3 folds this one has no row: give more rows or lower numFolds",
        ),
    ],
)
def test_a_search_that_cannot_be_made_is_refused_before_anything_is_fitted(
    rows: DataFrame, runs: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    search = Grid().search(ImageCrossValidator, numFolds=3)
    for name, value in change.items():
        search._set(**{name: value})
    with pytest.raises(ConfigError) as refused:
        search.fit(rows)
    assert message in str(refused.value)
    assert runs["features"].value == 0


def test_groups_that_cannot_be_divided_are_refused(rows: DataFrame) -> None:
    split = ImageTrainValidationSplit(groupCol="twins")
    with pytest.raises(ConfigError) as refused:
        split._shares(rows.where("twins = 3"))
    assert str(refused.value) == (
        "groupCol = 'twins': all of its groups are on one side: give more groups, or another seed"
    )
    some = rows.withColumn("twins", F.when(F.col("twins") > 2, F.col("twins")))
    for search in (split._shares, ImageCrossValidator(groupCol="twins")._divided):
        with pytest.raises(ConfigError) as refused:
            search(some)
        assert str(refused.value) == (
            "groupCol = 'twins': a row has no value there: give it one of its own"
        )


@pytest.mark.parametrize("kind", [ImageCrossValidator, ImageTrainValidationSplit])
def test_a_metric_that_does_not_fit_the_labels_is_refused(
    rows: DataFrame, runs: dict[str, Any], kind: Any
) -> None:
    evaluator = BinaryClassificationEvaluator(labelCol="twins")
    with pytest.raises(ConfigError) as refused:
        Grid().search(kind)._set(evaluator=evaluator).fit(rows)
    assert str(refused.value) == (
        "evaluator = 'BinaryClassificationEvaluator': its areaUnderROC is for two classes, and "
        "column 'twins' has 15: take a MulticlassClassificationEvaluator"
    )
    assert runs["features"].value == 0


def test_a_class_with_fewer_rows_than_folds_is_refused(
    rows: DataFrame, runs: dict[str, Any]
) -> None:
    """Also where an indexer of the pipeline is what numbers the classes."""
    few = rows.where("label = 'odd' OR twins = 0")
    with pytest.raises(ConfigError) as refused:
        Grid().search(ImageCrossValidator, numFolds=3).fit(few)
    assert str(refused.value) == (
        "label = 'even': 2 of the rows have this label, fewer than numFolds = 3: give more of "
        "them, leave them out, or lower numFolds"
    )
    assert runs["features"].value == 0


def test_a_param_that_no_stage_has_is_refused(rows: DataFrame) -> None:
    grid, stranger = Grid(), LogisticRegression()
    grid.maps = [{stranger.regParam: 0.1}]
    stages = ", ".join(s.uid for s in (grid.pipeline, *grid.pipeline.getStages()))
    with pytest.raises(ConfigError) as refused:
        grid.search(ImageCrossValidator).fit(rows)
    assert str(refused.value) == (
        f"estimatorParamMaps.regParam = 0.1: {stranger.uid} is no stage of the estimator: take "
        f"the Param from one of {stages}"
    )
    unknown: Param[float] = Param(grid.head, "elasticnetparam", "")
    grid.maps = [{unknown: 0.1}]
    with pytest.raises(ConfigError) as refused:
        grid.search(ImageCrossValidator).fit(rows)
    assert str(refused.value) == (
        "estimatorParamMaps.elasticnetparam = 0.1: no stage has this param, did you mean "
        "elasticNetParam or regParam?"
    )


def test_without_an_estimator_there_is_nothing_to_search(rows: DataFrame) -> None:
    with pytest.raises(ConfigError, match=r"^estimator = None: set estimator of ImageCrossVal"):
        ImageCrossValidator().fit(rows)


def test_small_partitions_are_put_together_in_their_order(spark: SparkSession) -> None:
    attributes = {"ml_attr": {"num_attrs": 4}}
    frame = spark.range(0, 40, 1, 8).select("id", F.lit(0).alias("v", metadata=attributes))
    with ExitStack() as kept:
        packed = _packed(frame, kept)
        assert packed.rdd.getNumPartitions() == 2
        assert [row["id"] for row in packed.collect()] == list(range(40))
        plain = spark.range(0, 40, 1, 8)
        assert _packed(plain, kept) is plain


@pytest.mark.long
def test_vectors_that_are_kept_are_not_computed_again(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of more rows only the new picture's vector is computed; order and values are the same."""
    monkeypatch.setenv("DARKROOM_CACHE", str(tmp_path / "cache"))
    bar_workers(spark, monkeypatch)
    computed: list[int] = []
    transform = DeepImageFeaturizer._transform

    def spy(stage: DeepImageFeaturizer, dataset: DataFrame) -> DataFrame:
        computed.append(dataset.count())
        made: DataFrame = transform(stage, dataset)
        return made

    monkeypatch.setattr(DeepImageFeaturizer, "_transform", spy)
    featurizer = DeepImageFeaturizer(
        inputCol="image", outputCol="features", modelFile=save_mean(tmp_path / "mean.keras")
    )
    given = [(n, plain_picture((9 * n, n, n % 3), (8, 8))) for n in range(6)]
    # The same picture twice, one that is none, and no picture at all.
    rows = [*given, (6, given[0][1]), (7, b"junk"), (8, None)]
    some, everything = (spark.createDataFrame(r, "n int, image binary") for r in (given[:5], rows))
    folder = str(tmp_path / "features")

    assert [row["features"] for row in transformed(featurizer, some, folder).collect()] == [
        DenseVector([9 * n, n, n % 3]) for n in range(5)
    ]
    found = transformed(featurizer, everything, folder)
    assert computed == [5, 2]
    assert found.columns == ["n", "image", "features"]
    assert [(row["n"], row["features"]) for row in found.collect()] == [
        *[(n, DenseVector([9 * n, n, n % 3])) for n in (*range(6),)],
        (6, DenseVector([0, 0, 0])),
        (7, None),
        (8, None),
    ]
    assert transformed(featurizer, some, None).columns == found.columns
    assert len(list((tmp_path / "features").iterdir())) == 1
    search = Grid().search(ImageCrossValidator, featuresDir=folder)
    assert search._search().features == folder
