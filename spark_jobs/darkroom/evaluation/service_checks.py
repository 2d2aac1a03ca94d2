"""What the gate says of the candidate where it will be used."""

from __future__ import annotations

import math

from darkroom.contract import Check, GateConfig, Verdict
from darkroom.evaluation.resampling import Estimate
from darkroom.evaluation.serving import Asked, Loaded, Serving

_ELSEWHERE = "loaded from MLflow in a process of its own"
_IN_SQL = "as a SQL function"


def service_checks(serving: Serving | None, gate: GateConfig, tolerance: float) -> list[Check]:
    """Whether the candidate loads, answers as it did when it was measured, and is quick and small.

    Args:
        serving: What was tried; None fails.
        gate: Limits of time and memory.
        tolerance: Largest difference of a probability (0-1) from the stored one.

    Returns:
        Four checks: loads_elsewhere, answers_in_sql, latency_ms, memory_mb.
    """
    images = serving.images if serving else 0
    loaded = serving.loaded if serving else Loaded(error="it was not tried")
    asked = serving.asked if serving else Asked(error="it was not tried")
    return [
        _agrees("loads_elsewhere", _ELSEWHERE, loaded, images, tolerance),
        _agrees("answers_in_sql", _IN_SQL, asked, images, tolerance),
        _latency(asked, gate.max_latency_ms),
        _memory(loaded, gate.max_memory_mb),
    ]


def unmeasured(check: str, threshold: float | None, what: str) -> Check:
    """The check of something that has no number: a failure."""
    return Check(
        name=check,
        verdict=Verdict.FAIL,
        value=None,
        threshold=threshold,
        reason=f"{what} could not be measured, which counts as a failure",
    )


def _agrees(name: str, how: str, tried: Loaded | Asked, images: int, tolerance: float) -> Check:
    gap = tried.gap
    if gap is None or math.isnan(gap) or not images:
        why = tried.error or ("it gives no numbers" if images else "there is no image to ask about")
        verdict, reason = Verdict.FAIL, f"{how} the model does not answer: {why}"
    elif gap <= tolerance:
        verdict = Verdict.PASS
        reason = f"{how} the model answers {images} test images as it did before, to {gap:.2g}"
    else:
        verdict = Verdict.FAIL
        reason = (
            f"{how} the model answers otherwise than before: probabilities of {images} test images "
            f"differ by up to {gap:.2g}, more than {tolerance:g}"
        )
    value = None if gap is None or math.isnan(gap) else gap
    return Check(name=name, verdict=verdict, value=value, threshold=tolerance, reason=reason)


def _latency(asked: Asked, limit: float | None) -> Check:
    slow, middle = asked.p95_ms, asked.p50_ms
    if slow is None or middle is None:
        return unmeasured("latency_ms", limit, "the time of a SQL query of one image")
    said = (
        f"95 % of the SQL queries of one image take at most {_milliseconds(slow)}, "
        f"half {_milliseconds(middle)}"
    )
    return _limited("latency_ms", slow, limit, said, "gate.max_latency_ms")


def _milliseconds(one: Estimate) -> str:
    if one.low is None or one.high is None:
        return f"{one.value:.0f} ms"
    return f"{one.value:.0f} ms ({one.low:.0f} to {one.high:.0f})"


def _memory(loaded: Loaded, limit: float | None) -> Check:
    if loaded.memory_mb is None:
        return unmeasured("memory_mb", limit, "the memory of a process with the model")
    memory = Estimate(round(loaded.memory_mb, 1))
    said = f"a process that loads the model from MLflow holds up to {memory.value:.0f} MB"
    return _limited("memory_mb", memory, limit, said, "gate.max_memory_mb")


def _limited(name: str, found: Estimate, limit: float | None, said: str, field: str) -> Check:
    passed = limit is None or found.value <= limit
    held = "no limit is set" if limit is None else f"{field} is {limit:g}"
    return Check(
        name=name,
        verdict=Verdict.PASS if passed else Verdict.FAIL,
        value=round(found.value, 1),
        threshold=limit,
        reason=f"{said}; {held}",
        low=_rounded(found.low),
        high=_rounded(found.high),
    )


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 1)
