"""A gate's evidence, as good as it has to be, and what may be wrong with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from darkroom.contract import GateConfig, GateDecision
from darkroom.evaluation.gate import Evidence, decide
from darkroom.evaluation.metrics import ClassMetrics, Measured
from darkroom.evaluation.resampling import Estimate
from darkroom.evaluation.serving import Asked, Loaded, Serving

GATE = GateConfig(
    thresholds={"accuracy": 0.85, "macro_f1": 0.8}, min_test_images=100, max_regression=0.02
)
GOOD = {"accuracy": 0.9, "macro_f1": 0.85}
ANSWERS = Serving(
    images=16,
    loaded=Loaded(gap=1e-7, seconds=8.5, memory_mb=812.0),
    asked=Asked(gap=0.0, p50_ms=Estimate(50.0, 40.0, 60.0), p95_ms=Estimate(92.0, 60.0, 100.0)),
)
EVIDENCE = Evidence(
    measured=Measured(images=200, overall={}, confusion=np.zeros((0, 0), np.int64)),
    labels=("stop", "yield"),
    rival=None,
    validation="all 11 expectations met",
    parity=2e-7,
    serving=ANSWERS,
)


def measured(
    metrics: dict[str, float], images: int = 200, classes: tuple[str, ...] = ("stop", "yield")
) -> Measured:
    """Numbers of a model; every class has its share of the images."""
    one = Estimate(0.9)
    return Measured(
        images=images,
        overall={
            name: Estimate(value, value - 0.05, value + 0.05) for name, value in metrics.items()
        },
        classes=tuple(
            ClassMetrics(
                label=label, precision=one, recall=one, f1=one, support=images // len(classes)
            )
            for label in classes
        ),
        confusion=np.zeros((0, 0), np.int64),
    )


def judge(
    metrics: dict[str, float] = GOOD,
    *,
    images: int = 200,
    classes: tuple[str, ...] = ("stop", "yield"),
    gate: GateConfig = GATE,
    **evidence: Any,
) -> GateDecision:
    """The gate's decision about evidence that is good but for what is given."""
    given = {"measured": measured(metrics, images, classes), **evidence}
    return decide("c0ffee", replace(EVIDENCE, **given), gate)
