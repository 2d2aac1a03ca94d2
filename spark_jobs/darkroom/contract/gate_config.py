"""What a candidate is held to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from darkroom.contract.checks import at_least, no_repeats, share
from darkroom.contract.errors import ConfigError
from darkroom.contract.names import (
    GATE_METRICS,
    LOG_LOSS,
    METADATA_SLICE,
    SLICES,
    near_matches,
)

LEAST_CONFIDENCE = 0.5


@dataclass(frozen=True, kw_only=True)
class GateConfig:
    """What a candidate must reach on the held-out test images.

    Attributes:
        thresholds: Worst acceptable value per metric, at least one metric: the smallest for one
            that should be high, the largest for ``log_loss`` and ``ece``.
        min_test_images: Fewer test images than this make the verdict INCONCLUSIVE.
        min_class_images: Fewer test images of a class than this make it INCONCLUSIVE too; slices
            with fewer are judged together.
        max_regression: Largest tolerated loss of accuracy, and of any thresholded metric in its
            own unit, against the champion on the same images. With 0 only a candidate that is
            shown to be better passes.
        max_slice_regression: Largest tolerated loss (0..1) of a class' recall, or of a slice's
            accuracy, against the champion.
        slices: What the test images are sliced by: names of `SLICES`, or ``metadata.`` and a
            column of the manifest.
        confidence: Of all intervals (0.5 to below 1).
        max_latency_ms: Slowest tolerated 95th percentile of a SQL query of one image; None for no
            limit.
        max_memory_mb: Most memory (megabytes) that a process may need to load the model and answer;
            None for no limit.
    """

    thresholds: Mapping[str, float]
    min_test_images: int = 50
    min_class_images: int = 10
    max_regression: float = 0.0
    max_slice_regression: float = 0.05
    slices: tuple[str, ...] = SLICES
    confidence: float = 0.95
    max_latency_ms: float | None = None
    max_memory_mb: float | None = None

    def __post_init__(self) -> None:
        if not self.thresholds:
            raise ConfigError("gate.thresholds", {}, "name at least one, for example accuracy: 0.9")
        for name, value in self.thresholds.items():
            _threshold(name, value)
        at_least("gate.min_test_images", self.min_test_images, 1)
        at_least("gate.min_class_images", self.min_class_images, 1)
        share("gate.max_regression", self.max_regression)
        _below_one("gate.max_slice_regression", self.max_slice_regression, 0)
        _below_one("gate.confidence", self.confidence, LEAST_CONFIDENCE)
        for name in self.slices:
            _slice(name)
        no_repeats("gate.slices", self.slices)
        for name in ("max_latency_ms", "max_memory_mb"):
            limit = getattr(self, name)
            if limit is not None and not 0 < limit < math.inf:
                raise ConfigError(f"gate.{name}", limit, "give a number above 0, or leave it out")


def _threshold(name: str, value: float) -> None:
    if name not in GATE_METRICS:
        remedy = f"no such metric, {near_matches(name, GATE_METRICS)}"
        raise ConfigError("gate.thresholds", name, remedy)
    if name == LOG_LOSS:
        if not 0 <= value < math.inf:
            raise ConfigError(f"gate.thresholds.{name}", value, "must be at least 0, and finite")
    else:
        share(f"gate.thresholds.{name}", value)


def _below_one(name: str, value: float, least: float) -> None:
    if not least <= value < 1:
        raise ConfigError(name, value, f"must be at least {least:g} and below 1")


def _slice(name: str) -> None:
    if name in SLICES or (name.startswith(METADATA_SLICE) and name != METADATA_SLICE):
        return
    known = (*SLICES, f"{METADATA_SLICE}<column of the manifest>")
    raise ConfigError("gate.slices", name, f"no such slice, {near_matches(name, known)}")
