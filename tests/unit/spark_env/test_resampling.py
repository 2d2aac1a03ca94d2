"""The bootstrap, against formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.stats import norm

from darkroom.evaluation.resampling import Bootstrap, Estimate, estimate, share_interval, wilson


def test_a_resample_has_as_many_images_and_the_same_sums_on_the_average() -> None:
    matrix = csr_array(np.column_stack([np.ones(50), np.arange(50)]))
    sums = Bootstrap(resamples=4000).sums(matrix)
    assert sums.shape == (4000, 2)
    assert set(sums[:, 0]) == {50.0}
    # Variance of a sum of 50 draws from 0..49.
    assert sums[:, 1].mean() == pytest.approx(np.arange(50).sum(), rel=0.01)
    assert sums[:, 1].std() == pytest.approx(np.sqrt(50) * np.arange(50).std(), rel=0.05)


def test_near_duplicates_are_drawn_together() -> None:
    matrix = csr_array(np.eye(4))
    sums = Bootstrap(resamples=200).sums(matrix, ("a", "a", "b", "b"))
    assert np.array_equal(sums[:, 0], sums[:, 1])
    assert np.array_equal(sums[:, 2], sums[:, 3])
    assert set(sums[:, 0] + sums[:, 2]) == {2.0}


def test_the_same_seed_draws_the_same_however_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = csr_array(np.arange(30.0)[:, None])
    whole = Bootstrap(resamples=100, seed=3).sums(matrix)
    monkeypatch.setattr("darkroom.evaluation.resampling._CHUNK", 70)
    assert np.array_equal(Bootstrap(resamples=100, seed=3).sums(matrix), whole)
    assert not np.array_equal(Bootstrap(resamples=100, seed=4).sums(matrix), whole)


def test_the_interval_of_a_mean_is_the_normal_one() -> None:
    random = np.random.default_rng(0)
    values = random.normal(5, 2, 400)
    bootstrap = Bootstrap(resamples=8000, confidence=0.9)
    means = bootstrap.sums(csr_array(values[:, None]))[:, 0] / 400
    low, high = bootstrap.intervals(values.mean(), means)
    half = norm.ppf(0.95) * values.std() / 20
    assert (low, high) == pytest.approx(
        (values.mean() - half, values.mean() + half), abs=half * 0.05
    )


def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    bootstrap = Bootstrap(resamples=400)
    covered = 0
    for right in random.random((300, 120)) < 0.8:
        shares = bootstrap.sums(csr_array(right.astype(float)[:, None]))[:, 0] / 120
        low, high = bootstrap.intervals(right.mean(), shares)
        covered += bool(low <= 0.8 <= high)
    assert 0.91 <= covered / 300 <= 0.98


def test_a_bias_of_the_resamples_is_corrected() -> None:
    # Most resamples lie above the number: the plain percentiles would nearly leave it out.
    bootstrap = Bootstrap(resamples=1000)
    resampled = np.linspace(0.0, 1.0, 1000)
    z, bias = norm.ppf(0.975), norm.ppf(0.2)
    low, high = bootstrap.intervals(0.2, resampled)
    assert (low, high) == pytest.approx(norm.cdf([2 * bias - z, 2 * bias + z]), abs=2e-3)
    low, high = bootstrap.intervals(0.001, resampled)
    assert (low, high) == pytest.approx((0.0, 0.5), abs=1e-3)
    assert bootstrap.intervals(-0.1, resampled)[0] == -0.1


def test_resamples_without_the_class_do_not_count_and_equal_ones_tell_nothing() -> None:
    bootstrap = Bootstrap(resamples=4)
    resampled = np.array([[1.0, 0.5], [1.0, np.nan], [1.0, 0.7], [1.0, 0.6]])
    low, high = bootstrap.intervals(np.array([1.0, 0.6]), resampled)
    assert np.isnan(low[0])
    assert np.isnan(high[0])
    assert (low[1], high[1]) == pytest.approx((0.5, 0.7), abs=0.01)
    assert estimate(1.0, low[0], high[0]) == Estimate(1.0, None, None)


def test_the_interval_of_a_median_is_that_of_its_order_statistics() -> None:
    # Of 101 numbers the 41st and the 61st: the ranks' normal interval (Conover, 1999, ch. 3.2).
    found = Bootstrap(resamples=8000).percentile([float(n) for n in range(1, 102)], 50)
    assert found.value == 51.0
    assert (found.low, found.high) == pytest.approx((41.0, 61.0), abs=1.0)


def test_a_percentile_lies_within_what_was_measured_and_of_equal_numbers_has_no_interval() -> None:
    times = [40.0, 50.0, 60.0, 50.0, 100.0]
    found = Bootstrap().percentile(times, 95)
    assert found.value == pytest.approx(92.0)
    assert found.low is not None
    assert found.high is not None
    assert 40.0 <= found.low < 92.0 < found.high <= 100.0
    assert Bootstrap().percentile(times, 95) == found
    assert Bootstrap().percentile([7.0, 7.0], 50) == Estimate(7.0)


def test_wilson_gives_what_all_right_is_worth() -> None:
    low, high = wilson(np.array([1.0, 0.5, 0.0]), np.array([20.0, 10.0, 0.0]), 0.95)
    z = norm.ppf(0.975)
    assert low[0] == pytest.approx(20 / (20 + z**2))
    assert high[0] == 1.0
    assert (low[1], high[1]) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert np.isnan(low[2])


def test_one_share_has_wilsons_interval() -> None:
    # Newcombe, Statistics in Medicine 17, 1998, table I: 15 of 148, method 3.
    found = share_interval(15, 148, 0.95)
    assert found == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert share_interval(0, 0, 0.95) == (None, None)
