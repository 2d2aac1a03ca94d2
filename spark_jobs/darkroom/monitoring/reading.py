"""What Spark reads of a pipeline's tables to compare the deployed model's recent images."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from darkroom.contract import PipelineConfig, Workspace
from darkroom.contract import columns as c
from darkroom.lake import Lake
from darkroom.lake.history import first_commits
from darkroom.ml.engines import Engine, PreparedModel, prepare, ship
from darkroom.ml.inference import predict_images
from darkroom.monitoring.sampling import MOST_IMAGES, MOST_VECTORS, TRUTH, Sample, sample_of
from darkroom.monitoring.signals import Files
from darkroom.monitoring.windows import WINDOW, Window, numbered, windows_of
from darkroom.registry.lineage import Lineage
from darkroom.sql.deployments import Deployment
from darkroom.sql.functions import checked_file

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from darkroom.backbones.catalog import Backbone

SEED: Final = 7
"""Of the samples: images are drawn by a hash of their ids with it."""

_NUMBERS: Final = (c.WIDTH, c.HEIGHT, c.BRIGHTNESS, c.CONTRAST, c.SHARPNESS)
_ANSWER: Final = (c.LABEL, c.PROBABILITY)


@dataclass(frozen=True)
class Reader:
    """The images of one deployed model: those that it was made with, and those since.

    Attributes:
        spark: The session.
        workspace: Where the tables and models are.
        config: The pipeline.
        deployment: The model.
        lineage: The snapshots that trained it.
        until: Predictions since then do not count.
        labels: image_id and truth of delayed labels; None where there are none.
    """

    spark: SparkSession
    workspace: Workspace
    config: PipelineConfig
    deployment: Deployment
    lineage: Lineage
    until: dt.datetime
    labels: DataFrame | None = None

    @cached_property
    def recent(self) -> DataFrame:
        """Images that the model was not made with, which it has scored; held in memory.

        Columns image_id, the numbers of an image, truth, run_id, label, probability, scored_at,
        window.
        """
        from pyspark.sql import functions as f

        since = self._images.join(self._made_with.select(c.IMAGE_ID), c.IMAGE_ID, "left_anti")
        scored = since.join(self._answers.where(f.col(c.SCORED_AT) < f.lit(self.until)), c.IMAGE_ID)
        return numbered(scored, self.config.monitoring.span).cache()

    def windows(self) -> list[Window]:
        """The windows of `recent` that have images, oldest first."""
        return windows_of(self.recent, self.config.monitoring.span, self.until)

    def window(self, window: Window, backbone: Backbone | None) -> Sample:
        """A bounded sample of a window's images."""
        from pyspark.sql import functions as f

        rows = _drawn(self.recent.where(f.col(WINDOW) == window.number))
        return sample_of(rows, self._vectors(rows, backbone))

    def reference(self, backbone: Backbone | None) -> Sample:
        """A bounded sample of the held-out images: the model has never learnt from them."""
        from pyspark.sql import functions as f

        held_out = self._made_with.where(f.col(c.SPLIT) != c.TRAIN).select(c.IMAGE_ID)
        images = self._images.join(held_out, c.IMAGE_ID, "left_semi")
        rows = _drawn(images.join(self._answers, c.IMAGE_ID, "left"))
        unscored = [row[c.IMAGE_ID] for row in rows if row[c.SCORED_AT] is None]
        answers = self._asked(unscored) if unscored else {}
        rows = [{**row, **answers.get(row[c.IMAGE_ID], {})} for row in rows]
        return sample_of(rows, self._vectors(rows, backbone))

    def files(self, window: Window) -> tuple[Files, Files]:
        """What ingestion made of the files of a window's time, and of those of the reference."""
        from pyspark.sql import functions as f

        before = self._runs(self._read(c.IMAGES, self.lineage.snapshots[c.IMAGES]))
        of_images = self._runs(self.recent.where(f.col(WINDOW) == window.number))
        table = self._lake.find(self.config.name, c.REJECTED_IMAGES)
        commits = first_commits(table) if table else {}
        # Those that accepted nothing have no image in the window.
        since = {run for run, at in commits.items() if window.start <= at <= window.end}
        return self._files((of_images | since) - before), self._files(before)

    def close(self) -> None:
        """Lets go of what is held in memory."""
        self.recent.unpersist()

    def pictures(self) -> DataFrame:
        """The current images, with all columns."""
        return self._read(c.IMAGES)

    @cached_property
    def _lake(self) -> Lake:
        return self.lineage.lake

    @cached_property
    def _images(self) -> DataFrame:
        """The current images; what was deleted since the model was trained does not come back."""
        from pyspark.sql import functions as f

        truth = f.col(c.LABEL).alias(TRUTH)
        images = self._read(c.IMAGES).select(c.IMAGE_ID, c.PATH, *_NUMBERS, truth, c.RUN_ID)
        if self.labels is None:
            return images.drop(c.PATH)
        told = self.labels.withColumnRenamed(TRUTH, "told")
        key = next(name for name in told.columns if name != "told")
        labelled = images.join(told, key, "left")
        return labelled.withColumn(TRUTH, f.coalesce("told", TRUTH)).drop("told", c.PATH)

    @cached_property
    def _made_with(self) -> DataFrame:
        """image_id and split of the images of the snapshot that trained the model."""
        snapshots = self.lineage.snapshots
        images = self._read(c.IMAGES, snapshots[c.IMAGES]).select(c.IMAGE_ID)
        splits = self._read(c.SPLITS, snapshots[c.SPLITS]).select(c.IMAGE_ID, c.SPLIT)
        return images.join(splits.dropDuplicates([c.IMAGE_ID]), c.IMAGE_ID, "left")

    @cached_property
    def _answers(self) -> DataFrame:
        """The model's predictions, one per image."""
        from pyspark.sql import functions as f

        own = self._read(c.PREDICTIONS).where(self.deployment.gave())
        first = f.min_by(f.struct(*_ANSWER), c.SCORED_AT).alias("answer")
        found = own.groupBy(c.IMAGE_ID).agg(first, f.min(c.SCORED_AT).alias(c.SCORED_AT))
        return found.select(c.IMAGE_ID, "answer.*", c.SCORED_AT)

    def _read(self, table: str, snapshot: int | None = None) -> DataFrame:
        return self._lake.read(self.spark, self.config.name, table, snapshot)

    def _asked(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The model's answers for images that have no prediction of it."""
        labels = self.deployment.card(self.workspace).labels
        prepared = prepare(checked_file(self.workspace, self.deployment), self.workspace.engines)
        answers = {}
        for image_id, probabilities in self._predicted(ids, prepared).items():
            if probabilities is not None:
                best = int(np.argmax(probabilities))
                answers[image_id] = {c.LABEL: labels[best], c.PROBABILITY: probabilities[best]}
        return answers

    def _vectors(
        self, rows: Sequence[Mapping[str, Any]], backbone: Backbone | None
    ) -> dict[str, Any]:
        """Feature vectors of the first rows: those that are stored, and the others computed."""
        from pyspark.sql import functions as f

        if backbone is None:
            return {}
        ids = [row[c.IMAGE_ID] for row in rows[:MOST_VECTORS]]
        stored = self._read(c.FEATURES).where(f.col(c.BACKBONE_KEY) == backbone.key)
        of_these = stored.join(f.broadcast(self._frame(ids)), c.IMAGE_ID, "left_semi")
        known = {
            row[c.IMAGE_ID]: row[c.VECTOR]
            for row in of_these.select(c.IMAGE_ID, c.VECTOR).collect()
        }
        missing = [image_id for image_id in ids if image_id not in known]
        if missing:
            engine = Engine(self.config.features.engine)
            file = backbone.model_file(self.workspace.models)
            known |= self._predicted(missing, prepare(file, self.workspace.engines, engine))
        return {image_id: vector for image_id, vector in known.items() if vector is not None}

    def _predicted(self, ids: Sequence[str], prepared: PreparedModel) -> dict[str, Any]:
        """What a network answers for images, by their ids; None for those it cannot be given."""
        shipped = ship(self.spark, prepared)
        made = predict_images(
            self._encoded(ids), shipped, image_col=c.IMAGE, output_col=c.VECTOR
        ).collect()
        return {row[c.IMAGE_ID]: row[c.VECTOR] for row in made}

    def _encoded(self, ids: Sequence[str]) -> DataFrame:
        """image_id and image, on every core."""
        from pyspark.sql import functions as f

        wanted = f.broadcast(self._frame(ids))
        images = self._read(c.IMAGES).select(c.IMAGE_ID, c.IMAGE)
        found = images.join(wanted, c.IMAGE_ID, "left_semi")
        return found.repartition(self.spark.sparkContext.defaultParallelism)

    def _frame(self, ids: Collection[str]) -> DataFrame:
        return self.spark.createDataFrame([(one,) for one in ids], f"{c.IMAGE_ID} string")

    def _runs(self, images: DataFrame) -> set[str]:
        return {row[0] for row in images.select(c.RUN_ID).distinct().collect() if row[0]}

    def _files(self, runs: Collection[str]) -> Files:
        """Files that some ingestions accepted, of those that are still there, and rejected."""
        from pyspark.sql import functions as f

        counts = [
            self._read(table).where(f.col(c.RUN_ID).isin(*sorted(runs))).count() if runs else 0
            for table in (c.IMAGES, c.REJECTED_IMAGES)
        ]
        return Files(*counts)


def _drawn(images: DataFrame) -> list[dict[str, Any]]:
    """At most `MOST_IMAGES` rows, at random but the same each time."""
    from pyspark.sql import functions as f

    by_chance = f.xxhash64(c.IMAGE_ID, f.lit(SEED))
    columns = (c.IMAGE_ID, *_NUMBERS, TRUTH, *_ANSWER, c.SCORED_AT)
    rows = images.select(*columns).orderBy(by_chance, c.IMAGE_ID).limit(MOST_IMAGES).collect()
    return [row.asDict() for row in rows]
