"""The bootstrap: how far a number may be from what it would be on other images.

Whole near-duplicate groups are drawn with replacement, as often as there are groups (the cluster
bootstrap; Davison & Hinkley, Bootstrap Methods and their Application, 1997, section 3.8). A
resample is a vector of counts, multinomial with equal chances; a metric is a function of sums over
images, so that all resamples are one product of the counts with the sums' matrix. Two models are
compared on the same counts. Intervals are bias-corrected percentiles (Efron, Canadian Journal of
Statistics 9, 1981, 139-172; Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 14
with an acceleration of 0). The correction ends where the interval would no longer reach the median
of the resamples: the calibration error of a resample is nearly always above the images' own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_CHUNK: Final = 4_000_000
"""Counts in memory at a time."""


@dataclass(frozen=True)
class Estimate:
    """A number and the interval that it was measured to.

    Attributes:
        value: The number.
        low: Lower end of the interval; None where resampling tells nothing.
        high: Upper end.
    """

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """How to resample.

    Attributes:
        resamples: Number of resamples.
        confidence: Of the two-sided intervals, 0-1.
        seed: The same seed gives the same intervals.
    """

    resamples: int = 2000
    confidence: float = 0.95
    seed: int = 7

    def sums(self, matrix: Any, groups: Sequence[str] = ()) -> Floats:
        """Column sums of a matrix over each resample.

        Args:
            matrix: scipy CSR matrix (images, columns).
            groups: Group of each image; () for each image on its own.

        Returns:
            float64 (resamples, columns).
        """
        units = _by_group(matrix, groups).T.tocsr()
        parts = [units @ counts.T for counts in self._counts(units.shape[1])]
        return np.ascontiguousarray(np.concatenate(parts, axis=1).T)

    def percentile(self, numbers: Sequence[float], percent: float) -> Estimate:
        """A percentile of independent measurements; its interval lies within them.

        Args:
            numbers: At least one.
            percent: 0-100.

        Returns:
            The percentile, linear between neighbours, and its interval; none where all are equal.
        """
        drawn = np.random.default_rng(self.seed).choice(numbers, (self.resamples, len(numbers)))
        value = np.percentile(numbers, percent)
        low, high = self.intervals(value, np.percentile(drawn, percent, axis=1))
        return estimate(float(value), float(low), float(high))

    def intervals(self, value: Any, resampled: Floats) -> tuple[Floats, Floats]:
        """Bias-corrected percentile intervals.

        Args:
            value: The numbers on the images themselves, scalar or (columns,).
            resampled: The same on every resample, (resamples,) or (resamples, columns); NaN where
                a resample does not have it.

        Returns:
            Lower and upper ends around ``value``, shaped like it; NaN where all resamples agree.
        """
        table = resampled.reshape(len(resampled), -1)
        known = np.count_nonzero(~np.isnan(table), axis=0)
        middle = np.ravel(value)
        below = np.count_nonzero(table < middle, axis=0)
        equal = np.count_nonzero(table == middle, axis=0)
        levels = self._levels(below + equal / 2, known)
        ordered = np.sort(table, axis=0)
        ends = [_at(ordered, level, known) for level in levels]
        last = ordered[np.maximum(known - 1, 0), np.arange(table.shape[1])]
        told = (known > 0) & (ordered[0] < last)
        low, high = np.minimum(ends[0], middle), np.maximum(ends[1], middle)
        shape = np.shape(value)
        low, high = (np.where(told, end, np.nan).reshape(shape) for end in (low, high))
        return low, high

    def _levels(self, below: Floats, known: NDArray[np.int64]) -> tuple[Floats, Floats]:
        from scipy.special import ndtr, ndtri

        tail = ndtri((1 - self.confidence) / 2)
        bias = np.clip(ndtri(below / np.maximum(known, 1)), tail / 2, -tail / 2)
        return ndtr(2 * bias + tail), ndtr(2 * bias - tail)

    def _counts(self, units: int) -> Iterator[Floats]:
        """How often each unit is drawn, (some resamples, units)."""
        random = np.random.default_rng(self.seed)
        rows = max(1, _CHUNK // max(units, 1))
        for start in range(0, self.resamples, rows):
            some = min(rows, self.resamples - start)
            drawn = random.integers(units, size=(some, units)) if units else np.zeros((some, 0))
            places = (drawn + units * np.arange(some)[:, None]).astype(np.int64).ravel()
            yield np.bincount(places, minlength=some * units).reshape(some, units).astype(float)


def estimate(value: float, low: float, high: float) -> Estimate:
    """An estimate of plain numbers; NaN ends become None."""
    if np.isnan(low) or np.isnan(high):
        return Estimate(float(value))
    return Estimate(float(value), float(low), float(high))


def wilson(share: Floats, images: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Score intervals of proportions (Wilson, JASA 22, 1927, 209-212).

    Args:
        share: Observed proportions, 0-1.
        images: Out of how many; NaN comes of 0.
        confidence: Of the two-sided interval.

    Returns:
        Lower and upper ends, 0-1.
    """
    from scipy.special import ndtri

    z = ndtri((1 + confidence) / 2)
    number = np.where(images > 0, images, np.nan)
    scale = 1 + z**2 / number
    centre = (share + z**2 / (2 * number)) / scale
    half = z * np.sqrt(share * (1 - share) / number + z**2 / (4 * number**2)) / scale
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)


def share_interval(count: int, total: int, confidence: float) -> tuple[float | None, float | None]:
    """`wilson` of one share, ``count`` of ``total``; None without images."""
    if not total:
        return None, None
    low, high = wilson(np.array([count / total]), np.array([float(total)]), confidence)
    return float(low[0]), float(high[0])


def _by_group(matrix: Any, groups: Sequence[str]) -> Any:
    if not groups:
        return matrix
    from scipy.sparse import csr_array

    names, places = np.unique(np.asarray(groups), return_inverse=True)
    ones = np.ones(len(places))
    members = csr_array((ones, (places, np.arange(len(places)))), (len(names), len(places)))
    return members @ matrix


def _at(ordered: Floats, level: Floats, known: NDArray[np.int64]) -> Floats:
    """Quantiles of sorted columns, each at a level of its own, linear in between."""
    columns = np.arange(ordered.shape[1])
    place = level * np.maximum(known - 1, 0)
    lower = np.floor(place).astype(np.int64)
    upper = np.minimum(lower + 1, np.maximum(known - 1, 0))
    start, end = ordered[lower, columns], ordered[upper, columns]
    found: Floats = start + (place - lower) * (end - start)
    return found
