"""How far two sets of pictures differ, and how far they may by chance.

The measure is the Jensen-Shannon divergence of two histograms, in bits: 0 for equal shares, 1 for
histograms without a common bin (Lin: Divergence Measures Based on the Shannon Entropy, 1991).

Two samples of one and the same population differ as well, the smaller they are the more. To second
order the divergence of n and m pictures over k bins is (n + m) / (8 n m ln 2) times a statistic
that has the chi-square distribution with k - 1 degrees of freedom; if the populations themselves
differ by ``tolerated`` bits, the non-central one with the non-centrality
tolerated * 8 n m ln 2 / (n + m). The limit is that distribution's quantile at 1 - ``false_alarms``:
with few pictures it leaves room for chance, with many it comes down to ``tolerated``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

LEAST_EXPECTED: Final = 5
"""Bins that would hold fewer pictures than this of the smaller sample are put together: the
approximation is of bins that hold several (Cochran's rule for chi-square tests)."""


class Bin(NamedTuple):
    """Pictures of each sample in one bin."""

    now: int
    before: int

    def joined(self, other: Bin) -> Bin:
        """Both bins as one."""
        return Bin(self.now + other.now, self.before + other.before)

    def is_large(self, n: int, m: int) -> bool:
        """Whether it holds enough of samples of n and m pictures.

        The mean of its shares counts: a bin that one sample alone fills is large, however many
        pictures the other one has.
        """
        return (self.now / n + self.before / m) / 2 * min(n, m) >= LEAST_EXPECTED


@dataclass(frozen=True)
class Drift:
    """Two histograms, compared.

    Attributes:
        divergence: Jensen-Shannon divergence, 0-1 bits.
        limit: The largest one that passes, in bits.
        now: Number of pictures of the one histogram.
        before: Number of pictures of the other.
        bins: Bins that were compared, after rare ones were put together.
        tolerated: Divergence that the populations may have, in bits.
    """

    divergence: float
    limit: float
    now: int
    before: int
    bins: int
    tolerated: float

    @property
    def passes(self) -> bool:
        """Whether the difference is tolerated, or may be chance."""
        return self.divergence <= self.limit

    @property
    def p(self) -> float:
        """How likely so large a divergence is if the populations have just the tolerated one."""
        return p_value(self.divergence, self.now, self.before, self.bins, self.tolerated)


def compare(
    now: Mapping[str, int],
    before: Mapping[str, int],
    tolerated: float,
    false_alarms: float,
    *,
    ordered: bool,
) -> Drift:
    """Compares two histograms.

    Args:
        now: Pictures per bin; a bin that is missing holds none.
        before: The same of the other sample.
        tolerated: Divergence, 0-1 bits, that the populations may have.
        false_alarms: Share (0..1) of the comparisons of such populations that may fail.
        ordered: Whether the bins are numbers: rare ones then join their neighbours, while rare
            classes, which have none, become one bin.

    Returns:
        The comparison.

    Raises:
        ValueError: A histogram is empty.
    """
    n, m = sum(now.values()), sum(before.values())
    if not n or not m:
        raise ValueError(f"an empty histogram has no shares: {n} and {m} pictures")
    names = sorted({*now, *before}, key=int if ordered else None)
    bins = [Bin(now.get(name, 0), before.get(name, 0)) for name in names]
    pooled = (_neighbours_joined if ordered else _rare_joined)(bins, n, m)
    return Drift(
        divergence=_divergence(pooled, n, m),
        limit=limit(n, m, len(pooled), tolerated, false_alarms),
        now=n,
        before=m,
        bins=len(pooled),
        tolerated=tolerated,
    )


def limit(n: int, m: int, bins: int, tolerated: float, false_alarms: float) -> float:
    """The divergence, in bits, that only ``false_alarms`` of the comparisons exceed by chance.

    Args:
        n: Pictures of the one sample.
        m: Pictures of the other sample.
        bins: Bins of the histograms.
        tolerated: Divergence, 0-1 bits, of the populations.
        false_alarms: A share, 0..1.
    """
    from scipy.stats import chi2, ncx2

    if bins < 2:
        return tolerated
    bits, free, quantile = _bits(n, m), bins - 1, 1 - false_alarms
    if not tolerated:
        return float(bits * chi2.ppf(quantile, free))
    return float(bits * ncx2.ppf(quantile, free, tolerated / bits))


def p_value(divergence: float, n: int, m: int, bins: int, tolerated: float) -> float:
    """How likely a divergence that large, in bits, is by chance; the arguments are `limit`'s."""
    from scipy.stats import chi2, ncx2

    if bins < 2:
        return 1.0
    bits, free = _bits(n, m), bins - 1
    if not tolerated:
        return float(chi2.sf(divergence / bits, free))
    return float(ncx2.sf(divergence / bits, free, tolerated / bits))


def _bits(n: int, m: int) -> float:
    """Bits of divergence per unit of the statistic."""
    return (n + m) / (8 * n * m * math.log(2))


def _divergence(bins: Sequence[Bin], n: int, m: int) -> float:
    from scipy.special import rel_entr

    now, before = np.array(bins).T / [[n], [m]]
    middle = (now + before) / 2
    nats = float((rel_entr(now, middle) + rel_entr(before, middle)).sum()) / 2
    # Equal shares can come out as a rounding error below 0.
    return max(0.0, nats / math.log(2))


def _neighbours_joined(bins: Iterable[Bin], n: int, m: int) -> list[Bin]:
    """Bins from the left, each joined by the next ones until it is large."""
    large: list[Bin] = []
    last = Bin(0, 0)
    for one in bins:
        last = last.joined(one)
        if last.is_large(n, m):
            large.append(last)
            last = Bin(0, 0)
    return _with_rest(large, last)


def _rare_joined(bins: Iterable[Bin], n: int, m: int) -> list[Bin]:
    """Bins that are not large as one; where that is not either, it joins the smallest of them."""
    kept, rare = list[Bin](), Bin(0, 0)
    for one in bins:
        if one.is_large(n, m):
            kept.append(one)
        else:
            rare = rare.joined(one)
    if rare.is_large(n, m):
        return [*kept, rare]
    return _with_rest(sorted(kept, key=sum, reverse=True), rare)


def _with_rest(bins: list[Bin], rest: Bin) -> list[Bin]:
    """The last bin takes in what is left, which is not large."""
    return [*bins[:-1], bins[-1].joined(rest)] if bins else [rest]
