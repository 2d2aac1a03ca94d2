"""Predictions of one model for some images, committed to a table some files at a time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from darkroom.contract import Stage
from darkroom.contract import columns as c
from darkroom.lake import Lake, Rows, files
from darkroom.ml.base.attaching import as_udf
from darkroom.ml.engines import PreparedModel
from darkroom.ml.recognition.recognizer import DETAIL_TYPE, detailing
from darkroom.sql.deployments import Deployment
from darkroom.stages.session import spread

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Observation, Row, SparkSession

COMMIT_IMAGES: Final = 50_000
"""About so many images are scored between two commits: no more is lost with a killed process."""

FILE: Final = "file"
"""Column of the data file that holds an image, as Spark names it."""

_ANSWER: Final = "answer"


@dataclass
class Predicting:
    """One run's work on one table of predictions.

    Attributes:
        spark: The session.
        lake: The tables.
        pipeline: The pipeline's name.
        model: The model.
        table: Where its predictions go.
        stage: The stage that makes them.
        run_id: The run.
        images: The snapshot of the images that is worked from.
        base: The table's snapshot that was looked at.
        scored: Images that got a prediction.
        unusable: Those among them that the model could not be given.
        files: Data files with images that were opened.
    """

    spark: SparkSession
    lake: Lake
    pipeline: str
    model: Deployment
    table: str
    stage: Stage
    run_id: str
    images: int | None = field(init=False)
    base: int | None = field(init=False)
    scored: int = 0
    unusable: int = 0
    files: int = 0

    def __post_init__(self) -> None:
        self.images = self.lake.snapshot(self.pipeline, c.IMAGES)
        self.base = self.lake.snapshot(self.pipeline, self.table)

    def known(self) -> DataFrame:
        """All rows of the table, as it was looked at."""
        return self.lake.read(self.spark, self.pipeline, self.table, self.base)

    def located(self, *columns: str) -> DataFrame:
        """Ids of the images, the data file that holds each (`FILE`), and more columns."""
        from pyspark.sql import functions as f

        images = self.lake.read(self.spark, self.pipeline, c.IMAGES, self.images)
        return images.select(c.IMAGE_ID, f.col("_metadata.file_path").alias(FILE), *columns)

    def score(self, prepared: PreparedModel, todo: Mapping[str, Sequence[str]]) -> None:
        """Scores images and commits their predictions, some files at a time.

        Args:
            prepared: The model, shipped to the workers.
            todo: Ids of the images by their data file, see `by_file`.

        Raises:
            ConflictError: Another process changed the table meanwhile.
        """
        from pyspark.sql import Observation

        locations = {_tail(location): location for location in self._locations()}
        for part in _parts(todo):
            observed = Observation()
            opened = [locations[_tail(file)] for file in part]
            ids = [image_id for file in part for image_id in todo[file]]
            change = self.lake.change(
                self.spark,
                self.pipeline,
                self.table,
                Rows(add=[self._predicted(prepared, opened, ids, observed)], growth=len(ids)),
                base=self.base,
                run_id=self.run_id,
                stage=self.stage,
            )
            self.base = change.snapshot_id
            self.scored += len(ids)
            self.unusable += len(ids) - observed.get[c.LABEL]
            self.files += len(opened)

    def _locations(self) -> list[str]:
        table = self.lake.find(self.pipeline, c.IMAGES)
        return files.of_snapshot(table, self.images) if table else []

    def _predicted(
        self,
        prepared: PreparedModel,
        opened: Sequence[str],
        ids: Sequence[str],
        observed: Observation,
    ) -> DataFrame:
        """Predictions for some images of some files, with the columns of the table."""
        from pyspark.sql import functions as f

        wanted = self.spark.createDataFrame([(each,) for each in ids], f"{c.IMAGE_ID} string")
        images = self.lake.read_files(self.spark, c.IMAGES, opened).select(c.IMAGE_ID, c.IMAGE)
        # Broadcast: otherwise the pictures would travel, and not the ids.
        pictures = spread(images.join(f.broadcast(wanted), c.IMAGE_ID, "left_semi"))
        model = self.model
        run = detailing(model.function, prepared, model.labels, model.model_version, top=1)
        # Otherwise the network would run once for every field that is read of its answer.
        predict = as_udf(self.spark, run, DETAIL_TYPE).asNondeterministic()
        answered = pictures.select(c.IMAGE_ID, predict(c.IMAGE).alias(_ANSWER))
        best = f.col(_ANSWER)[c.OBJECTS][0]
        return answered.select(
            c.IMAGE_ID,
            f.lit(model.model_name).alias(c.MODEL_NAME),
            f.lit(model.model_version).alias(c.MODEL_VERSION),
            f.lit(model.model_digest).alias(c.MODEL_DIGEST),
            best[c.LABEL].alias(c.LABEL),
            best[c.PROBABILITY].cast("double").alias(c.PROBABILITY),
            f.col(_ANSWER)[c.ERROR].alias(c.ERROR),
            f.lit(dt.datetime.now(dt.UTC)).alias(c.SCORED_AT),
        ).observe(observed, f.count(c.LABEL).alias(c.LABEL))


def by_file(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Ids of images by the data file that holds them; rows have image_id and `FILE`."""
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row[FILE], []).append(row[c.IMAGE_ID])
    return found


def _parts(todo: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    """Cuts files into parts of about `COMMIT_IMAGES` images."""
    part: list[str] = []
    images = 0
    for file in sorted(todo):
        part.append(file)
        images += len(todo[file])
        if images >= COMMIT_IMAGES:
            yield part
            part, images = [], 0
    if part:
        yield part


def _tail(location: str) -> str:
    """Folder and name of a file: Spark encodes what lies before, and both hold a random id."""
    return "/".join(location.rsplit("/", 2)[-2:])
