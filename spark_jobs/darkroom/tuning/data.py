"""The training split of one run's snapshots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from darkroom.contract import DataError, PipelineConfig
from darkroom.contract import columns as c
from darkroom.lake import Lake
from darkroom.tuning.folds import FOLD, check_trainable, fold_column
from darkroom.tuning.search import partitions_for, training_frame

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


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
        found: list[Any] = self._images.select(c.LABEL).distinct().collect()
        return tuple(sorted(row[c.LABEL] for row in found))

    @cached_property
    def counts(self) -> Mapping[tuple[str, int], int]:
        """Number of train images per (label, fold)."""
        tuning = self.config.tuning
        fold = fold_column(tuning.folds, tuning.seed).alias(FOLD)
        found: list[Any] = self._rows.groupBy(c.LABEL, fold).count().collect()
        return {(row[c.LABEL], row[FOLD]): row["count"] for row in found}

    @property
    def total(self) -> int:
        """Number of train images."""
        return sum(self.counts.values())

    def check(self) -> None:
        """Refuses what cannot be cross-validated.

        Raises:
            DataError: Too few classes, or too few train images of one.
        """
        check_trainable(self.labels, self.counts, self.config.tuning.folds)

    def frame(self, features: FeatureSet) -> DataFrame:
        """The train images with one backbone's features.

        Args:
            features: Which vectors.

        Returns:
            What `training_frame` makes of them, cached: a search reads it hundreds of times.

        Raises:
            DataError: An image has no features.
        """
        from pyspark.sql import functions as f

        table = self._read(c.FEATURES, features.snapshot)
        wanted = (f.col(c.BACKBONE_KEY) == features.key) & f.col(c.VECTOR).isNotNull()
        # Two runs at a time may both have computed an image's features: they are the same.
        vectors = table.where(wanted).select(c.IMAGE_ID, c.VECTOR).dropDuplicates([c.IMAGE_ID])
        frame = training_frame(
            self._rows.join(vectors, c.IMAGE_ID),
            self.labels,
            self.config.tuning,
            partitions_for(self.total, features.width),
        ).persist()
        missing = self.total - frame.count()
        if missing:
            raise DataError(
                f"{missing} of {self.total} train images have no features by "
                f"{features.backbone}: run featurize again with --force"
            )
        return frame

    def encoded_images(self, image_ids: Sequence[str]) -> list[bytes]:
        """Bytes of a few images, in the order of their ids."""
        from pyspark.sql import functions as f

        wanted = self._images.where(f.col(c.IMAGE_ID).isin(*image_ids))
        found: list[Any] = wanted.select(c.IMAGE_ID, c.IMAGE).collect()
        by_id = {row[c.IMAGE_ID]: bytes(row[c.IMAGE]) for row in found}
        return [by_id[image_id] for image_id in image_ids]

    @cached_property
    def _images(self) -> DataFrame:
        return self._read(c.IMAGES, self.images_snapshot)

    @cached_property
    def _rows(self) -> DataFrame:
        """image_id, group_id, label."""
        from pyspark.sql import functions as f

        splits = self._read(c.SPLITS, self.splits_snapshot).where(f.col(c.SPLIT) == c.TRAIN)
        labelled = self._images.select(c.IMAGE_ID, c.LABEL)
        return labelled.join(splits.select(c.IMAGE_ID, c.GROUP_ID), c.IMAGE_ID)

    def _read(self, table: str, snapshot: int) -> DataFrame:
        return self.lake.read(self.spark, self.config.name, table, snapshot)
