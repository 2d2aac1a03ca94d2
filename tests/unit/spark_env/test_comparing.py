"""Candidate against champion: known differences, and how often the verdict is wrong."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from darkroom.contract import Comparison, Verdict
from darkroom.evaluation.comparing import CLASS, METRIC, REST, Tolerance, compare
from darkroom.evaluation.predictions import Predictions
from darkroom.evaluation.resampling import Bootstrap
from tests.unit.spark_env.simulated import Pairs, held_out, says, spelled

TOLERANCE = Tolerance(overall=0.0, slices=0.05, least_images=10)


def against(
    candidate: Predictions, champion: Predictions, *metrics: str, **tolerated: Any
) -> dict[tuple[str, str], Comparison]:
    found = compare(
        candidate,
        champion,
        metrics=metrics,
        tolerance=replace(TOLERANCE, **tolerated),
        bootstrap=Bootstrap(resamples=500),
    )
    return {(one.dimension, one.name): one for one in found}


def answers(*right: tuple[int, str]) -> tuple[Predictions, Predictions]:
    """Images of class a: ``(40, "+-")`` is 40 that the candidate alone gets right."""
    signs = [sign for count, sign in right for _ in range(count)]
    images = held_out(["a"] * len(signs))
    ours, theirs = (
        says(images, ["a" if sign[place] == "+" else "b" for sign in signs], labels=["a", "b"])
        for place in (0, 1)
    )
    return ours, theirs


@pytest.mark.parametrize(
    ("same", "gained", "lost", "margin", "verdict"),
    [
        (900, 60, 20, 0.0, Verdict.PASS),  # really better
        (900, 20, 60, 0.0, Verdict.FAIL),  # really worse
        (900, 40, 40, 0.0, Verdict.INCONCLUSIVE),  # no better, and nothing else would do
        (900, 40, 40, 0.03, Verdict.PASS),  # no worse than is tolerated
        (900, 20, 60, 0.03, Verdict.FAIL),  # worse beyond doubt, and by more than is tolerated
        (900, 20, 60, 0.1, Verdict.PASS),  # worse beyond doubt, but that is tolerated
        (20, 3, 1, 0.0, Verdict.INCONCLUSIVE),  # too few to tell
        (20, 1, 3, 0.0, Verdict.INCONCLUSIVE),
        (20, 0, 0, 0.03, Verdict.INCONCLUSIVE),  # the same on so few images means little
        (200, 0, 0, 0.03, Verdict.PASS),
    ],
)
def test_a_real_an_absent_and_an_uncertain_difference(
    same: int, gained: int, lost: int, margin: float, verdict: Verdict
) -> None:
    pair = answers((same, "++"), (gained, "+-"), (lost, "-+"))
    assert against(*pair, overall=margin)[METRIC, "accuracy"].verdict is verdict


def test_a_comparison_has_every_number() -> None:
    found = against(*answers((85, "++"), (2, "+-"), (12, "-+"), (1, "--")))
    accuracy = found[METRIC, "accuracy"]
    assert (accuracy.images, accuracy.candidate, accuracy.champion) == (100, 0.87, 0.97)
    assert accuracy.difference == pytest.approx(-0.1)
    assert accuracy.low < -0.1 < accuracy.high < 0
    # P(X <= 2) of Binomial(14, 1/2)
    assert accuracy.p_worse == pytest.approx(106 / 2**14, abs=1e-6)
    assert accuracy.verdict is Verdict.FAIL


def test_other_metrics_are_compared_on_the_same_resamples() -> None:
    images = held_out(["a", "b"] * 100)
    right = list(images.truths)
    sure, unsure = says(images, right, 0.9), says(images, right, 0.7)
    found = against(sure, unsure, "log_loss", "macro_f1")
    loss = found[METRIC, "log_loss"]
    # In the candidate's favour, though the number is lower; every resample agrees.
    found_in_float32 = pytest.approx(math.log(0.9 / 0.7), rel=1e-6)
    assert [loss.difference, loss.low, loss.high] == [found_in_float32] * 3
    assert (loss.verdict, loss.p_worse) == (Verdict.PASS, None)
    assert against(unsure, sure, "log_loss")[METRIC, "log_loss"].verdict is Verdict.FAIL
    assert found[METRIC, "macro_f1"].verdict is Verdict.INCONCLUSIVE


def test_a_metric_that_cannot_be_measured_is_not_compared() -> None:
    found = against(*answers((30, "++")), "auc")
    assert (METRIC, "auc") not in found


def test_a_class_that_got_worse_is_found_where_the_average_improves() -> None:
    images = held_out(["a"] * 200 + ["b"] * 200)
    ours = says(images, ["b"] * 40 + ["a"] * 160 + ["b"] * 200)
    theirs = says(images, ["a"] * 200 + ["a"] * 80 + ["b"] * 120)
    found = against(ours, theirs)
    assert found[METRIC, "accuracy"].verdict is Verdict.PASS
    assert found[CLASS, "a"].verdict is Verdict.FAIL
    assert found[CLASS, "a"].difference == pytest.approx(-0.2)
    assert found[CLASS, "b"].verdict is Verdict.PASS


def test_being_one_of_many_makes_a_small_loss_less_of_a_proof() -> None:
    # 7 lost of 7 that differ: 1/128 alone, times 20 classes more than the 0.05 that is allowed.
    def pair(classes: int) -> tuple[Predictions, Predictions]:
        images = held_out([f"c{n % classes:02}" for n in range(20 * classes)])
        right = list(images.truths)
        losses = iter(range(7))
        worse = [
            "c01" if truth == "c00" and next(losses, None) is not None else truth for truth in right
        ]
        return says(images, worse), says(images, right)

    assert against(*pair(2))[CLASS, "c00"].verdict is Verdict.FAIL
    many = against(*pair(20))[CLASS, "c00"]
    assert many.verdict is Verdict.INCONCLUSIVE
    assert many.p_worse == pytest.approx(20 / 2**7)


def test_small_slices_are_judged_together_and_too_small_ones_not_at_all() -> None:
    cities = ("x",) * 20 + ("y",) * 6 + ("z",) * 4
    camera = ("one",) * 21 + ("two",) * 9
    images = held_out(["a"] * 30, {"city": cities, "camera": camera, "size": ("same",) * 30})
    said = says(images, ["a"] * 30, labels=["a", "b"])
    found = against(said, said)
    sizes = {key: one.images for key, one in found.items() if key[0] not in {METRIC, CLASS}}
    assert sizes == {("city", "x"): 20, ("city", REST): 10, ("camera", "one"): 21}


def test_models_that_saw_other_images_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match=r"^the two models were not given the same images$"):
        against(spelled("aa bb"), spelled("aa"))


def test_no_image_gives_no_comparison() -> None:
    nothing = says(held_out([]), [], labels=["a"])
    assert against(nothing, nothing) == {}


def passes(
    pairs: Pairs, number: int, metrics: Sequence[str] = (), **tolerated: Any
) -> Counter[Verdict]:
    """How often the comparisons of a pair say PASS, FAIL or INCONCLUSIVE together."""
    found: Counter[Verdict] = Counter()
    for _ in range(number):
        verdicts = {one.verdict for one in against(*pairs.draw(), *metrics, **tolerated).values()}
        order = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS)
        found[next(one for one in order if one in verdicts)] += 1
    return found


# (true gain of each of 10 classes, images of each, share that differs, tolerance)
EQUAL_OR_WORSE = [
    ([0.0] * 10, 200, 0.10, 0.0),
    ([0.0] * 10, 20, 0.05, 0.0),
    ([-0.01] * 10, 100, 0.05, 0.0),
    ([-0.02] * 10, 200, 0.05, 0.02),
    ([-0.02] * 10, 50, 0.02, 0.02),
]
ONE_CLASS_WORSE = [0.051, 0.07, 0.10, 0.20]
"""Shares that differ: the candidate loses 5 points of one class and gains 3 of each other."""


@pytest.mark.parametrize(("gains", "images", "differing", "margin"), EQUAL_OR_WORSE)
def test_hardly_any_candidate_passes_that_is_no_better(
    gains: list[float], images: int, differing: float, margin: float
) -> None:
    found = passes(Pairs(gains, images, differing, 1), 60, overall=margin)
    assert found[Verdict.PASS] <= 3


@pytest.mark.parametrize("differing", ONE_CLASS_WORSE)
def test_a_class_five_points_worse_is_hardly_ever_missed(differing: float) -> None:
    pairs = Pairs([-0.05] + [0.03] * 9, 200, differing, 1)
    assert passes(pairs, 60)[Verdict.PASS] <= 4


def test_a_better_candidate_passes_and_a_much_worse_class_fails() -> None:
    assert passes(Pairs([0.03] * 10, 200, 0.05, 1), 40)[Verdict.PASS] >= 36
    assert passes(Pairs([-0.15] + [0.0] * 9, 200, 0.1, 1), 40)[Verdict.FAIL] >= 39


@pytest.mark.long
@pytest.mark.parametrize("metrics", [(), ("macro_f1", "log_loss")])
@pytest.mark.parametrize(("gains", "images", "differing", "margin"), EQUAL_OR_WORSE)
def test_of_1000_candidates_that_are_no_better_at_most_5_percent_pass(
    gains: list[float], images: int, differing: float, margin: float, metrics: tuple[str, ...]
) -> None:
    found = passes(Pairs(gains, images, differing, 2), 1000, metrics, overall=margin)
    print(f"{gains[0]:+.2f} n={images} d={differing} margin={margin}: {dict(found)}")  # noqa: T201
    assert found[Verdict.PASS] <= 50


@pytest.mark.long
@pytest.mark.parametrize("differing", ONE_CLASS_WORSE)
def test_of_1000_candidates_with_a_class_five_points_worse_95_percent_are_caught(
    differing: float,
) -> None:
    found = passes(Pairs([-0.05] + [0.03] * 9, 200, differing, 2), 1000)
    print(f"differing={differing}: {dict(found)}")  # noqa: T201
    assert found[Verdict.PASS] <= 50


@pytest.mark.long
@pytest.mark.parametrize(("gain", "margin"), [(0.0, 0.0), (0.0, 0.02), (0.02, 0.0), (0.03, 0.0)])
def test_what_1000_other_candidates_are_told(gain: float, margin: float) -> None:
    found = passes(Pairs([gain] * 10, 200, 0.05, 2), 1000, overall=margin)
    print(f"{gain:+.2f} margin={margin}: {dict(found)}")  # noqa: T201
    assert found[Verdict.FAIL] <= 75 * (gain == 0)
