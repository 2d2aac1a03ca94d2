"""Finds all pairs of pictures that look alike, exactly and without comparing all with all.

Multi-index hashing (Norouzi, Punjani, Fleet: Fast Exact Search in Hamming Space with Multi-Index
Hashing, 2014). A 64-bit hash is cut into m bands. Two hashes that differ in d = m * r + a bits
(a < m) differ, by the pigeonhole principle, in at most r bits in one of the first a + 1 bands, or
in at most r - 1 bits in one of the others. So only pictures whose bands are that close are
compared in full. More pictures get longer bands, which keeps the work per picture about constant.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BITS = 64

DIFFERENCE_LIMIT = 16
"""Bits in which the difference hashes of two near-duplicates may differ; docs/data.md has why."""

CHUNK = 1 << 20
"""Candidates that are compared at a time: bounds the memory at some 50 MB."""

_MAX_BAND_BITS = 22
"""A band's table has an entry for each of its values: 32 MB at most."""

Hashes = NDArray[np.uint64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """Pairs of pictures, by their places; each pair once, the smaller place first.

    Attributes:
        left: Shape (n,), int64.
        right: Shape (n,), int64.
        distance: Shape (n,), int64; bits in which the perceptual hashes differ.
    """

    left: Indices
    right: Indices
    distance: Indices


def near_pairs(perceptual: Hashes, difference: Hashes, distance: int) -> Pairs:
    """All pairs whose two hashes are both close.

    Args:
        perceptual: Perceptual hashes, shape (n,), uint64.
        difference: Difference hashes of the same pictures, shape (n,), uint64; a pair counts when
            these differ in at most `DIFFERENCE_LIMIT` bits.
        distance: Most bits in which two perceptual hashes may differ.

    Returns:
        The pairs. Of k pictures that share both hashes each is paired with the first of them
        alone, which connects them all.
    """
    distinct, copies, originals = _without_copies(perceptual, difference)
    lefts, rights = [originals], [copies]
    for left, right in _close(perceptual[distinct], distance):
        first, second = distinct[left], distinct[right]
        alike = _bits(difference[first], difference[second]) <= DIFFERENCE_LIMIT
        lefts.append(first[alike])
        rights.append(second[alike])
    ends = np.sort(np.stack([np.concatenate(lefts), np.concatenate(rights)]), axis=0)
    left, right = np.unique(ends, axis=1)
    return Pairs(left, right, _bits(perceptual[left], perceptual[right]))


def groups(pairs: Pairs, count: int) -> Indices:
    """The connected component of each of ``count`` pictures, shape (count,), numbered from 0."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = (np.ones(len(pairs.left), np.int8), (pairs.left, pairs.right))
    graph = coo_array(edges, shape=(count, count))
    found: Indices = connected_components(graph, directed=False)[1].astype(np.int64)
    return found


def _without_copies(perceptual: Hashes, difference: Hashes) -> tuple[Indices, Indices, Indices]:
    """Places of the first picture of each pair of hashes, of the others, and of these' firsts."""
    order = np.lexsort((difference, perceptual))
    same = np.zeros(len(order), bool)
    same[1:] = (np.diff(perceptual[order]) == 0) & (np.diff(difference[order]) == 0)
    first = np.maximum.accumulate(np.where(same, 0, np.arange(len(order))))
    return order[~same], order[same], order[first[same]]


def _close(hashes: Hashes, distance: int) -> Iterator[tuple[Indices, Indices]]:
    """Pairs of places whose hashes differ in at most so many bits; some come more than once."""
    bands = _band_count(len(hashes), distance)
    edges = [BITS * band // bands for band in range(bands + 1)]
    for band, (low, high) in enumerate(itertools.pairwise(edges)):
        width, radius = high - low, _radius(band, bands, distance)
        keys = ((hashes >> np.uint64(low)) & np.uint64((1 << width) - 1)).astype(np.int64)
        for left, right in _neighbours(keys, width, radius):
            near = _bits(hashes[left], hashes[right]) <= distance
            yield left[near], right[near]


def _neighbours(keys: Indices, width: int, radius: int) -> Iterator[tuple[Indices, Indices]]:
    """Pairs of places whose keys differ in at most ``radius`` of ``width`` bits, each once."""
    members = np.argsort(keys, kind="stable")
    sizes = np.bincount(keys, minlength=1 << width)
    starts = np.cumsum(sizes) - sizes
    place = np.empty_like(members)
    place[members] = np.arange(len(members))
    for mask in _masks(width, radius):
        if mask:
            # From one side only: the two keys differ in the mask's highest bit.
            asking = np.flatnonzero((keys & (1 << (mask.bit_length() - 1))) == 0)
            begin = starts[keys[asking] ^ mask]
            length = sizes[keys[asking] ^ mask]
        else:
            asking = np.arange(len(keys))
            begin = place + 1
            length = starts[keys] + sizes[keys] - begin
        yield from _expand(asking, begin, length, members)


def _expand(
    asking: Indices, begin: Indices, length: Indices, members: Indices
) -> Iterator[tuple[Indices, Indices]]:
    """Pairs each asking place with its run of members, `CHUNK` at a time or little more."""
    found = np.flatnonzero(length)
    asking, begin, length = asking[found], begin[found], length[found]
    ends = np.cumsum(length)
    start = 0
    while start < len(asking):
        before = ends[start] - length[start]
        stop = max(start + 1, int(np.searchsorted(ends, before + CHUNK)))
        part = slice(start, stop)
        total = int(ends[stop - 1] - before)
        offset = np.repeat(begin[part] - (ends[part] - length[part] - before), length[part])
        yield np.repeat(asking[part], length[part]), members[offset + np.arange(total)]
        start = stop


def _masks(width: int, radius: int) -> Iterator[int]:
    for flips in range(radius + 1):
        for bits in itertools.combinations(range(width), flips):
            yield sum(1 << bit for bit in bits)


def _radius(band: int, bands: int, distance: int) -> int:
    """Bits that may differ within a band; below 0 where the other bands find every pair."""
    radius, left = divmod(distance, bands)
    return radius if band <= left else radius - 1


def _band_count(count: int, distance: int) -> int:
    """The number of bands that asks for the least work."""
    fewest = math.ceil(BITS / _MAX_BAND_BITS)
    return min(range(fewest, BITS // 4), key=lambda bands: _work(count, bands, distance))


def _work(count: int, bands: int, distance: int) -> float:
    width = BITS // bands
    radii = (_radius(band, bands, distance) for band in range(bands))
    probes = sum(math.comb(width, flips) for radius in radii for flips in range(radius + 1))
    calls, table = 3000, float(2**width)
    return probes * (calls + count * (1 + count / table)) + bands * table


def _bits(left: Hashes, right: Hashes) -> Indices:
    counts: Indices = np.bitwise_count(left ^ right).astype(np.int64)
    return counts
