"""Where a picture goes that comes after pictures which look like it."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from darkroom.contract import columns as c
from darkroom.ingestion.near_duplicates import Indices, Pairs

Texts = NDArray[np.object_]

Neighbours = Mapping[int, Sequence[tuple[int, int]]]
"""Per place its near-duplicates: their places, and in how many bits they differ."""


def join(chosen: Texts, component: Indices, pairs: Pairs, ids: Texts) -> None:
    """Lets undecided pictures follow decided ones, each in its turn; most alike first.

    A picture whose near-duplicates lie in one split goes there. Where they lie in several, it
    would be a leak in each: it is `columns.EXCLUDED`, as are its copies. Who resembles excluded
    pictures alone stays undecided.

    Args:
        chosen: The split of each picture, None for undecided; filled in.
        component: The connected component of each picture.
        pairs: The near-duplicates.
        ids: Of the pictures, which settles what is equally alike.
    """
    neighbours = _neighbours(chosen, component, pairs)
    waiting = [
        (distance, ids[place], place)
        for place, near in neighbours.items()
        for other, distance in near
        if chosen[place] is None and chosen[other] is not None
    ]
    heapq.heapify(waiting)
    while waiting:
        place = heapq.heappop(waiting)[-1]
        if chosen[place] is None:
            chosen[place] = split = _beside(neighbours[place], chosen)
            for other, distance in neighbours[place]:
                if chosen[other] is None and (split != c.EXCLUDED or distance == 0):
                    heapq.heappush(waiting, (distance, ids[other], other))


def _beside(near: Sequence[tuple[int, int]], chosen: Texts) -> str:
    """The split of a picture some of whose near-duplicates are decided."""
    if any(distance == 0 and chosen[other] == c.EXCLUDED for other, distance in near):
        # Of copies one alone is compared with all others.
        return c.EXCLUDED
    splits = {chosen[other] for other, _ in near} - {None, c.EXCLUDED}
    return str(splits.pop()) if len(splits) == 1 else c.EXCLUDED


def _neighbours(chosen: Texts, component: Indices, pairs: Pairs) -> Neighbours:
    """Of the components that hold undecided pictures beside decided ones."""
    undecided = chosen == None  # noqa: E711 - of each element
    mixed = np.zeros((2, len(chosen)), bool)
    mixed[undecided.astype(int), component] = True
    concerned = (mixed[0] & mixed[1])[component[pairs.left]]
    concerned &= undecided[pairs.left] | undecided[pairs.right]
    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    ends = (pairs.left, pairs.right, pairs.distance)
    for left, right, distance in zip(*(side[concerned].tolist() for side in ends), strict=True):
        found[left].append((right, distance))
        found[right].append((left, distance))
    return found
