"""Divides images into train and test by what they look like, for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

from darkroom.contract import columns as c

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_DIGITS = 13
"""Hexadecimal digits of the hash that are used: 52 bits, exact in a double."""


def assign_splits(images: DataFrame, splits: DataFrame, test_share: float) -> DataFrame:
    """Chooses a split for every image that has none.

    The group is the perceptual hash, so pictures that look the same share a split. Its SHA-256,
    read as a number in [0, 1), is below ``test_share`` for the test split. Nothing else is looked
    at: images that are added later, or in another order, move none.

    Args:
        images: Reads image_id, perceptual_hash.
        splits: Table of earlier choices, which stand; reads image_id.
        test_share: Share (0..1) of the groups that go to the test split.

    Returns:
        The new rows: image_id, group_id, split.
    """
    from pyspark.sql import functions as f

    digits = f.substring(f.sha2(f.col(c.GROUP_ID).cast("binary"), 256), 1, _DIGITS)
    position = f.conv(digits, 16, 10).cast("double") / f.lit(float(16**_DIGITS))
    return (
        images.select(c.IMAGE_ID, f.col(c.PERCEPTUAL_HASH).alias(c.GROUP_ID))
        .join(splits.select(c.IMAGE_ID), c.IMAGE_ID, "left_anti")
        .withColumn(c.SPLIT, f.when(position < test_share, c.TEST).otherwise(c.TRAIN))
    )
