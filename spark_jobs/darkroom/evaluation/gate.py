"""The gate: whether a candidate may be put before a person.

A pure function of numbers. It fails closed: what is missing or not a number is a FAIL.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from darkroom.contract import Check, Comparison, GateConfig, GateDecision, Verdict
from darkroom.contract.names import LOWER_IS_BETTER
from darkroom.evaluation.against import champion_checks
from darkroom.evaluation.comparing import ROUNDING
from darkroom.evaluation.metrics import Measured
from darkroom.evaluation.service_checks import service_checks, unmeasured
from darkroom.evaluation.serving import Serving
from darkroom.evaluation.words import some_of

PARITY_TOLERANCE: Final = 1e-4
"""Largest difference of two probabilities (0-1) of one model that rounding may explain."""


@dataclass(frozen=True, kw_only=True)
class Rival:
    """The champion on the same images.

    Attributes:
        version: Its version in the registry.
        comparisons: What it is compared in; none where the candidate is the champion's very file.
        is_candidate: Whether it is.
    """

    version: str
    comparisons: tuple[Comparison, ...] = ()
    is_candidate: bool = False


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known about a candidate.

    Attributes:
        measured: Its metrics on the test images.
        labels: The classes it knows.
        rival: The champion, or None when there is none.
        validation: What the run's data validation said when it let the images pass; None if it did
            not.
        parity: Largest difference (0-1) between the exported model and the Spark pipeline that
            was tuned; None if they were not compared.
        serving: How it answers where it will be used; None if that was not tried.
    """

    measured: Measured
    labels: Sequence[str]
    rival: Rival | None
    validation: str | None
    parity: float | None
    serving: Serving | None


def decide(candidate: str, evidence: Evidence, gate: GateConfig) -> GateDecision:
    """Holds a candidate against the pipeline's thresholds and the champion.

    Args:
        candidate: Digest of the candidate.
        evidence: What is known about it.
        gate: The thresholds.

    Returns:
        One check per requirement, in order: size of the test set, its classes, every threshold,
        the champion, the data, parity, how the model serves.
    """
    measured, rival = evidence.measured, evidence.rival
    checks = [
        _enough_images(measured.images, gate.min_test_images),
        _all_classes(evidence),
        _enough_of_each(measured, gate.min_class_images),
        *(_reaches(name, measured, worst) for name, worst in gate.thresholds.items()),
        *(_against(rival, gate) if rival else ()),
        _valid_data(evidence.validation),
        _parity(evidence.parity),
        *service_checks(evidence.serving, gate, PARITY_TOLERANCE),
    ]
    return GateDecision(
        candidate=candidate,
        champion=rival.version if rival else None,
        checks=tuple(checks),
        comparisons=rival.comparisons if rival else (),
    )


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


def _all_classes(evidence: Evidence) -> Check:
    tested = {one.label for one in evidence.measured.classes}
    untested = sorted({*evidence.labels} - tested)
    reason = "every class has test images"
    if untested:
        reason = f"no test image of {some_of(untested)}: whether they are recognised is not known"
    return Check(
        name="untested_classes",
        verdict=Verdict.INCONCLUSIVE if untested else Verdict.PASS,
        value=len(untested),
        threshold=0,
        reason=reason,
    )


def _enough_of_each(measured: Measured, least: int) -> Check:
    small = [one for one in measured.classes if one.support < least]
    fewest = min((one.support for one in measured.classes), default=0)
    reason = f"{fewest} test images of the smallest class, at least {least} are wanted"
    if small:
        counted = [f"{one.label} ({one.support})" for one in small]
        reason = f"fewer test images than gate.min_class_images = {least} of {some_of(counted)}"
    return Check(
        name="class_images",
        verdict=Verdict.INCONCLUSIVE if small or not measured.classes else Verdict.PASS,
        value=fewest,
        threshold=least,
        reason=reason,
    )


def _reaches(name: str, measured: Measured, worst: float) -> Check:
    found = measured.overall.get(name)
    if found is None or math.isnan(found.value):
        return unmeasured(name, worst, name)
    lower = name in LOWER_IS_BETTER
    passed = _passes(name, found.value, worst, greater_is_better=not lower)
    good, bad = ("stays within", "is above") if lower else ("reaches", "is below")
    return Check(
        name=name,
        verdict=Verdict.PASS if passed else Verdict.FAIL,
        value=found.value,
        threshold=worst,
        reason=f"{name} {found.value:.4f} {good if passed else bad} {worst:g}",
        low=found.low,
        high=found.high,
    )


def _passes(name: str, value: float, worst: float, *, greater_is_better: bool) -> bool:
    """MLflow's word on an absolute threshold."""
    from mlflow.models import EvaluationResult, MetricThreshold
    from mlflow.models.evaluation.validation import (
        ModelValidationFailedException,
        validate_evaluation_results,
    )

    # It announces each call.
    logging.getLogger(validate_evaluation_results.__module__).setLevel(logging.WARNING)
    threshold = MetricThreshold(  # type: ignore[no-untyped-call]
        threshold=worst - ROUNDING if greater_is_better else worst + ROUNDING,
        greater_is_better=greater_is_better,
    )
    try:
        found = EvaluationResult({name: value}, {})  # type: ignore[no-untyped-call]
        validate_evaluation_results({name: threshold}, found)
    except ModelValidationFailedException:
        return False
    return True


def _against(rival: Rival, gate: GateConfig) -> list[Check]:
    if rival.is_candidate:
        reason = f"the candidate is the very file of champion {rival.version}: no worse than itself"
        return [
            Check(
                name="same_as_champion",
                verdict=Verdict.PASS,
                value=None,
                threshold=None,
                reason=reason,
            )
        ]
    return champion_checks(rival.version, rival.comparisons, gate)


def _valid_data(said: str | None) -> Check:
    return Check(
        name="data_validation",
        verdict=Verdict.FAIL if said is None else Verdict.PASS,
        value=None,
        threshold=None,
        reason="the data validation of this run has not passed: run validate first"
        if said is None
        else f"data validation passed: {said}",
    )


def _parity(gap: float | None) -> Check:
    if gap is None or math.isnan(gap):
        return unmeasured("parity", PARITY_TOLERANCE, "parity with the tuned Spark pipeline")
    passed = gap <= PARITY_TOLERANCE
    relation = "at most" if passed else "more than"
    return Check(
        name="parity",
        verdict=Verdict.PASS if passed else Verdict.FAIL,
        value=gap,
        threshold=PARITY_TOLERANCE,
        reason=f"the exported model's probabilities differ by {gap:.2g} from those of the tuned "
        f"Spark pipeline, {relation} {PARITY_TOLERANCE:g}",
    )
