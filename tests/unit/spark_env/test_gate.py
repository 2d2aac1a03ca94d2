"""The gate: every verdict and the exact text of every reason."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from darkroom.contract import Check, Comparison, GateDecision, Verdict
from darkroom.evaluation.gate import Rival
from darkroom.evaluation.serving import Loaded
from tests.unit.spark_env.judged import ANSWERS, GATE, judge


def named(decision: GateDecision, name: str) -> Check:
    (found,) = [check for check in decision.checks if check.name == name]
    return found


def compared(dimension: str, name: str, verdict: Verdict, **numbers: Any) -> Comparison:
    given: dict[str, Any] = {
        "images": 24,
        "candidate": 0.9,
        "champion": 0.95,
        "difference": -0.05,
        "low": -0.12,
        "high": 0.01,
        "p_worse": 0.0625,
        "only_candidate": 2,
        "only_champion": 12,
    }
    return Comparison(dimension=dimension, name=name, verdict=verdict, **(given | numbers))


BETTER = (
    compared("metric", "accuracy", Verdict.PASS, difference=0.02, low=0.01, high=0.03),
    compared("metric", "macro_f1", Verdict.PASS, p_worse=None),
    compared("class", "stop", Verdict.PASS, difference=-0.01, images=400),
    compared("class", "yield", Verdict.PASS, difference=0.02, images=500),
)


def against(*changed: Comparison) -> GateDecision:
    """A candidate beside champion 3, good but for what is given."""
    kept = {(one.dimension, one.name): one for one in (*BETTER, *changed)}
    return judge(rival=Rival(version="3", comparisons=tuple(kept.values())))


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
        (
            "class_images",
            100,
            10,
            "100 test images of the smallest class, at least 10 are wanted",
        ),
        ("accuracy", 0.9, 0.85, "accuracy 0.9000 reaches 0.85"),
        ("macro_f1", 0.85, 0.8, "macro_f1 0.8500 reaches 0.8"),
        ("data_validation", None, None, "data validation passed: all 11 expectations met"),
        (
            "parity",
            2e-7,
            1e-4,
            "the exported model's probabilities differ by 2e-07 from those of the tuned Spark "
            "pipeline, at most 0.0001",
        ),
        (
            "loads_elsewhere",
            1e-7,
            1e-4,
            "loaded from MLflow in a process of its own the model answers 16 test images as it "
            "did before, to 1e-07",
        ),
        (
            "answers_in_sql",
            0.0,
            1e-4,
            "as a SQL function the model answers 16 test images as it did before, to 0",
        ),
        (
            "latency_ms",
            92.0,
            None,
            "95 % of the SQL queries of one image take at most 92 ms (60 to 100), half 50 ms "
            "(40 to 60); no limit is set",
        ),
        (
            "memory_mb",
            812.0,
            None,
            "a process that loads the model from MLflow holds up to 812 MB; no limit is set",
        ),
    ]
    accuracy = named(decision, "accuracy")
    assert (accuracy.low, accuracy.high) == pytest.approx((0.85, 0.95))


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


@pytest.mark.parametrize(
    ("loss", "verdict", "reason"),
    [
        (0.3, Verdict.PASS, "log_loss 0.3000 stays within 0.3"),
        (0.31, Verdict.FAIL, "log_loss 0.3100 is above 0.3"),
    ],
)
def test_an_error_is_held_to_its_largest_value(loss: float, verdict: Verdict, reason: str) -> None:
    decision = judge({"log_loss": loss}, gate=replace(GATE, thresholds={"log_loss": 0.3}))
    check = named(decision, "log_loss")
    assert (check.verdict, check.reason) == (verdict, reason)
    assert decision.verdict is verdict


def test_an_unmeasured_metric_has_no_value_and_the_decision_survives_json() -> None:
    decision = judge({"accuracy": math.nan, "macro_f1": 0.9})
    assert named(decision, "accuracy").value is None
    assert GateDecision.from_json(decision.to_json()) == decision


def test_a_value_on_the_threshold_passes_despite_rounding() -> None:
    on_it = {"accuracy": 0.85, "macro_f1": 0.1 + 0.2 + 0.5 - 1e-12}
    assert judge(on_it).verdict is Verdict.PASS


def test_too_few_test_images_are_inconclusive() -> None:
    decision = judge(images=98)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.reasons == (
        "only 98 test images, gate.min_test_images is 100: too few to judge by",
    )


def test_too_few_images_of_a_class_are_inconclusive() -> None:
    decision = judge(gate=replace(GATE, min_class_images=101))
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.reasons == (
        "fewer test images than gate.min_class_images = 101 of stop (100), yield (100)",
    )


def test_a_class_without_test_images_is_inconclusive() -> None:
    decision = judge(classes=("a",), labels=["yield", "a", "stop"])
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.reasons == (
        "no test image of stop, yield: whether they are recognised is not known",
    )


def test_many_untested_classes_are_counted_in_the_reason() -> None:
    (reason,) = judge(classes=("z",), labels=list("abcdefgz")).reasons
    assert reason == (
        "no test image of a, b, c, d, e and 2 more: whether they are recognised is not known"
    )


def test_failure_outweighs_doubt() -> None:
    decision = judge({"accuracy": 0.1, "macro_f1": 0.9}, images=90)
    assert decision.verdict is Verdict.FAIL
    assert len(decision.reasons) == 2


def test_no_test_images_at_all_fail() -> None:
    assert judge({}, images=0, classes=()).verdict is Verdict.FAIL


def test_a_better_candidate_passes_and_its_comparisons_are_kept() -> None:
    decision = against()
    assert (decision.verdict, decision.champion) == (Verdict.PASS, "3")
    assert decision.comparisons == BETTER
    check = named(decision, "classes_vs_champion")
    assert (check.value, check.threshold) == (-0.01, -0.05)
    assert check.reason == (
        "2 classes, none of which loses 0.05 against champion 3; the worst is "
        "stop (-0.010, 400 images)"
    )


@pytest.mark.parametrize(
    ("verdict", "meaning"),
    [
        (Verdict.PASS, "a loss of less than 0.02 is shown"),
        (Verdict.FAIL, "it is worse, by more than the 0.02 that is tolerated"),
        (Verdict.INCONCLUSIVE, "a loss of less than 0.02 is not shown"),
    ],
)
def test_the_reason_of_a_comparison_has_every_number(verdict: Verdict, meaning: str) -> None:
    decision = against(compared("metric", "accuracy", verdict))
    check = named(decision, "accuracy_vs_champion")
    assert decision.verdict is verdict
    assert (check.value, check.threshold, check.low, check.high) == (-0.05, -0.02, -0.12, 0.01)
    assert check.reason == (
        f"accuracy 0.9000 against 0.9500 of champion 3: {meaning} (difference -0.0500, "
        "95 % interval -0.1200 to +0.0100; only the candidate is right on 2, only the champion on "
        "12 of 24 images, McNemar p = 0.013)"
    )


def test_without_tolerance_an_improvement_has_to_be_shown() -> None:
    rival = Rival(
        version="3", comparisons=(compared("metric", "accuracy", Verdict.INCONCLUSIVE), *BETTER[1:])
    )
    decision = judge(rival=rival, gate=replace(GATE, max_regression=0.0))
    assert "champion 3: an improvement is not shown" in decision.reasons[0]


def test_classes_that_got_worse_are_named_the_worst_first() -> None:
    decision = against(
        compared("class", "stop", Verdict.FAIL, difference=-0.2),
        compared("class", "yield", Verdict.FAIL, difference=-0.3),
        compared("class", "other", Verdict.INCONCLUSIVE, difference=-0.01),
    )
    assert decision.verdict is Verdict.FAIL
    assert decision.reasons == (
        "classes that lose more than 0.05 against champion 3: yield (-0.300, 24 images), "
        "stop (-0.200, 24 images)",
    )


def test_a_failed_metric_names_the_classes_that_it_loses_in_unless_they_fail() -> None:
    changed = (
        compared("metric", "accuracy", Verdict.FAIL),
        compared("metric", "macro_f1", Verdict.FAIL, only_candidate=None, only_champion=None),
        compared("class", "yield", Verdict.INCONCLUSIVE, difference=-0.3),
    )
    accuracy, macro_f1 = (one.reason for one in against(*changed).checks[5:7])
    assert accuracy.endswith("; it loses in yield (-0.300, 24 images)")
    assert macro_f1.endswith("-0.1200 to +0.0100)")
    failed = against(*changed, compared("class", "yield", Verdict.FAIL)).checks[5]
    assert failed.reason.endswith("McNemar p = 0.013)")


def test_what_is_not_shown_says_how_many_images_it_would_take() -> None:
    decision = against(
        compared("class", "stop", Verdict.INCONCLUSIVE, difference=-0.01, images=72),
        compared("brightness", "dark", Verdict.INCONCLUSIVE, difference=0.0, images=73),
    )
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.reasons == (
        "classes that are not shown to lose less than 0.05 against champion 3: "
        "stop (-0.010, 72 images); 1 of 1 with too few images, it takes at least 73",
        "slices by brightness that are not shown to lose less than 0.05 against champion 3: "
        "dark (+0.000, 73 images)",
    )


def test_what_was_not_compared_fails() -> None:
    decision = judge(rival=Rival(version="3", comparisons=BETTER[:1]))
    assert decision.reasons == (
        "macro_f1 against champion 3 could not be measured, which counts as a failure",
        "classes against champion 3 could not be measured, which counts as a failure",
    )


def test_the_champion_itself_is_no_worse_than_itself() -> None:
    decision = judge(rival=Rival(version="3", is_candidate=True))
    assert decision.verdict is Verdict.PASS
    assert named(decision, "same_as_champion").reason == (
        "the candidate is the very file of champion 3: no worse than itself"
    )


@pytest.mark.parametrize(
    ("evidence", "reasons"),
    [
        (
            {"validation": None},
            ["the data validation of this run has not passed: run validate first"],
        ),
        (
            {"parity": None},
            [
                "parity with the tuned Spark pipeline could not be measured, which counts as a "
                "failure"
            ],
        ),
        (
            {"parity": 0.25},
            [
                "the exported model's probabilities differ by 0.25 from those of the tuned Spark "
                "pipeline, more than 0.0001"
            ],
        ),
        (
            {"serving": replace(ANSWERS, loaded=Loaded(error="no module named keras"))},
            [
                "loaded from MLflow in a process of its own the model does not answer: no module "
                "named keras",
                "the memory of a process with the model could not be measured, which counts as a "
                "failure",
            ],
        ),
        (
            {"serving": replace(ANSWERS, asked=replace(ANSWERS.asked, gap=0.5))},
            [
                "as a SQL function the model answers otherwise than before: probabilities of 16 "
                "test images differ by up to 0.5, more than 0.0001"
            ],
        ),
        (
            {"serving": replace(ANSWERS, asked=replace(ANSWERS.asked, gap=math.nan))},
            ["as a SQL function the model does not answer: it gives no numbers"],
        ),
        (
            {"serving": replace(ANSWERS, images=0)},
            [
                "loaded from MLflow in a process of its own the model does not answer: there is no "
                "image to ask about",
                "as a SQL function the model does not answer: there is no image to ask about",
            ],
        ),
    ],
)
def test_what_is_wrong_with_the_data_or_the_service_fails(
    evidence: dict[str, Any], reasons: list[str]
) -> None:
    decision = judge(**evidence)
    assert decision.verdict is Verdict.FAIL
    assert list(decision.reasons) == reasons


def test_what_was_not_tried_fails_in_each_respect() -> None:
    decision = judge(serving=None)
    assert [check.name for check in decision.checks if check.verdict is Verdict.FAIL] == [
        "loads_elsewhere",
        "answers_in_sql",
        "latency_ms",
        "memory_mb",
    ]


def test_limits_of_time_and_memory_are_kept_or_fail() -> None:
    kept = judge(gate=replace(GATE, max_latency_ms=92.0, max_memory_mb=812.0))
    assert kept.verdict is Verdict.PASS
    broken = judge(gate=replace(GATE, max_latency_ms=91.0, max_memory_mb=800.0))
    assert broken.reasons == (
        "95 % of the SQL queries of one image take at most 92 ms (60 to 100), half 50 ms (40 to "
        "60); gate.max_latency_ms is 91",
        "a process that loads the model from MLflow holds up to 812 MB; gate.max_memory_mb is 800",
    )
    (latency,) = (check for check in kept.checks if check.name == "latency_ms")
    assert (latency.value, latency.low, latency.high) == (92.0, 60.0, 100.0)


def test_the_same_numbers_give_the_same_digest() -> None:
    assert judge().digest == judge().digest
    assert judge().digest != judge(images=202).digest
    assert against().digest != against(compared("class", "stop", Verdict.PASS)).digest
