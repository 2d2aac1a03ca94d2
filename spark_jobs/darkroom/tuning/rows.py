"""What a search trains on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from darkroom.contract import TuningConfig
from darkroom.contract import columns as c
from darkroom.tuning.folds import FOLD, TRUTH, fold_column

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


@dataclass(frozen=True, kw_only=True)
class TrainRows:
    """The train images with the features of one backbone.

    Attributes:
        backbone: Name of the network that made the features.
        backbone_key: Its key in the features table.
        labels: Every class name; a class's number is its place here.
        images: Number of train images; ``frame`` lacks those that have no features.
        width: Length of a feature vector.
        frame: image_id, label_index (double), fold (int), vector (array<float>); in any order.
        identity: Tells these rows and their folds from any others.
    """

    backbone: str
    backbone_key: str
    labels: tuple[str, ...]
    images: int
    width: int
    frame: DataFrame
    identity: str


def numbered(rows: DataFrame, labels: Sequence[str], config: TuningConfig) -> DataFrame:
    """Turns labels into numbers and groups into folds.

    Args:
        rows: image_id, group_id, label, vector (array<float>).
        labels: Every class name; a class's number is its place here.
        config: Folds and seed.

    Returns:
        image_id, label_index (double), fold (int), vector.
    """
    return rows.select(
        c.IMAGE_ID,
        _position_in(labels, c.LABEL).alias(TRUTH),
        fold_column(config.folds, config.seed).alias(FOLD),
        c.VECTOR,
    )


def _position_in(labels: Sequence[str], column: str) -> Column:
    from pyspark.sql import functions as f

    names = f.array(*[f.lit(label) for label in labels])
    return (f.array_position(names, f.col(column)) - 1).cast("double")
