"""Tests of paired proportions, against numbers worked out by hand or by brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from darkroom.evaluation.paired import (
    fewest_images,
    holm,
    interval,
    mcnemar,
    p_not_tolerated,
    p_worse,
    score,
)


def test_mcnemar_is_the_exact_binomial_test() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(5, 5) == 1.0
    assert mcnemar(0, 5) == pytest.approx(2 / 2**5)
    # 2 * (C(14,0) + C(14,1) + C(14,2)) / 2**14
    assert mcnemar(12, 2) == mcnemar(2, 12) == pytest.approx(212 / 2**14)


def test_being_worse_is_tested_on_one_side_of_the_same_binomial() -> None:
    found = p_worse([0, 0, 2, 12, 5], [0, 5, 12, 2, 0])
    assert found == pytest.approx([1.0, 1 / 2**5, 106 / 2**14, 1 - 15 / 2**14, 1.0])


def test_without_a_margin_only_a_better_model_is_tolerable() -> None:
    assert p_not_tolerated(100, [5, 0, 0], [0, 0, 5], 0) == pytest.approx([1 / 2**5, 1.0, 1.0])


def test_with_a_margin_the_same_answers_are_tolerable_once_there_are_enough() -> None:
    # Nothing differs: n * margin / sqrt(n * margin * (1 - margin)).
    for images in (72, 73, 74):
        statistic = np.sqrt(images * 0.05 / 0.95)
        found = p_not_tolerated(images, 0, 0, 0.05)
        assert found == pytest.approx(norm.sf(statistic))
    assert fewest_images(0.05, 0.95) == 73
    assert p_not_tolerated(73, 0, 0, 0.05) <= 0.025 < p_not_tolerated(72, 0, 0, 0.05)


@pytest.mark.parametrize("difference", [-0.2, -0.03, 0.0, 0.1, 0.3])
@pytest.mark.parametrize(("gained", "lost"), [(8, 4), (1, 9), (20, 0), (0, 3), (30, 30)])
def test_the_score_statistic_takes_its_variance_from_the_likeliest_loss(
    gained: int, lost: int, difference: float
) -> None:
    images = 100

    def unlikelihood(share: float) -> float:
        same = 1 - 2 * share - difference
        parts = [(gained, share + difference), (lost, share), (images - gained - lost, same)]
        return -sum(count * math.log(max(chance, 1e-300)) for count, chance in parts if count)

    bounds = (max(0.0, -difference), (1 - difference) / 2)
    share = minimize_scalar(unlikelihood, bounds=bounds, method="bounded", options={"xatol": 1e-10})
    spread = np.sqrt(images * (2 * share.x + difference - difference**2))
    expected = (gained - lost - images * difference) / spread
    assert score(images, gained, lost, difference) == pytest.approx(expected, rel=1e-3)


def test_at_no_difference_the_score_is_mcnemars_chi() -> None:
    assert score(500, 30, 12, 0.0) == pytest.approx(18 / np.sqrt(42))


def test_an_interval_holds_the_differences_that_the_score_does_not_refute() -> None:
    low, high = interval([100, 100, 40], [8, 0, 0], [4, 0, 40], 0.95)
    z = norm.ppf(0.975)
    assert score([100, 100], [8, 0], [4, 0], low[:2]) == pytest.approx([z, z])
    assert score([100, 100], [8, 0], [4, 0], high[:2]) == pytest.approx([-z, -z])
    # Nothing differs among 100: n * d / (1 - d) is z squared, on either side.
    assert (low[1], high[1]) == pytest.approx((-(z**2) / (100 + z**2), z**2 / (100 + z**2)))
    assert low[2] == pytest.approx(-1)


def test_the_interval_turns_with_the_models() -> None:
    low, high = interval(57, 11, 3, 0.9)
    other_low, other_high = interval(57, 3, 11, 0.9)
    assert (low, high) == pytest.approx((-other_high, -other_low))


def test_holm_multiplies_by_the_number_of_those_that_are_left() -> None:
    # 0.01 * 4; 0.03 * 3; 0.04 * 2 is less than what came before; 0.8 * 1
    assert holm([0.04, 0.01, 0.8, 0.03]) == pytest.approx([0.09, 0.04, 0.8, 0.09])
    assert holm([0.6, 0.7]) == pytest.approx([1.0, 1.0])
    assert holm([]).tolist() == []


@given(
    gained=st.integers(0, 300),
    lost=st.integers(0, 300),
    same=st.integers(0, 3000),
    margin=st.floats(0.001, 0.5),
)
def test_interval_and_test_say_the_same(gained: int, lost: int, same: int, margin: float) -> None:
    images = gained + lost + same
    assume(images > 0)
    low, high = interval(images, gained, lost, 0.95)
    difference = (gained - lost) / images
    assert -1 <= low <= difference + 1e-9
    assert difference - 1e-9 <= high <= 1
    chance = p_not_tolerated(images, gained, lost, margin)
    assert 0 <= chance <= 1
    if abs(low + margin) > 1e-6:
        assert (chance <= 0.025) == (low > -margin)
