"""What is compared between a window's images and the reference, and how far is too far.

Distributions are compared by the Jensen-Shannon divergence, with a limit that knows the sizes of
both samples (`darkroom.validation.drift`), feature vectors by the kernel two-sample test, live
accuracy by Fisher's exact test. The p-values of one window are corrected for their number by
Holm's method.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from darkroom.contract import columns as c
from darkroom.evaluation.paired import holm
from darkroom.monitoring.sampling import SIZE, Floats, Sample
from darkroom.monitoring.two_sample import TwoSample, kernel_test
from darkroom.validation.drift import Drift, compare

PREDICTED: Final = "predicted labels"
CONFIDENCE: Final = "confidence"
FEATURES: Final = "features"
REJECTED: Final = "rejected files"
ACCURACY: Final = "live accuracy"

NO_ANSWER: Final = "(no answer)"
"""Stands for the label of an image that the model could not be given."""

BINS: Final = 10
"""Of a number: the pooled sample's deciles, as is usual for population stability indices."""

MEASURES: Final = (c.BRIGHTNESS, c.CONTRAST, c.SHARPNESS, SIZE)
"""Numbers of an image that are compared."""

SIGNALS: Final = (PREDICTED, CONFIDENCE, FEATURES, *MEASURES, REJECTED, ACCURACY)
"""All that is compared, in the order in which it is shown."""


@dataclass(frozen=True, kw_only=True)
class Signal:
    """One comparison of a window with the reference.

    Attributes:
        name: What was compared.
        value: How far apart both are; of the accuracy, the window's own.
        threshold: The value that is too far; None where only the p-value decides.
        p: How likely it is by chance, 0-1.
        adjusted: The same for the number of signals, by Holm's method.
        drifted: Whether it is too far.
        detail: Both sides in words.
    """

    name: str
    value: float
    threshold: float | None
    p: float
    adjusted: float = 1.0
    drifted: bool = False
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What is tolerated.

    Attributes:
        tolerated: Jensen-Shannon divergence, 0-1 bits, that two distributions may have.
        false_alarms: Share (0..1) of the windows without drift in which some signal drifts.
        min_images: What fewer images of one side have is not compared.
        seed: Of everything that is random.
    """

    tolerated: float
    false_alarms: float
    min_images: int
    seed: int = 7


@dataclass(frozen=True)
class Files:
    """What ingestion made of files.

    Attributes:
        accepted: Their number.
        rejected: Number of the others.
    """

    accepted: int
    rejected: int

    @property
    def share(self) -> float:
        """The rejected share, 0-1; 0 of no files."""
        found = self.accepted + self.rejected
        return self.rejected / found if found else 0.0


@dataclass(frozen=True)
class Compared:
    """All signals of a window.

    Attributes:
        signals: Those that could be measured, in order.
        unmeasured: Why not, by name, for the others.
        unusual: Ids of the window's images that are least like the reference, the oddest first.
    """

    signals: tuple[Signal, ...]
    unmeasured: Mapping[str, str]
    unusual: tuple[str, ...] = ()

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the signals that are too far."""
        return tuple(signal.name for signal in self.signals if signal.drifted)


def compare_all(
    now: Sample, before: Sample, files: tuple[Files, Files], limits: Limits
) -> Compared:
    """Compares a window with the reference.

    Args:
        now: The window's images.
        before: The reference's.
        files: Of the window, and of the reference.
        limits: What is tolerated.

    Returns:
        The signals.
    """
    return _Comparison(now, before, limits).run(*files)


class _Comparison:
    """The signals of one window as they are measured."""

    def __init__(self, now: Sample, before: Sample, limits: Limits) -> None:
        self._now = now
        self._before = before
        self._limits = limits
        self._signals: list[Signal] = []
        self._unmeasured: dict[str, str] = {}
        # Every signal is held against the share that is left for one of all of them.
        self._each = limits.false_alarms / len(SIGNALS)

    def run(self, now: Files, before: Files) -> Compared:
        self._labels()
        self._numbers(CONFIDENCE, self._now.confidence, self._before.confidence)
        tested = self._features()
        for name in MEASURES:
            self._numbers(name, self._now.measures[name], self._before.measures[name])
        self._files(now, before)
        self._accuracy()
        odd = () if tested is None else self._unusual(tested)
        return Compared(corrected(self._signals, self._limits), self._unmeasured, odd)

    def _labels(self) -> None:
        now, before = (
            Counter(label or NO_ANSWER for label in sample.labels)
            for sample in (self._now, self._before)
        )
        found = self._histograms(now, before, ordered=False)
        self._add(PREDICTED, found, label_detail(now, before))

    def _numbers(self, name: str, now: Floats, before: Floats) -> None:
        now, before = now[~np.isnan(now)], before[~np.isnan(before)]
        if not self._enough(name, len(now), len(before)):
            return
        found = self._histograms(*binned(now, before), ordered=True)
        detail = f"median {np.median(now):.4g}, was {np.median(before):.4g}"
        self._add(name, found, detail)

    def _features(self) -> TwoSample | None:
        now, before = self._now.vectors, self._before.vectors
        if not self._enough(FEATURES, len(now), len(before)):
            return None
        found = kernel_test(
            now, before, permutations=math.ceil(2 / self._each), seed=self._limits.seed
        )
        self._signals.append(
            Signal(
                name=FEATURES,
                value=found.value,
                threshold=found.threshold(self._each),
                p=found.p,
                detail=f"{len(now):,} vectors against {len(before):,}",
            )
        )
        return found

    def _files(self, now: Files, before: Files) -> None:
        sizes = [files.accepted + files.rejected for files in (now, before)]
        if not self._enough(REJECTED, *sizes):
            return
        found = self._histograms(_tally(now), _tally(before), ordered=False)
        # Fewer rejected files are no reason to worry.
        p = found.p if now.share > before.share else 1.0
        self._add(REJECTED, found, f"{now.share:.1%} of the files, was {before.share:.1%}", p)

    def _accuracy(self) -> None:
        from scipy.stats import fisher_exact

        now, before = self._now.right, self._before.right
        if not self._enough(ACCURACY, len(now), len(before)):
            return
        table = [[int(one.sum()), int(len(one) - one.sum())] for one in (now, before)]
        value, was = float(now.mean()), float(before.mean())
        p = float(fisher_exact(table, alternative="less").pvalue)
        detail = f"{value:.1%} of {len(now):,} labelled images, was {was:.1%} of {len(before):,}"
        self._signals.append(Signal(name=ACCURACY, value=value, threshold=None, p=p, detail=detail))

    def _enough(self, name: str, now: int, before: int) -> bool:
        least = self._limits.min_images
        if min(now, before) >= least:
            return True
        self._unmeasured[name] = f"{now:,} now and {before:,} before, it takes {least:,}"
        return False

    def _histograms(
        self, now: Mapping[str, int], before: Mapping[str, int], *, ordered: bool
    ) -> Drift:
        return compare(now, before, self._limits.tolerated, self._each, ordered=ordered)

    def _add(self, name: str, found: Drift, detail: str, p: float | None = None) -> None:
        self._signals.append(
            Signal(
                name=name,
                value=found.divergence,
                threshold=found.limit,
                p=found.p if p is None else p,
                detail=detail,
            )
        )

    def _unusual(self, tested: TwoSample) -> tuple[str, ...]:
        order = np.argsort(-tested.unusual, kind="stable")
        return tuple(self._now.vector_ids[place] for place in order)


def corrected(signals: Sequence[Signal], limits: Limits) -> tuple[Signal, ...]:
    """The signals with p-values for their number; those that stay small have drifted."""
    adjusted = holm([signal.p for signal in signals])
    return tuple(
        replace(signal, adjusted=float(p), drifted=bool(p <= limits.false_alarms))
        for signal, p in zip(signals, adjusted, strict=True)
    )


def binned(now: Floats, before: Floats) -> tuple[dict[str, int], dict[str, int]]:
    """Histograms of two samples of numbers over the deciles of both together."""
    edges = np.unique(np.quantile(np.concatenate([now, before]), np.linspace(0, 1, BINS + 1)[1:-1]))
    counts = (np.bincount(np.searchsorted(edges, one, "right")) for one in (now, before))
    first, second = ({str(n): int(count) for n, count in enumerate(some)} for some in counts)
    return first, second


def label_detail(now: Mapping[str, int], before: Mapping[str, int]) -> str:
    """The label whose share has changed the most."""
    shares = [
        {label: count / sum(counts.values()) for label, count in counts.items()}
        for counts in (now, before)
    ]
    label = max(
        sorted({*now, *before}),
        key=lambda name: abs(shares[0].get(name, 0.0) - shares[1].get(name, 0.0)),
    )
    return f"{label}: {shares[0].get(label, 0.0):.1%}, was {shares[1].get(label, 0.0):.1%}"


def _tally(files: Files) -> dict[str, int]:
    return {"accepted": files.accepted, "rejected": files.rejected}
