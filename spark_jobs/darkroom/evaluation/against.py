"""What the gate says of the candidate beside the champion."""

from __future__ import annotations

from collections.abc import Sequence

from darkroom.contract import Check, Comparison, GateConfig, Verdict
from darkroom.evaluation.comparing import ACCURACY, CLASS, METRIC
from darkroom.evaluation.paired import fewest_images, mcnemar
from darkroom.evaluation.service_checks import unmeasured
from darkroom.evaluation.words import some_of


def champion_checks(
    version: str, comparisons: Sequence[Comparison], gate: GateConfig
) -> list[Check]:
    """One check per metric, one of all classes, one per dimension of slices.

    Args:
        version: The champion's.
        comparisons: What `darkroom.evaluation.comparing.compare` found.
        gate: Says what loss is tolerated, and which metrics must be there.

    Returns:
        The checks; a metric or the classes that were not compared fail.
    """
    found = {one.name: one for one in comparisons if one.dimension == METRIC}
    wanted = dict.fromkeys((ACCURACY, *gate.thresholds))
    dimensions = dict.fromkeys(one.dimension for one in comparisons if one.dimension != METRIC)
    failed = [name for name in wanted if name in found and found[name].verdict is Verdict.FAIL]
    # Once: it is the same images that are lost to every metric.
    blamed = dict.fromkeys(failed[:1], _where_it_loses(comparisons, gate))
    return [
        *(_metric(name, found.get(name), version, gate, blamed.get(name, "")) for name in wanted),
        *(
            _dimension(name, [one for one in comparisons if one.dimension == name], version, gate)
            for name in dict.fromkeys((CLASS, *dimensions))
        ),
    ]


def _metric(name: str, one: Comparison | None, version: str, gate: GateConfig, more: str) -> Check:
    check, margin = f"{name}_vs_champion", gate.max_regression
    if one is None:
        return unmeasured(check, 0 - margin, f"{name} against champion {version}")
    return Check(
        name=check,
        verdict=one.verdict,
        value=one.difference,
        threshold=0 - margin,
        reason=f"{name} {one.candidate:.4f} against {one.champion:.4f} of champion {version}: "
        f"{_meaning(one, margin)} (difference {one.difference:+.4f}, {100 * gate.confidence:g} % "
        f"interval {one.low:+.4f} to {one.high:+.4f}{_mcnemar(one)}){more}",
        low=one.low,
        high=one.high,
    )


def _meaning(one: Comparison, margin: float) -> str:
    wanted = f"a loss of less than {margin:g}" if margin else "an improvement"
    if one.verdict is Verdict.PASS:
        return f"{wanted} is shown"
    if one.verdict is Verdict.FAIL:
        return "it is worse" + (f", by more than the {margin:g} that is tolerated" * bool(margin))
    return f"{wanted} is not shown"


def _where_it_loses(comparisons: Sequence[Comparison], gate: GateConfig) -> str:
    """Names the classes that lose more than is tolerated, unless their own check does."""
    classes = [one for one in comparisons if one.dimension == CLASS]
    lost = [one for one in classes if one.difference < -gate.max_slice_regression]
    if not lost or _of(classes, Verdict.FAIL):
        return ""
    return f"; it loses in {_listed(sorted(lost, key=_loss))}"


def _mcnemar(one: Comparison) -> str:
    if one.only_candidate is None or one.only_champion is None:
        return ""
    chance = mcnemar(one.only_candidate, one.only_champion)
    return (
        f"; only the candidate is right on {one.only_candidate}, only the champion on "
        f"{one.only_champion} of {one.images} images, McNemar p = {chance:.2g}"
    )


def _dimension(name: str, compared: Sequence[Comparison], version: str, gate: GateConfig) -> Check:
    kind = "classes" if name == CLASS else f"slices by {name}"
    margin = gate.max_slice_regression
    check, rival = f"{'classes' if name == CLASS else name}_vs_champion", f"champion {version}"
    if not compared:
        return unmeasured(check, 0 - margin, f"{kind} against {rival}")
    worst = min(compared, key=lambda one: one.difference)
    failed = _of(compared, Verdict.FAIL)
    open_ones = _of(compared, Verdict.INCONCLUSIVE)
    if failed:
        verdict = Verdict.FAIL
        reason = f"{kind} that lose more than {margin:g} against {rival}: {_listed(failed)}"
    elif open_ones:
        verdict = Verdict.INCONCLUSIVE
        reason = (
            f"{kind} that are not shown to lose less than {margin:g} against {rival}: "
            f"{_listed(open_ones)}{_too_few(open_ones, gate)}"
        )
    else:
        verdict = Verdict.PASS
        reason = (
            f"{len(compared)} {kind}, none of which loses {margin:g} against {rival}; the worst is "
            f"{_listed([worst])}"
        )
    return Check(
        name=check,
        verdict=verdict,
        value=worst.difference,
        threshold=0 - margin,
        reason=reason,
        low=worst.low,
        high=worst.high,
    )


def _of(compared: Sequence[Comparison], verdict: Verdict) -> list[Comparison]:
    """Those of a verdict, the largest loss first."""
    found = [one for one in compared if one.verdict is verdict]
    return sorted(found, key=_loss)


def _loss(one: Comparison) -> tuple[float, str]:
    """Orders by the loss, the largest first."""
    return one.difference, one.name


def _listed(compared: Sequence[Comparison]) -> str:
    return some_of([f"{one.name} ({one.difference:+.3f}, {one.images} images)" for one in compared])


def _too_few(compared: Sequence[Comparison], gate: GateConfig) -> str:
    """What it would take, where too few images are the reason."""
    margin = gate.max_slice_regression
    if not margin:
        return ""
    fewest = fewest_images(margin, gate.confidence)
    small = sum(one.images < fewest for one in compared)
    if not small:
        return ""
    return f"; {small} of {len(compared)} with too few images, it takes at least {fewest}"
