"""The search for a head beside pyspark.ml's cross-validator and beside a plain loop.

Two questions. What does featurizing once bring: the search over two backbones and three strengths
of the regularisation with three folds, by `ImageCrossValidator` and by pyspark.ml's, over the whole
pipeline from pictures. And what do heads as tasks bring: three folds and six strengths on feature
vectors that are there already, by ``darkroom.tuning``, by pyspark.ml's and by scikit-learn in one
process.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from benchmarks.photographs import photograph
from benchmarks.results import Row
from darkroom.contract import TuningConfig
from darkroom.tuning.folds import FOLD, TRUTH
from darkroom.tuning.results import ResultStore
from darkroom.tuning.rows import TrainRows
from darkroom.tuning.search import search

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyspark.sql import DataFrame, SparkSession

Result = TypeVar("Result")

CORES = 2
FOLDS = 3
PARTS = 4 * CORES
HEAP = "4g"

PICTURES = 400
CLASSES = 10
NETWORKS = ("ResNet50", "InceptionV3")
CV_REG_PARAMS = (0.01, 0.1, 1.0)
CV_ITERATIONS = 20
"""What programs for sparkdl set."""
COLD_GOAL, WARM_GOAL = 6.0, 20.0

IMAGES, WIDTH = 5_000, 2_048
REG_PARAMS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
ITERATIONS = 100
PYSPARK_GOAL, LOOP_GOAL = 10.0, 2.0
TOLERATED = 0.005
"""Largest difference of a mean accuracy between Spark ML's fits and ours."""

FACTORS = 64
"""What the vectors are made of: a network's features are far fewer than their number."""

SEPARATION, NOISE = 0.3, 0.5
"""Of the classes' centres, and of each feature, in deviations of a factor: classes overlap, and one
strength of the regularisation is better than the others."""


def measure_cv(share: float = 1.0) -> Iterator[Row]:
    """Yields the rows of the search over pictures.

    Args:
        share: Of the pictures; less to try the benchmark out.
    """
    from pyspark.ml.tuning import CrossValidator

    from darkroom import ImageCrossValidator

    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as folder, _session() as spark:
        count = max(6 * CLASSES, round(PICTURES * share))
        frame = _pictures(spark, count, Path(folder) / "pictures")
        weights = _weights(Path(folder))
        kept = str(Path(folder) / "features")

        def run(kind: Any, **params: Any) -> tuple[float, Any]:
            return timed(lambda: _cv(kind, weights, **params).fit(frame))

        # Networks are prepared, and workers have loaded one, before the clock starts.
        _cv(ImageCrossValidator, weights).fit(frame.where("label < 2"))
        cold, ours = run(ImageCrossValidator, featuresDir=kept)
        warm, again = run(ImageCrossValidator, featuresDir=kept)
        theirs_seconds, theirs = run(CrossValidator)
    same = ours.avgMetrics == theirs.avgMetrics == again.avgMetrics
    gap = float(np.abs(np.subtract(ours.avgMetrics, theirs.avgMetrics)).max())
    note = (
        f"{count} pictures, {' and '.join(NETWORKS)}, {len(CV_REG_PARAMS)} regParams x {FOLDS} "
        f"folds: {{:.1f}} s against {theirs_seconds:.1f} s by pyspark.ml's CrossValidator; "
        + ("the same avgMetrics" if same else f"avgMetrics differ by up to {gap:.2g}")
    )
    for name, seconds, goal in (("cold", cold, COLD_GOAL), ("warm", warm, WARM_GOAL)):
        ratio = theirs_seconds / seconds
        yield _row(f"cv_vs_pyspark_{name}", ratio, goal, same, note.format(seconds))


def measure_heads(share: float = 1.0) -> Iterator[Row]:
    """Yields the rows of the search over feature vectors.

    Args:
        share: Of the vectors; less to try the benchmark out.
    """
    count = max(60 * CLASSES, round(IMAGES * share))
    vectors, truths, folds = _clouds(count)
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as folder, _session() as spark:
        frame = _vectors(spark, vectors, truths, folds, Path(folder) / "vectors")
        config = TuningConfig(folds=FOLDS, reg_params=REG_PARAMS, max_iterations=ITERATIONS)
        rows = TrainRows(
            backbone="vectors",
            backbone_key="",
            labels=tuple(f"class {n}" for n in range(CLASSES)),
            images=count,
            width=WIDTH,
            frame=frame,
            identity="",
        )
        store = ResultStore(Path(folder) / "trials")
        # Workers have imported scikit-learn before the clock starts.
        small = TuningConfig(folds=FOLDS, reg_params=(1.0,), max_iterations=1)
        search(rows, small, ResultStore(Path(folder) / "first"))
        own_seconds, found = timed(lambda: search(rows, config, store))
        theirs_seconds, theirs = timed(lambda: _pyspark_heads(frame))
    loop_seconds, loop = timed(lambda: _loop(vectors, truths, folds))
    ours = [trial.mean for trial in found.trials]
    for name, other, seconds, goal in (
        ("heads_vs_pyspark_cv", list(theirs.avgMetrics), theirs_seconds, PYSPARK_GOAL),
        ("heads_vs_loop", loop, loop_seconds, LOOP_GOAL),
    ):
        gap = float(np.abs(np.subtract(ours, other)).max())
        same = gap <= TOLERATED and int(np.argmax(ours)) == int(np.argmax(other))
        note = (
            f"{count:,} x {WIDTH:,} vectors, {FOLDS} folds x {len(REG_PARAMS)} regParams: "
            f"{own_seconds:.1f} s against {seconds:.1f} s; mean accuracies differ by up to "
            f"{gap:.4f}, winners: {REG_PARAMS[int(np.argmax(ours))]:g} and "
            f"{REG_PARAMS[int(np.argmax(other))]:g}"
        )
        yield _row(name, seconds / own_seconds, goal, same, note)


def _row(name: str, ratio: float, goal: float, same: bool, note: str) -> Row:
    return Row(
        name=name,
        value=round(ratio, 2),
        unit="x",
        goal=f">= {goal:g}",
        # A quick search that finds something else has not reached anything.
        met=ratio >= goal and same,
        samples=[round(ratio, 2)],
        note=note,
    )


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Seconds that something takes, and its result."""
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result


@contextmanager
def _session() -> Iterator[SparkSession]:
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master(f"local[{CORES}]").appName("benchmark")
    # As in a notebook: Spark ML's arithmetic is worth the full compiler's time.
    builder = builder.config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=4")
    spark = builder.config("spark.driver.memory", HEAP).getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    # One file a partition, however small.
    spark.conf.set("spark.sql.files.openCostInBytes", 1 << 30)
    try:
        yield spark
    finally:
        spark.stop()


def _pictures(spark: SparkSession, count: int, folder: Path) -> DataFrame:
    """Photographs whose class is the hue that they are drawn from."""
    rows = [(photograph(n), float(n % CLASSES)) for n in range(count)]
    spark.createDataFrame(rows, "image binary, label double").repartition(PARTS).write.parquet(
        str(folder)
    )
    return spark.read.parquet(str(folder))


def _weights(folder: Path) -> dict[str, str]:
    """Seeded random weights: what is measured does not depend on them."""
    from darkroom.backbones.libraries import import_keras

    keras = import_keras()
    files = {}
    for name in NETWORKS:
        keras.utils.set_random_seed(7)
        files[name] = str(folder / f"{name}.weights.h5")
        network = getattr(keras.applications, name)(include_top=False, weights=None)
        network.save_weights(files[name])
    return files


def _cv(kind: Any, weights: dict[str, str], **params: Any) -> Any:
    from pyspark.ml import Pipeline
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.evaluation import MulticlassClassificationEvaluator
    from pyspark.ml.tuning import ParamGridBuilder

    from darkroom import DeepImageFeaturizer

    featurizer = DeepImageFeaturizer(inputCol="image", outputCol="features", weights=weights)
    head = LogisticRegression(maxIter=CV_ITERATIONS)
    grid = ParamGridBuilder().addGrid(featurizer.modelName, list(NETWORKS))
    return kind(
        estimator=Pipeline(stages=[featurizer, head]),
        estimatorParamMaps=grid.addGrid(head.regParam, list(CV_REG_PARAMS)).build(),
        evaluator=MulticlassClassificationEvaluator(metricName="accuracy"),
        numFolds=FOLDS,
        seed=7,
        parallelism=CORES,
        **params,
    )


def _clouds(
    count: int,
) -> tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.intp]]:
    """Vectors, classes and folds; the classes overlap."""
    random = np.random.default_rng(7)
    truths = random.integers(0, CLASSES, count)
    centres = random.normal(0, SEPARATION, (CLASSES, FACTORS))
    factors = random.normal(0, 1, (count, FACTORS)) + centres[truths]
    mixed = factors @ random.normal(0, FACTORS**-0.5, (FACTORS, WIDTH))
    rectified = np.maximum(mixed + random.normal(0, NOISE, mixed.shape), 0)
    vectors = rectified.astype(np.float32)
    return vectors, truths, random.integers(0, FOLDS, count)


def _vectors(
    spark: SparkSession,
    vectors: NDArray[np.float32],
    truths: NDArray[np.intp],
    folds: NDArray[np.intp],
    folder: Path,
) -> DataFrame:
    """As the lake holds them: rows of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    flat = pa.array(vectors.ravel())
    offsets = pa.array(np.arange(0, vectors.size + 1, WIDTH, dtype=np.int32))
    table = pa.table(
        {
            "image_id": [f"{n:08}" for n in range(len(vectors))],
            TRUTH: truths.astype(np.float64),
            FOLD: folds.astype(np.int32),
            "vector": pa.ListArray.from_arrays(offsets, flat),
        }
    )
    folder.mkdir()
    pq.write_table(table, folder / "0.parquet")
    return spark.read.parquet(str(folder))


def _pyspark_heads(frame: DataFrame) -> Any:
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.evaluation import MulticlassClassificationEvaluator
    from pyspark.ml.functions import array_to_vector
    from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
    from pyspark.sql import functions as F

    data = frame.select(TRUTH, FOLD, array_to_vector(F.col("vector")).alias("features"))
    data = data.repartition(CORES).persist()
    data.count()
    head = LogisticRegression(labelCol=TRUTH, maxIter=ITERATIONS)
    return CrossValidator(
        estimator=head,
        estimatorParamMaps=ParamGridBuilder().addGrid(head.regParam, list(REG_PARAMS)).build(),
        evaluator=MulticlassClassificationEvaluator(metricName="accuracy", labelCol=TRUTH),
        numFolds=FOLDS,
        foldCol=FOLD,
        parallelism=CORES,
    ).fit(data)


def _loop(
    vectors: NDArray[np.float32], truths: NDArray[np.intp], folds: NDArray[np.intp]
) -> Sequence[float]:
    """What one writes without Spark, on all cores; with the refit, as the others."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def fitted(reg_param: float, rows: NDArray[np.bool_]) -> Any:
        head = LogisticRegression(C=1 / (reg_param * rows.sum()), max_iter=ITERATIONS)
        return make_pipeline(StandardScaler(), head).fit(vectors[rows], truths[rows])

    means = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for reg_param in REG_PARAMS:
            scores = [
                fitted(reg_param, folds != n).score(vectors[folds == n], truths[folds == n])
                for n in range(FOLDS)
            ]
            means.append(float(np.mean(scores)))
        fitted(REG_PARAMS[int(np.argmax(means))], np.ones(len(truths), bool))
    return means
