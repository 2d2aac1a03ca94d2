"""The drift measure against known answers, and its limit against resampled pictures."""

from __future__ import annotations

from collections.abc import Mapping
from math import log2

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import brentq

from darkroom.validation.drift import compare, limit, p_value

TOLERATED = 0.05
FALSE_ALARMS = 0.01

Shares = NDArray[np.float64]


def histogram(counts: Shares | NDArray[np.int64]) -> Mapping[str, int]:
    return {str(place): int(count) for place, count in enumerate(counts)}


def tilted(shares: Shares, by: float) -> Shares:
    """Other shares of the same bins, the further from the given ones the larger ``by`` is."""
    other: Shares = shares * np.exp(by * np.linspace(-1, 1, len(shares)))
    total: float = other.sum()
    return other / total


def divergence(one: Shares, other: Shares) -> float:
    """Written out from the definition, in bits."""
    middle = (one + other) / 2
    return float(sum((p * np.log2(p / middle)).sum() for p in (one, other)) / 2)


def at_divergence(shares: Shares, bits: float) -> Shares:
    """Shares that are so many bits from the given ones."""
    by = brentq(lambda by: divergence(shares, tilted(shares, by)) - bits, 0, 10)
    return tilted(shares, by)


def failures(
    one: Shares,
    other: Shares,
    n: int,
    m: int,
    tolerated: float,
    repeats: int = 400,
    ordered: bool = False,
) -> float:
    """Share of the comparisons of samples that fail."""
    random = np.random.default_rng(7)
    failed = sum(
        not compare(
            histogram(random.multinomial(n, one)),
            histogram(random.multinomial(m, other)),
            tolerated,
            FALSE_ALARMS,
            ordered=ordered,
        ).passes
        for _ in range(repeats)
    )
    return failed / repeats


EVEN = np.full(10, 0.1)
SKEWED = 1 / np.arange(1, 31)
SKEWED /= SKEWED.sum()


@pytest.mark.parametrize(
    ("now", "before", "bits"),
    [
        ({"a": 30, "b": 70}, {"a": 300, "b": 700}, 0.0),
        ({"a": 50}, {"b": 50}, 1.0),
        # Half the mass moves to a bin of its own: H(3/4) - (H(1/2) + H(1)) / 2 in bits.
        ({"a": 50, "b": 50}, {"a": 100}, (0.75 * log2(4 / 3) + 0.25 * 2) - 0.5),
    ],
)
def test_the_divergence_is_the_known_one(
    now: Mapping[str, int], before: Mapping[str, int], bits: float
) -> None:
    found = compare(now, before, TOLERATED, FALSE_ALARMS, ordered=False)
    assert found.divergence == pytest.approx(bits, abs=1e-9)


@pytest.mark.parametrize("tolerated", [0.0, TOLERATED])
def test_p_is_the_share_of_false_alarms_at_the_limit(tolerated: float) -> None:
    most = limit(80, 300, 10, tolerated, FALSE_ALARMS)

    assert p_value(most, 80, 300, 10, tolerated) == pytest.approx(FALSE_ALARMS)
    assert p_value(0.0, 80, 300, 10, tolerated) == 1.0
    assert p_value(1.0, 80, 300, 1, tolerated) == 1.0
    found = compare({"a": 50, "b": 30}, {"a": 100, "b": 200}, tolerated, 0.5, ordered=False)
    assert found.p == p_value(found.divergence, 80, 300, 2, tolerated)


def test_the_limit_comes_down_to_what_is_tolerated() -> None:
    limits = [limit(n, n, 10, TOLERATED, FALSE_ALARMS) for n in (50, 1_000, 50_000, 10**8)]
    assert limits == pytest.approx([0.2547, 0.0749, 0.0529, 0.0501], abs=1e-4)
    # The chi-square quantile of 9 degrees of freedom at 0.99 is 21.666.
    assert limit(100, 300, 10, 0, 0.01) == pytest.approx(21.666 * 400 / (8 * 3e4 * np.log(2)), 1e-4)
    assert limit(100, 300, 1, TOLERATED, FALSE_ALARMS) == TOLERATED


@pytest.mark.parametrize(("n", "m"), [(60, 60), (200, 50), (5_000, 50_000)])
@pytest.mark.parametrize("shares", [EVEN, SKEWED], ids=["even", "skewed"])
def test_samples_of_one_population_hardly_ever_fail(shares: Shares, n: int, m: int) -> None:
    assert failures(shares, shares, n, m, TOLERATED) == 0
    # With nothing tolerated it is the rate that was asked for; three times that with few pictures.
    assert failures(shares, shares, n, m, 0) <= (0.03 if n < 1_000 else 0.02)


@pytest.mark.parametrize("shares", [EVEN, SKEWED], ids=["even", "skewed"])
def test_what_is_just_tolerated_fails_as_seldom_as_was_asked_for(shares: Shares) -> None:
    other = at_divergence(shares, TOLERATED)
    assert failures(shares, other, 200, 200, TOLERATED) <= 0.02
    assert 0 < failures(shares, other, 20_000, 20_000, TOLERATED, 1_000) <= 0.02


@pytest.mark.parametrize("shares", [EVEN, SKEWED], ids=["even", "skewed"])
def test_a_shift_of_twice_as_much_is_found(shares: Shares) -> None:
    other = at_divergence(shares, 2 * TOLERATED)
    assert failures(shares, other, 2_000, 2_000, TOLERATED) == 1
    # Too few pictures to tell: it passes more often than not.
    assert failures(shares, other, 60, 60, TOLERATED) < 0.5


@pytest.mark.parametrize("m", [200, 50])
@pytest.mark.parametrize("ordered", [False, True])
def test_many_thin_bins_raise_no_alarms(ordered: bool, m: int) -> None:
    """With each of them on its own, or those kept that chance has filled, one in six would fail."""
    many = np.full(100, 0.01)
    assert failures(many, many, 200, m, 0, ordered=ordered) <= 0.03


def test_rare_classes_are_one_bin() -> None:
    """A hundred classes of one picture each say nothing, however they are named."""
    now = {"all": 900, **{f"new {n}": 1 for n in range(100)}}
    before = {"all": 900, **{f"old {n}": 1 for n in range(100)}}
    assert compare(now, before, 0, FALSE_ALARMS, ordered=False).divergence == 0


def test_rare_bins_of_a_number_join_their_neighbours() -> None:
    """Thinly spread, and yet seen to have moved: all of them together would be one bin."""
    now = {str(100 + n): 5 for n in range(10)}
    before = {str(n): 5 for n in range(10)}
    drift = compare(now, before, TOLERATED, FALSE_ALARMS, ordered=True)
    assert drift.divergence == pytest.approx(1)
    assert not drift.passes
    # As numbers: "100" comes after "9".
    near = compare({"9": 30, "100": 30}, {"8": 30, "100": 30}, TOLERATED, 0.01, ordered=True)
    assert near.divergence == pytest.approx(0.5)


@pytest.mark.parametrize("ordered", [False, True])
def test_a_bin_that_few_pictures_fill_alone_stays_one(ordered: bool) -> None:
    """Of all pictures these are a small share, of the smaller sample all."""
    drift = compare({"0": 20, "240": 20}, {"128": 1_000}, TOLERATED, FALSE_ALARMS, ordered=ordered)
    assert drift.divergence == pytest.approx(1)
    assert not drift.passes


@pytest.mark.parametrize("ordered", [False, True])
def test_what_is_left_joins_a_bin_that_holds_enough(ordered: bool) -> None:
    """One picture in a bin of its own is no second bin."""
    drift = compare({"1": 50, "2": 1}, {"1": 50}, 0, FALSE_ALARMS, ordered=ordered)
    assert drift.divergence == drift.limit == 0


def test_an_empty_histogram_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^an empty histogram has no shares: 0 and 3 pictures$"):
        compare({"a": 0}, {"a": 3}, TOLERATED, FALSE_ALARMS, ordered=False)
