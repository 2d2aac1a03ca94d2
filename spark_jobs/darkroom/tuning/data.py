"""The training split of one run's snapshots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from darkroom.contract import PipelineConfig
from darkroom.contract import columns as c
from darkroom.lake import Lake
from darkroom.tuning.folds import FOLD, check_metric, check_trainable, fold_column
from darkroom.tuning.results import content_key
from darkroom.tuning.rows import TrainRows, numbered

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

IMAGE_BATCH: Final = 32


@dataclass(frozen=True, kw_only=True)
class FeatureSet:
    """Which vectors to read.

    Attributes:
        backbone: Name of the network that made them.
        key: Its key in the features table.
        snapshot: Snapshot of the features table.
        width: Length of a vector.
    """

    backbone: str
    key: str
    snapshot: int
    width: int


@dataclass(frozen=True, kw_only=True)
class TrainData:
    """The train split of one snapshot of the images.

    Attributes:
        spark: The session.
        lake: Where the tables are.
        config: The pipeline.
        images_snapshot: Which images.
        splits_snapshot: Which division of them.
    """

    spark: SparkSession
    lake: Lake
    config: PipelineConfig
    images_snapshot: int
    splits_snapshot: int

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Every class of the snapshot by name, in whichever split its images are."""
        return tuple(sorted({label for label, _, _ in self._census}))

    @cached_property
    def counts(self) -> Mapping[tuple[str, int], int]:
        """Number of train images per (label, fold)."""
        return {
            (label, fold): number
            for (label, split, fold), number in self._census.items()
            if split == c.TRAIN
        }

    @property
    def total(self) -> int:
        """Number of train images."""
        return sum(self.counts.values())

    def check(self) -> None:
        """Refuses what cannot be cross-validated.

        Raises:
            DataError: Too few classes, or too few train images of one, or the metric is not for
                so many classes.
        """
        check_trainable(self.labels, self.counts, self.config.tuning.folds)
        check_metric(self.config.tuning.metric, self.labels, self.counts)

    def rows(self, features: FeatureSet) -> TrainRows:
        """The train images with one backbone's features; those that have none are left out."""
        from pyspark.sql import functions as f

        table = self._read(c.FEATURES, features.snapshot)
        wanted = (f.col(c.BACKBONE_KEY) == features.key) & f.col(c.VECTOR).isNotNull()
        # Two runs at a time may both have computed an image's features: they are the same.
        vectors = table.where(wanted).select(c.IMAGE_ID, c.VECTOR).dropDuplicates([c.IMAGE_ID])
        joined = self._rows.join(vectors, c.IMAGE_ID)
        return TrainRows(
            backbone=features.backbone,
            backbone_key=features.key,
            labels=self.labels,
            images=self.total,
            width=features.width,
            frame=numbered(joined, self.labels, self.config.tuning),
            identity=content_key(
                images_snapshot=self.images_snapshot,
                splits_snapshot=self.splits_snapshot,
                backbone_key=features.key,
                labels=self.labels,
                folds=self.config.tuning.folds,
                seed=self.config.tuning.seed,
            ),
        )

    def pictures(self) -> DataFrame:
        """The train images: image_id, label_index (double), fold (int), image (binary)."""
        images = self._images.select(c.IMAGE_ID, c.IMAGE)
        return numbered(
            self._rows.join(images, c.IMAGE_ID), self.labels, self.config.tuning, c.IMAGE
        )

    def encoded_images(self) -> Iterator[Mapping[str, bytes]]:
        """Id and bytes of every image in any split, a few at a time, read on the driver."""
        batches = self.lake.batches(
            self.config.name, c.IMAGES, self.images_snapshot, (c.IMAGE_ID, c.IMAGE), IMAGE_BATCH
        )
        for batch in batches:
            ids, images = (batch.column(name).to_pylist() for name in (c.IMAGE_ID, c.IMAGE))
            yield dict(zip(ids, images, strict=True))

    @cached_property
    def _images(self) -> DataFrame:
        """The labelled ones: nothing is to be learnt from the others."""
        from pyspark.sql import functions as f

        return self._read(c.IMAGES, self.images_snapshot).where(f.col(c.LABEL).isNotNull())

    @cached_property
    def _splits(self) -> DataFrame:
        return self._read(c.SPLITS, self.splits_snapshot)

    @cached_property
    def _census(self) -> Mapping[tuple[str, str | None, int], int]:
        """Number of images per (label, split, fold), in one pass over the tables."""
        tuning = self.config.tuning
        labelled = self._images.select(c.IMAGE_ID, c.LABEL)
        groups = self._splits.select(c.IMAGE_ID, c.GROUP_ID, c.SPLIT)
        fold = fold_column(tuning.folds, tuning.seed).alias(FOLD)
        joined = labelled.join(groups, c.IMAGE_ID, "left").groupBy(c.LABEL, c.SPLIT, fold)
        found: list[Any] = joined.count().collect()
        return {(row[c.LABEL], row[c.SPLIT], row[FOLD]): row["count"] for row in found}

    @cached_property
    def _rows(self) -> DataFrame:
        """image_id, group_id, label of the train split."""
        from pyspark.sql import functions as f

        train = self._splits.where(f.col(c.SPLIT) == c.TRAIN)
        labelled = self._images.select(c.IMAGE_ID, c.LABEL)
        return labelled.join(train.select(c.IMAGE_ID, c.GROUP_ID), c.IMAGE_ID)

    def _read(self, table: str, snapshot: int) -> DataFrame:
        return self.lake.read(self.spark, self.config.name, table, snapshot)
