"""The gate: whether a candidate may be put before a person.

A pure function of numbers. It fails closed: a metric that is missing or not a number is a FAIL.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from darkroom.contract import Check, GateConfig, GateDecision, Verdict

ROUNDING: Final = 1e-9
"""Slack for comparisons, so that 0.97 - 0.95 is not more than 0.02."""

NAMED_CLASSES: Final = 5
"""At most so many class names in a reason; the report has them all."""


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """The champion on the same images.

    Attributes:
        version: Its version in the registry.
        metrics: Its overall metrics, 0-1.
        only_candidate_right: Number of images that only the candidate gets right.
        only_champion_right: Number of images that only the champion gets right.
    """

    version: str
    metrics: Mapping[str, float]
    only_candidate_right: int
    only_champion_right: int


def decide(
    candidate: str,
    metrics: Mapping[str, float],
    *,
    gate: GateConfig,
    test_images: int,
    untested_classes: Sequence[str],
    baseline: Baseline | None,
) -> GateDecision:
    """Holds a candidate's metrics against the pipeline's thresholds and the champion.

    Args:
        candidate: Digest of the candidate.
        metrics: Its overall metrics on the test images, 0-1.
        gate: The thresholds.
        test_images: Number of test images.
        untested_classes: Classes the model knows that have no test image.
        baseline: The champion, or None when there is none.

    Returns:
        One check per requirement, in order: size of the test set, its classes, every threshold,
        every thresholded metric against the champion.
    """
    checks = [
        _enough_images(test_images, gate.min_test_images),
        _all_classes(untested_classes),
        *(_reaches(name, metrics.get(name), least) for name, least in gate.thresholds.items()),
    ]
    if baseline:
        checks += [
            _keeps_up(name, metrics.get(name), baseline, gate.max_regression)
            for name in gate.thresholds
        ]
    return GateDecision(
        candidate=candidate,
        champion=baseline.version if baseline else None,
        checks=tuple(checks),
    )


def mcnemar(only_one: int, only_other: int) -> float:
    """Exact two-sided McNemar test that two models err equally often.

    Args:
        only_one: Number of images that only one model gets right.
        only_other: Number of images that only the other gets right.

    Returns:
        The p-value, 0-1; 1 when they differ nowhere.
    """
    from scipy.stats import binomtest

    differing = only_one + only_other
    return float(binomtest(only_one, differing).pvalue) if differing else 1.0


def _enough_images(found: int, least: int) -> Check:
    enough = found >= least
    reason = f"{found} test images, at least {least} are wanted"
    if not enough:
        reason = f"only {found} test images, gate.min_test_images is {least}: too few to judge by"
    return Check(
        name="test_images",
        verdict=Verdict.PASS if enough else Verdict.INCONCLUSIVE,
        value=found,
        threshold=least,
        reason=reason,
    )


def _all_classes(untested: Sequence[str]) -> Check:
    reason = "every class has test images"
    if untested:
        named = ", ".join(untested[:NAMED_CLASSES])
        more = len(untested) - NAMED_CLASSES
        named += f" and {more} more" if more > 0 else ""
        reason = f"no test image of {named}: whether they are recognised is not known"
    return Check(
        name="untested_classes",
        verdict=Verdict.INCONCLUSIVE if untested else Verdict.PASS,
        value=len(untested),
        threshold=0,
        reason=reason,
    )


def _reaches(name: str, value: float | None, least: float) -> Check:
    if value is None or math.isnan(value):
        return _unmeasured(name, least, name)
    passed = value >= least - ROUNDING
    relation = "reaches" if passed else "is below"
    return Check(
        name=name,
        verdict=Verdict.PASS if passed else Verdict.FAIL,
        value=value,
        threshold=least,
        reason=f"{name} {value:.4f} {relation} {least:g}",
    )


def _keeps_up(name: str, value: float | None, baseline: Baseline, tolerated: float) -> Check:
    check = f"{name}_vs_champion"
    theirs = baseline.metrics.get(name)
    if value is None or theirs is None or math.isnan(value - theirs):
        return _unmeasured(check, 0 - tolerated, f"{name} against champion {baseline.version}")
    difference = value - theirs
    passed = difference >= -tolerated - ROUNDING
    p_value = mcnemar(baseline.only_candidate_right, baseline.only_champion_right)
    return Check(
        name=check,
        verdict=Verdict.PASS if passed else Verdict.FAIL,
        value=difference,
        threshold=0 - tolerated,
        reason=f"{name} {value:.4f} against {theirs:.4f} of champion {baseline.version}: "
        f"{difference:+.4f}, a loss of {tolerated:g} is tolerated (only the candidate is right on "
        f"{baseline.only_candidate_right} images, only the champion on "
        f"{baseline.only_champion_right}; McNemar p = {p_value:.2g})",
    )


def _unmeasured(check: str, threshold: float, what: str) -> Check:
    return Check(
        name=check,
        verdict=Verdict.FAIL,
        value=None,
        threshold=threshold,
        reason=f"{what} could not be measured, which counts as a failure",
    )
