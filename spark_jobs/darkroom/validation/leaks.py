"""Near-duplicates in different splits, as the ingestion has found them."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from darkroom.contract import columns as c
from darkroom.lake import Lake
from darkroom.validation.facts import Fact

MOST_PAIRS: Final = 50
"""Pairs that the page lists; the table has them all."""

_COLUMNS: Final = (c.DISTANCE, c.IMAGE_ID, c.OTHER_IMAGE_ID, c.SPLIT, c.OTHER_SPLIT)
_BATCH_ROWS: Final = 50_000


@dataclass(frozen=True, order=True)
class Leak:
    """Two images that look alike and are in different splits.

    Attributes:
        distance: Bits of 64 in which their perceptual hashes differ.
        image_id: The one.
        other_image_id: The other.
        split: The split of the one.
        other_split: The split of the other.
    """

    distance: int
    image_id: str
    other_image_id: str
    split: str
    other_split: str


@dataclass(frozen=True)
class Leaks:
    """All such pairs of a pipeline.

    Attributes:
        total: Their number.
        first: The most alike of them, up to `MOST_PAIRS`.
    """

    total: int = 0
    first: tuple[Leak, ...] = ()

    @property
    def image_ids(self) -> set[str]:
        """Ids of the images of the first pairs."""
        return {one for leak in self.first for one in (leak.image_id, leak.other_image_id)}

    def facts(self, paths: Mapping[str, str]) -> Mapping[Fact, Mapping[str, int]]:
        """`Fact.LEAKS` and `Fact.LEAK`; images without a path are named by their id."""
        named = {
            f"{paths.get(leak.image_id, leak.image_id)} ({leak.split}) and "
            f"{paths.get(leak.other_image_id, leak.other_image_id)} ({leak.other_split})": (
                leak.distance
            )
            for leak in self.first
        }
        return {Fact.LEAKS: {"": self.total}, Fact.LEAK: named}


def read_leaks(lake: Lake, namespace: str, snapshot: int | None) -> Leaks:
    """Reads the pairs without Spark.

    Args:
        lake: Where the tables are.
        namespace: The pipeline's name.
        snapshot: Of the table split_leaks; None for a table without any row.
    """
    if snapshot is None:
        return Leaks()
    total, first = 0, list[Leak]()
    for batch in lake.batches(namespace, c.SPLIT_LEAKS, snapshot, _COLUMNS, _BATCH_ROWS):
        total += len(batch)
        found = (Leak(**row) for row in batch.to_pylist())
        first = heapq.nsmallest(MOST_PAIRS, [*first, *found])
    return Leaks(total, tuple(first))
