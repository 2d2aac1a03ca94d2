"""What a search trains on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
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


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """What fine-tuning needs besides the rows of a search.

    Attributes:
        frame: image_id, label_index (double), fold (int), image (binary) of the train images.
        backbone_file: Keras file of the backbone; every worker must see it.
        folder: A new folder for decoded images and networks; every worker must see it.
    """

    frame: DataFrame
    backbone_file: Path
    folder: Path


def numbered(
    rows: DataFrame, labels: Sequence[str], config: TuningConfig, content: str = c.VECTOR
) -> DataFrame:
    """Turns labels into numbers and groups into folds.

    Args:
        rows: image_id, group_id, label, and a column ``content``.
        labels: Every class name; a class's number is its place here.
        config: Folds and seed.
        content: What is trained on: vector (array<float>), or image (binary).

    Returns:
        image_id, label_index (double), fold (int), and the column ``content``.
    """
    return rows.select(
        c.IMAGE_ID,
        _position_in(labels, c.LABEL).alias(TRUTH),
        fold_column(config.folds, config.seed).alias(FOLD),
        content,
    )


def _position_in(labels: Sequence[str], column: str) -> Column:
    from pyspark.sql import functions as f

    names = f.array(*[f.lit(label) for label in labels])
    return (f.array_position(names, f.col(column)) - 1).cast("double")
