"""Tries a candidate as its users will: loaded from MLflow elsewhere, and asked in SQL."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self

from darkroom.contract import DarkroomError, class_and_text, one_line
from darkroom.contract import columns as c
from darkroom.evaluation.predictions import Predictions
from darkroom.evaluation.resampling import Bootstrap
from darkroom.evaluation.serving import (
    LATENCY_QUERIES,
    Asked,
    Loaded,
    Serving,
    golden_places,
    largest_gap,
)
from darkroom.ml.base.attaching import as_udf
from darkroom.ml.ranking import RETURN_TYPE
from darkroom.ml.recognition.recognizer import recognizer
from darkroom.registry.elsewhere import Stranger
from darkroom.stages.held_out import Model, TestSplit

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FUNCTION: Final = "darkroom_candidate"
VIEW: Final = "darkroom_golden_images"
WARM_UP: Final = 2
"""Queries before those that are timed: workers load the model at their first image."""


@dataclass(frozen=True)
class Golden:
    """Test images that the candidate is asked about more than once.

    Attributes:
        places: Which of the test images.
        images: Encoded.
    """

    places: Sequence[int]
    images: Sequence[bytes]

    @classmethod
    def of(cls, split: TestSplit) -> Golden:
        """Some images of every class."""
        places = golden_places(split.images.truths)
        return cls(places, split.encoded(places))

    def gap(self, answers: Sequence[Any], said: Predictions) -> float:
        """Largest difference of an answer from what the model said before."""
        return largest_gap(answers, said.probabilities[list(self.places)])


class Trial:
    """Tries a candidate both ways; what fails is part of the result.

    Another process starts to load the model at once; leaving the context ends it.

    Args:
        spark: The session; the function and view that it gets are gone afterwards.
        model_uri: Where MLflow has the candidate.
    """

    def __init__(self, spark: SparkSession, model_uri: str) -> None:
        self._spark = spark
        self._stranger = Stranger(model_uri)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stranger.__exit__(*error)

    def begin(self, golden: Golden) -> None:
        """Hands the other process what to answer."""
        self._stranger.ask(golden.images)

    def finish(
        self, model: Model, golden: Golden, said: Predictions, bootstrap: Bootstrap
    ) -> Serving:
        """Asks in SQL as well.

        Args:
            model: The candidate.
            golden: What to ask; the other process was asked the same.
            said: What the candidate said of all test images.
            bootstrap: Gives the intervals of the queries' times.
        """
        with _asking(self._spark, model, golden) as query:
            answered = _answered(self._spark, query, model, golden, said)
            # Queries are timed when the other process has ended.
            loaded = _loaded(self._stranger, golden, said)
            asked = _timed(self._spark, query, golden, answered, bootstrap)
        return Serving(images=len(golden.images), loaded=loaded, asked=asked)


def _loaded(stranger: Stranger, golden: Golden, said: Predictions) -> Loaded:
    try:
        found = stranger.answer()
        gap = golden.gap(found.probabilities, said)
        return Loaded(gap=gap, seconds=found.seconds, memory_mb=found.memory_mb)
    except (DarkroomError, ValueError) as error:
        return Loaded(error=one_line(error))


@contextmanager
def _asking(spark: SparkSession, model: Model, golden: Golden) -> Iterator[str]:
    """The query of all golden images, while there are a function and a view for it."""
    run = recognizer(FUNCTION, model.prepared, model.package.card.labels)
    spark.udf.register(FUNCTION, as_udf(spark, run, RETURN_TYPE))
    numbered = list(enumerate(bytearray(image) for image in golden.images))
    frame = spark.createDataFrame(numbered, "number int, image binary").coalesce(1)
    frame.createOrReplaceTempView(VIEW)
    try:
        yield f"SELECT number, {FUNCTION}(image) AS {c.OBJECTS} FROM {VIEW}"
    finally:
        spark.sql(f"DROP TEMPORARY FUNCTION IF EXISTS {FUNCTION}")
        spark.catalog.dropTempView(VIEW)


def _answered(
    spark: SparkSession, query: str, model: Model, golden: Golden, said: Predictions
) -> Asked:
    """Asks about all images at once."""
    from pyspark.errors import PySparkException

    labels = model.package.card.labels
    try:
        answers = {row["number"]: row[c.OBJECTS] for row in spark.sql(query).collect()}
        found = [_vector(answers.get(number), labels) for number in range(len(golden.images))]
        return Asked(gap=golden.gap(found, said))
    except (PySparkException, ValueError) as error:
        return Asked(error=class_and_text(error))


def _timed(
    spark: SparkSession, query: str, golden: Golden, answered: Asked, bootstrap: Bootstrap
) -> Asked:
    """Asks about one image at a time, if it answers at all."""
    from pyspark.errors import PySparkException

    if answered.error or not golden.images:
        return answered
    one = f"{query} WHERE number = :number"
    numbers = itertools.cycle(range(len(golden.images)))
    times = []
    try:
        for number in itertools.islice(numbers, WARM_UP + LATENCY_QUERIES):
            begun = time.perf_counter()
            spark.sql(one, args={"number": number}).collect()
            times.append(1000 * (time.perf_counter() - begun))
    except PySparkException as error:
        return Asked(error=class_and_text(error))
    middle, slow = (bootstrap.percentile(times[WARM_UP:], percent) for percent in (50, 95))
    return replace(answered, p50_ms=middle, p95_ms=slow)


def _vector(
    objects: Sequence[Mapping[str, Any]] | None, labels: Sequence[str]
) -> list[float] | None:
    """An answer's probabilities in the order of the labels; NaN for one it does not name."""
    if objects is None:
        return None
    found = {one[c.LABEL]: one[c.PROBABILITY] for one in objects}
    return [found.get(label, float("nan")) for label in labels]
