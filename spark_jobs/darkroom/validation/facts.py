"""What the expectations look at: counts that Spark makes in one pass, whatever the table's size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Self

from darkroom.contract import columns as c

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

SMALLER_SIDE: Final = "smaller_side"
"""Pixels of an image's smaller side: a column that expectations may name beside the table's."""

PANDAS_LIMIT: Final = 200_000
"""Up to so many images a few columns fit the driver with ease (some 20 MB each), and
Great Expectations' own expectations on them take a tenth of the time or less that their many
small Spark jobs take."""

BRIGHTNESS_STEP: Final = 16
"""Width of a bin of the brightness, which is 0-255."""


class Fact(StrEnum):
    """What is counted; the values it is counted by are texts."""

    IMAGE_IDS = "image_ids"
    """Different image_ids, under the value ""."""
    LABEL = "label"
    """Images per class."""
    UNLABELLED = "unlabelled"
    """Images without a class, under the value ""."""
    TRAIN = "train"
    """Images of the train split per class."""
    VALIDATION = "validation"
    """The same of the validation split."""
    TEST = "test"
    """The same of the test split."""
    EXCLUDED = "excluded"
    """The same of those that are in no split because they look like images of several."""
    FORMAT = "format"
    """Images per format, as Pillow names it."""
    SMALLER_SIDE = "smaller_side"
    """Images per number of pixels of the smaller side."""
    LARGER_SIDE = "larger_side"
    """Images per number of pixels of the larger side."""
    BRIGHTNESS = "brightness"
    """Images per bin of `BRIGHTNESS_STEP` of the mean luma; the value is where the bin starts."""
    SIZE = "size"
    """Images per power of two of their pixels: 14 is 16,384 to 32,767 pixels."""
    FOUND = "found"
    """Files of the sources, under the value ""."""
    REJECTED = "rejected"
    """Rejected files of the sources, of this run or earlier ones, per reason."""
    LEAK = "leak"
    """Near-duplicates in different splits: bits of difference per pair, for the first pairs."""
    LEAKS = "leaks"
    """Number of such pairs, under the value ""."""
    LABEL_BEFORE = "label_before"
    """`LABEL` of the last accepted snapshot; none when there is no such snapshot."""
    BRIGHTNESS_BEFORE = "brightness_before"
    """`BRIGHTNESS` of that snapshot."""
    SIZE_BEFORE = "size_before"
    """`SIZE` of that snapshot."""


DRIFTING: Final = {
    Fact.LABEL: Fact.LABEL_BEFORE,
    Fact.BRIGHTNESS: Fact.BRIGHTNESS_BEFORE,
    Fact.SIZE: Fact.SIZE_BEFORE,
}
"""What is compared with the last accepted snapshot."""

_COLUMNS: Final = ("fact", "value", "number")


@dataclass(frozen=True)
class Facts:
    """Counts by fact and value.

    Attributes:
        counts: Number per value, per fact; a fact that nothing was counted of is missing.
    """

    counts: Mapping[Fact, Mapping[str, int]]

    def of(self, fact: Fact) -> Mapping[str, int]:
        """Numbers per value, the values in order."""
        return dict(sorted(self.counts.get(fact, {}).items()))

    def total(self, fact: Fact) -> int:
        """Sum over all values."""
        return sum(self.counts.get(fact, {}).values())

    @property
    def images(self) -> int:
        """Number of images, with and without a class."""
        return self.total(Fact.LABEL) + self.total(Fact.UNLABELLED)

    def but(self, changes: Mapping[Fact, Mapping[str, int]]) -> Facts:
        """The same facts with some added or replaced."""
        return Facts({**self.counts, **changes})

    def frame(self) -> pd.DataFrame:
        """Columns fact, value, number: what Great Expectations is given."""
        import pandas as pd

        rows = [
            (str(fact), value, number)
            for fact, numbers in self.counts.items()
            for value, number in sorted(numbers.items())
        ]
        return pd.DataFrame(rows, columns=list(_COLUMNS))

    @classmethod
    def of_frame(cls, frame: pd.DataFrame) -> Self:
        """Reads what `frame` made."""
        return cls.of_rows(frame[list(_COLUMNS)].itertuples(index=False, name=None))

    @classmethod
    def of_rows(cls, rows: Iterable[tuple[str, str | None, int]]) -> Self:
        """Gathers (fact, value, number)."""
        counts: dict[Fact, dict[str, int]] = {}
        for fact, value, number in rows:
            counts.setdefault(Fact(fact), {})[value or ""] = int(number)
        return cls(counts)


def image_facts(images: DataFrame, splits: DataFrame) -> Facts:
    """Counts the images by everything that an expectation asks for.

    Args:
        images: Reads image_id, label, format, width, height, brightness.
        splits: Reads image_id, split.

    Returns:
        The facts from `Fact.IMAGE_IDS` to `Fact.SIZE`.
    """
    from pyspark.sql import functions as f

    divided = splits.select(c.IMAGE_ID, c.SPLIT).dropDuplicates([c.IMAGE_ID])
    known = images.select(c.IMAGE_ID, c.LABEL, c.FORMAT, c.WIDTH, c.HEIGHT, c.BRIGHTNESS).join(
        divided, c.IMAGE_ID, "left"
    )
    tallied = known.select(f.inline(f.array(*_memberships()))).groupBy("fact", "value").count()
    found: list[Any] = tallied.where(f.col("fact").isNotNull()).collect()
    distinct: list[Any] = images.select(f.count_distinct(c.IMAGE_ID)).collect()
    rows = [(row["fact"], row["value"], row["count"]) for row in found]
    return Facts.of_rows([*rows, (Fact.IMAGE_IDS, "", distinct[0][0])])


def _memberships() -> list[Any]:
    """Structs of fact and value: what one image counts for."""
    from pyspark.sql import functions as f

    label, split = f.col(c.LABEL), f.col(c.SPLIT)
    labelled = label.isNotNull()
    divided = labelled & split.isin(*c.SPLIT_VALUES)
    pixels = f.col(c.WIDTH).cast("long") * f.col(c.HEIGHT)
    step = f.floor(f.col(c.BRIGHTNESS) / BRIGHTNESS_STEP)
    counted = [
        (f.when(labelled, Fact.LABEL).otherwise(Fact.UNLABELLED), label),
        (f.when(divided, split), label),
        (f.lit(Fact.FORMAT), f.col(c.FORMAT)),
        (f.lit(Fact.SMALLER_SIDE), f.least(c.WIDTH, c.HEIGHT)),
        (f.lit(Fact.LARGER_SIDE), f.greatest(c.WIDTH, c.HEIGHT)),
        (f.when(step.isNotNull(), Fact.BRIGHTNESS), step * BRIGHTNESS_STEP),
        (f.lit(Fact.SIZE), f.floor(f.log2(pixels))),
    ]
    return [
        f.struct(fact.cast("string").alias("fact"), value.cast("string").alias("value"))
        for fact, value in counted
    ]


def metadata(images: DataFrame, columns: Sequence[str], count: int) -> DataFrame | pd.DataFrame:
    """One row per image, for Great Expectations' own expectations.

    Args:
        images: Reads the columns, and width and height for `SMALLER_SIDE`.
        columns: Names of `darkroom.validation.suites.COLUMNS`.
        count: Number of images.

    Returns:
        A pandas frame up to `PANDAS_LIMIT` images, a Spark frame beyond.
    """
    from pyspark.sql import functions as f

    smaller = f.least(c.WIDTH, c.HEIGHT).alias(SMALLER_SIDE)
    frame = images.select(*[smaller if name == SMALLER_SIDE else name for name in columns])
    return frame.toPandas() if count <= PANDAS_LIMIT else frame


def rejected_by_reason(rejected: DataFrame) -> dict[str, int]:
    """Number of rejected files of all sources that there ever were; reads reason."""
    found: list[Any] = rejected.groupBy(c.REASON).count().collect()
    return {str(reason): int(number) for reason, number in sorted(found)}


def source_facts(ingested: Mapping[str, Any]) -> Mapping[Fact, Mapping[str, int]]:
    """Files found and rejected.

    Args:
        ingested: Outputs of the ingestion; reads found, and refused, which counts the files of
            the sources that are rejected, now or in an earlier run, by reason.

    Returns:
        `Fact.FOUND` and `Fact.REJECTED`.
    """
    return {Fact.FOUND: {"": ingested["found"]}, Fact.REJECTED: dict(ingested["refused"])}
