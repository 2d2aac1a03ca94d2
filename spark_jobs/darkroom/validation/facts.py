"""The small frames that the expectations look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from darkroom.contract import columns as c

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

IMAGES_OF_CLASS: Final = "images"
SMALLER_SIDE: Final = "smaller_side"
REJECTED_SHARE: Final = "rejected_share"
CLASS_RATIO: Final = "class_ratio"


PANDAS_LIMIT: Final = 200_000
"""Up to so many images, all facts fit the driver with ease (some 20 MB), and the expectations
on them take a tenth of the time or less that their many small Spark jobs take."""


def image_facts(images: DataFrame, count: int) -> DataFrame | pd.DataFrame:
    """One row per image, without its bytes: image_id, label, format, smaller_side (pixels).

    Args:
        images: Reads image_id, label, format, width, height.
        count: Number of its rows.

    Returns:
        A pandas frame up to `PANDAS_LIMIT` images, a Spark frame beyond.
    """
    from pyspark.sql import functions as f

    facts = images.select(
        c.IMAGE_ID, c.LABEL, c.FORMAT, f.least(c.WIDTH, c.HEIGHT).alias(SMALLER_SIDE)
    )
    return facts.toPandas() if count <= PANDAS_LIMIT else facts


def class_facts(images: DataFrame, splits: DataFrame) -> pd.DataFrame:
    """One row per class, sorted: label, images, train, test (numbers of images).

    Args:
        images: Reads image_id, label.
        splits: Reads image_id, split.
    """
    from pyspark.sql import functions as f

    joined = images.select(c.IMAGE_ID, c.LABEL).join(splits, c.IMAGE_ID, "left")
    return (
        joined.groupBy(c.LABEL)
        .agg(
            f.count(f.lit(1)).alias(IMAGES_OF_CLASS),
            f.count_if(f.col(c.SPLIT) == c.TRAIN).alias(c.TRAIN),
            f.count_if(f.col(c.SPLIT) == c.TEST).alias(c.TEST),
        )
        .orderBy(c.LABEL)
        .toPandas()
    )


def source_facts(ingested: Mapping[str, Any], classes: pd.DataFrame) -> pd.DataFrame:
    """One row about the whole: rejected_share (0..1) and class_ratio (largest to smallest class).

    Args:
        ingested: Outputs of the ingestion; reads found and refused, which counts the files of the
            source that are rejected, now or in an earlier run, by reason.
        classes: What `class_facts` returned; reads images.
    """
    import pandas as pd

    sizes = classes[IMAGES_OF_CLASS]
    share = sum(ingested["refused"].values()) / ingested["found"]
    return pd.DataFrame({REJECTED_SHARE: [share], CLASS_RATIO: [sizes.max() / sizes.min()]})
