"""The gate: every verdict and the exact text of every reason."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from darkroom.contract import GateConfig, GateDecision, Verdict
from darkroom.evaluation.gate import Baseline, decide, mcnemar

GATE = GateConfig(
    thresholds={"accuracy": 0.85, "macro_f1": 0.8}, min_test_images=100, max_regression=0.02
)
GOOD = {"accuracy": 0.9, "macro_f1": 0.85}


def judge(metrics: Mapping[str, float] = GOOD, **changes: Any) -> GateDecision:
    given: dict[str, Any] = {
        "gate": GATE,
        "test_images": 200,
        "untested_classes": (),
        "baseline": None,
    }
    return decide("c0ffee", metrics, **(given | changes))


def champion(accuracy: float = 0.9, macro_f1: float = 0.85, ours: int = 5, theirs: int = 5) -> Any:
    return Baseline(
        version="3",
        metrics={"accuracy": accuracy, "macro_f1": macro_f1},
        only_candidate_right=ours,
        only_champion_right=theirs,
    )


def test_a_good_candidate_passes_and_every_check_says_why() -> None:
    decision = judge()
    assert decision.verdict is Verdict.PASS
    assert decision.reasons == ()
    assert (decision.candidate, decision.champion) == ("c0ffee", None)
    assert [
        (check.name, check.value, check.threshold, check.reason) for check in decision.checks
    ] == [
        ("test_images", 200, 100, "200 test images, at least 100 are wanted"),
        ("untested_classes", 0, 0, "every class has test images"),
        ("accuracy", 0.9, 0.85, "accuracy 0.9000 reaches 0.85"),
        ("macro_f1", 0.85, 0.8, "macro_f1 0.8500 reaches 0.8"),
    ]


@pytest.mark.parametrize(
    ("metrics", "reasons"),
    [
        ({"accuracy": 0.8499, "macro_f1": 0.9}, ["accuracy 0.8499 is below 0.85"]),
        ({"accuracy": 0.9, "macro_f1": 0.0}, ["macro_f1 0.0000 is below 0.8"]),
        (
            {"accuracy": 0.5, "macro_f1": 0.4},
            ["accuracy 0.5000 is below 0.85", "macro_f1 0.4000 is below 0.8"],
        ),
        (
            {"accuracy": 0.9},
            ["macro_f1 could not be measured, which counts as a failure"],
        ),
        (
            {"accuracy": math.nan, "macro_f1": 0.9},
            ["accuracy could not be measured, which counts as a failure"],
        ),
    ],
)
def test_a_threshold_that_is_not_reached_or_not_measured_fails(
    metrics: dict[str, float], reasons: list[str]
) -> None:
    decision = judge(metrics)
    assert decision.verdict is Verdict.FAIL
    assert list(decision.reasons) == reasons


def test_an_unmeasured_metric_has_no_value_and_the_decision_survives_json() -> None:
    decision = judge({"accuracy": math.nan, "macro_f1": 0.9})
    assert decision.checks[2].value is None
    assert GateDecision.from_json(decision.to_json()) == decision


def test_a_value_on_the_threshold_passes_despite_rounding() -> None:
    on_it = {"accuracy": 0.85, "macro_f1": 0.1 + 0.2 + 0.5 - 1e-12}
    assert judge(on_it).verdict is Verdict.PASS


def test_too_few_test_images_are_inconclusive() -> None:
    decision = judge(test_images=99)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.reasons == (
        "only 99 test images, gate.min_test_images is 100: too few to judge by",
    )


def test_a_class_without_test_images_is_inconclusive() -> None:
    decision = judge(untested_classes=["stop", "yield"])
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.reasons == (
        "no test image of stop, yield: whether they are recognised is not known",
    )


def test_many_untested_classes_are_counted_in_the_reason() -> None:
    (reason,) = judge(untested_classes=list("abcdefg")).reasons
    assert reason == (
        "no test image of a, b, c, d, e and 2 more: whether they are recognised is not known"
    )


def test_failure_outweighs_doubt() -> None:
    decision = judge({"accuracy": 0.1, "macro_f1": 0.9}, test_images=1)
    assert decision.verdict is Verdict.FAIL
    assert len(decision.reasons) == 2


def test_no_test_images_at_all_fail() -> None:
    assert judge({}, test_images=0).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("theirs", "verdict"),
    [
        (0.90, Verdict.PASS),
        (0.80, Verdict.PASS),
        # 0.9 - 0.92 is a little less than -0.02 in binary.
        (0.92, Verdict.PASS),
        (0.9201, Verdict.FAIL),
    ],
)
def test_the_champion_may_be_better_by_no_more_than_is_tolerated(
    theirs: float, verdict: Verdict
) -> None:
    decision = judge(baseline=champion(accuracy=theirs))
    assert decision.champion == "3"
    assert decision.verdict is verdict


def test_the_reason_of_a_regression_has_every_number() -> None:
    decision = judge(baseline=champion(accuracy=0.95, ours=2, theirs=12))
    # Exact binomial: 2 * (C(14,0) + C(14,1) + C(14,2)) / 2**14 = 212 / 16384
    assert decision.reasons == (
        "accuracy 0.9000 against 0.9500 of champion 3: -0.0500, a loss of 0.02 is tolerated "
        "(only the candidate is right on 2 images, only the champion on 12; "
        "McNemar p = 0.013)",
    )
    check = next(c for c in decision.checks if c.name == "accuracy_vs_champion")
    assert check.value == pytest.approx(-0.05)
    assert check.threshold == -0.02


def test_a_champion_without_a_number_fails() -> None:
    baseline = Baseline(
        version="3", metrics={"macro_f1": 0.8}, only_candidate_right=0, only_champion_right=0
    )
    assert judge(baseline=baseline).reasons == (
        "accuracy against champion 3 could not be measured, which counts as a failure",
    )


def test_mcnemar_is_the_exact_binomial_test() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(5, 5) == 1.0
    assert mcnemar(0, 5) == pytest.approx(2 / 2**5)
    assert mcnemar(12, 2) == mcnemar(2, 12) == pytest.approx(212 / 2**14)


def test_the_same_numbers_give_the_same_digest() -> None:
    assert judge().digest == judge().digest
    assert judge().digest != judge(test_images=201).digest
