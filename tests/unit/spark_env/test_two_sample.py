"""The kernel two-sample test against its definition and against chance."""

from __future__ import annotations

import numpy as np
import pytest

from darkroom.monitoring.two_sample import kernel_test


def test_the_value_is_the_definition_s() -> None:
    random = np.random.default_rng(1)
    now, before = random.normal(1, 1, (5, 3)), random.normal(0, 1, (4, 3))
    pooled = np.concatenate([now, before])
    squared = ((pooled[:, None] - pooled[None]) ** 2).sum(axis=2)
    width = np.median(squared[np.triu_indices(len(pooled), 1)])
    kernel = np.exp(-squared / (2 * width))
    within = [
        sum(k[i, j] for i in range(len(k)) for j in range(len(k)) if i != j)
        for k in (kernel[:5, :5], kernel[5:, 5:])
    ]

    found = kernel_test(now, before, permutations=20, seed=7)

    assert found.value == pytest.approx(
        within[0] / 20 + within[1] / 12 - 2 * kernel[:5, 5:].mean(), abs=1e-12
    )
    of_first = np.delete(kernel[0, :5], 0).mean() - kernel[0, 5:].mean()
    assert found.unusual[0] == pytest.approx(of_first, abs=1e-12)


def test_two_domains_are_as_unlikely_as_the_permutations_can_tell() -> None:
    random = np.random.default_rng(2)
    now, before = random.normal(2, 1, (40, 8)), random.normal(0, 1, (60, 8))
    now[0] = 6

    found = kernel_test(now, before, permutations=300, seed=7)

    assert found.p == 1 / 301
    assert found.value > found.threshold(0.01) > 0
    assert np.all(np.diff(found.by_chance) >= 0)


def test_p_is_below_a_share_as_seldom_as_that_without_shift() -> None:
    random = np.random.default_rng(3)
    samples = random.normal(size=(100, 2, 30, 4))

    found = [kernel_test(one, other, permutations=99, seed=7).p for one, other in samples]

    assert np.mean(np.array(found) <= 0.1) == pytest.approx(0.1, abs=0.06)
    assert np.mean(np.array(found) <= 0.5) == pytest.approx(0.5, abs=0.12)


def test_the_same_seed_gives_the_same_p() -> None:
    random = np.random.default_rng(4)
    now, before = random.normal(size=(2, 20, 4))

    one, other = (kernel_test(now, before, permutations=600, seed=7) for _ in range(2))

    assert one.p == other.p
    assert (one.by_chance == other.by_chance).all()


def test_images_that_are_all_the_same_are_no_shift() -> None:
    same = np.ones((10, 4))

    found = kernel_test(same, same, permutations=50, seed=7)

    assert (found.value, found.p) == (0.0, 1.0)


@pytest.mark.parametrize(("one", "other"), [((1, 4), (9, 4)), ((9, 4), (9, 5))])
def test_samples_that_cannot_be_compared_are_refused(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    with pytest.raises(ValueError, match=r"samples of shapes .* cannot be compared"):
        kernel_test(np.ones(one), np.ones(other), permutations=10, seed=7)
