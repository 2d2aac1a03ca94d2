"""The kernel two-sample test: are two sets of feature vectors from one distribution?

The measure is the unbiased estimate of the squared maximum mean discrepancy, MMD, under a Gaussian
kernel whose width is the median distance of the pooled vectors (Gretton, Borgwardt, Rasch,
Schölkopf & Smola, A Kernel Two-Sample Test, Journal of Machine Learning Research 13, 2012,
723-773: lemma 6, and section 8 for the width). Its p-value is that of the permutation test: how
often a random division of the pooled vectors is as far apart as the given one, which counts
itself (Phipson & Smyth, Statistical Applications in Genetics and Molecular Biology 9, 2010, 39).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_AT_ONCE: Final = 250
"""Permutations per matrix product."""


@dataclass(frozen=True)
class TwoSample:
    """What the test found.

    Attributes:
        value: Unbiased estimate of the squared MMD, at most 2; about 0, also below, without shift.
        by_chance: The same of each permutation, sorted, (permutations,).
        p: How likely a value so large is without shift, above 0, at most 1.
        unusual: How much more like the vectors of now than like those of before each of now's is:
            the witness function at it, (now,).
    """

    value: float
    by_chance: Floats
    p: float
    unusual: Floats

    def threshold(self, false_alarms: float) -> float:
        """The value that only that share (0..1) of the permutations exceeds."""
        return float(np.quantile(self.by_chance, 1 - false_alarms, method="higher"))


def kernel_test(now: Any, before: Any, *, permutations: int, seed: int) -> TwoSample:
    """Tests whether two samples are from one distribution.

    Args:
        now: Feature vectors (images, width), two or more.
        before: The same of the reference.
        permutations: How many; one more is what the smallest p-value is one in.
        seed: Of the permutations.

    Returns:
        The result.

    Raises:
        ValueError: A sample has fewer than two vectors, or they differ in width.
    """
    now, before = np.asarray(now, float), np.asarray(before, float)
    if min(len(now), len(before)) < 2 or now.shape[1:] != before.shape[1:]:
        raise ValueError(f"samples of shapes {now.shape} and {before.shape} cannot be compared")
    kernel = _kernel(np.concatenate([now, before]))
    given = np.zeros((len(kernel), 1))
    given[: len(now)] = 1
    value = float(_mmd(kernel, given)[0])
    by_chance = np.sort(_permuted(kernel, given[:, 0], permutations, seed))
    # Sums in another order differ in the last digits.
    as_far = np.count_nonzero(by_chance >= value - 1e-12)
    return TwoSample(
        value=value,
        by_chance=by_chance,
        p=(1 + as_far) / (1 + len(by_chance)),
        unusual=_witness(kernel, len(now)),
    )


def _kernel(vectors: Floats) -> Floats:
    """The Gaussian kernel of all pairs, with zeros on the diagonal: none is a pair with itself."""
    from scipy.spatial.distance import pdist, squareform

    squared = pdist(vectors, "sqeuclidean")
    width = np.median(squared) or np.mean(squared)
    # Vectors that are all the same have no width: every pair is alike.
    alike = np.exp(-squared / (2 * width)) if width else np.ones_like(squared)
    made: Floats = squareform(alike)
    return made


def _mmd(kernel: Floats, members: Floats) -> Floats:
    """The statistic of each column of ``members``, which says with 1 who is in the first sample."""
    n, total = members[:, 0].sum(), len(kernel)
    m = total - n
    sums = kernel @ members
    inside = (members * sums).sum(axis=0)
    across = sums.sum(axis=0) - inside
    outside = kernel.sum() - inside - 2 * across
    found: Floats = inside / (n * (n - 1)) + outside / (m * (m - 1)) - 2 * across / (n * m)
    return found


def _permuted(kernel: Floats, given: Floats, permutations: int, seed: int) -> Floats:
    random = np.random.default_rng(seed)
    found = []
    for done in range(0, permutations, _AT_ONCE):
        some = min(_AT_ONCE, permutations - done)
        members = np.repeat(given[:, None], some, axis=1)
        found.append(_mmd(kernel, random.permuted(members, axis=0)))
    return np.concatenate(found)


def _witness(kernel: Floats, n: int) -> Floats:
    m = len(kernel) - n
    found: Floats = kernel[:n, :n].sum(axis=1) / (n - 1) - kernel[:n, n:].sum(axis=1) / m
    return found
