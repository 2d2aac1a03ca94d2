"""Candidate against champion on the same images: how much better or worse, and how sure that is.

PASS needs proof: the whole interval of the difference lies above the tolerated loss. To pass
several comparisons takes the proof of each, and needs no correction: an intolerable one passes no
more often than alone (the intersection-union test; Berger, Technometrics 24, 1982, 295-300). FAIL
needs proof too, but of any one among many, so its p-values are adjusted for their number (Holm).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from darkroom.contract import Comparison, Verdict
from darkroom.contract.names import LOWER_IS_BETTER
from darkroom.evaluation.paired import holm, interval, p_not_tolerated, p_worse
from darkroom.evaluation.predictions import Predictions
from darkroom.evaluation.resampling import Bootstrap
from darkroom.evaluation.sums import Groups, Sums

METRIC: Final = "metric"
CLASS: Final = "class"
REST: Final = "the rest"
"""The slices of a dimension that are too small to be judged by themselves."""

ACCURACY: Final = "accuracy"

ROUNDING: Final = 1e-9
"""Slack for comparisons, so that 0.97 - 0.95 is not more than 0.02."""

_DIGITS: Final = 9
"""Of a number in a decision: its digest is not to depend on the last bit."""


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """What loss is tolerated.

    Attributes:
        overall: Of each metric of all images.
        slices: Of each class and slice, 0 to below 1.
        least_images: Slices with fewer images are put together.
    """

    overall: float
    slices: float
    least_images: int


def compare(
    candidate: Predictions,
    champion: Predictions,
    *,
    metrics: Sequence[str],
    tolerance: Tolerance,
    bootstrap: Bootstrap,
) -> tuple[Comparison, ...]:
    """Holds two models against each other.

    Args:
        candidate: What the candidate said.
        champion: What the champion said of the same images.
        metrics: Which metrics of all images, beside the accuracy, which always is.
        tolerance: What loss is tolerated.
        bootstrap: Its confidence is that of all intervals; resamples the other metrics.

    Returns:
        One comparison per metric, class and slice, in that order; none without images.

    Raises:
        ValueError: The two were not given the same images.
    """
    if candidate.images.image_ids != champion.images.image_ids:
        raise ValueError("the two models were not given the same images")
    if not len(candidate.images):
        return ()
    others = [name for name in dict.fromkeys(metrics) if name != ACCURACY]
    return (
        _accuracy(candidate, champion, tolerance, bootstrap.confidence),
        *(_metrics(candidate, champion, others, tolerance, bootstrap) if others else ()),
        *_groups(candidate, champion, tolerance, bootstrap.confidence),
    )


@dataclass(frozen=True)
class _Counts:
    """How often each model is right, per group of images."""

    images: NDArray[np.int64]
    candidate: NDArray[np.int64]
    champion: NDArray[np.int64]
    gained: NDArray[np.int64]
    lost: NDArray[np.int64]

    @classmethod
    def of(cls, ours: Predictions, theirs: Predictions, members: Any, groups: int) -> _Counts:
        """Counts over the members (image's group per row, -1 for none) of several dimensions."""

        def count(which: NDArray[np.bool_]) -> NDArray[np.int64]:
            chosen = members[:, which].ravel()
            return np.bincount(chosen[chosen >= 0], minlength=groups)

        everything = np.ones(len(ours.images), bool)
        return cls(
            count(everything),
            count(ours.right),
            count(theirs.right),
            count(ours.right & ~theirs.right),
            count(theirs.right & ~ours.right),
        )

    def comparisons(
        self,
        names: Iterable[tuple[str, str]],
        margin: float,
        confidence: float,
        levels: tuple[NDArray[np.float64], float],
    ) -> list[Comparison]:
        """One comparison per group; ``levels`` are p-values of being worse, and their limit."""
        worse, limit = levels
        low, high = interval(self.images, self.gained, self.lost, confidence)
        shown = p_not_tolerated(self.images, self.gained, self.lost, margin)
        found = []
        for n, (dimension, name) in enumerate(names):
            ours, theirs = (part[n] / self.images[n] for part in (self.candidate, self.champion))
            verdict = _verdict(
                tolerable=shown[n] <= (1 - confidence) / 2,
                intolerable=worse[n] <= limit and ours - theirs < -margin - ROUNDING,
            )
            found.append(
                Comparison(
                    dimension=dimension,
                    name=name,
                    images=int(self.images[n]),
                    candidate=_rounded(ours),
                    champion=_rounded(theirs),
                    difference=_rounded(ours - theirs),
                    low=_rounded(low[n]),
                    high=_rounded(high[n]),
                    p_worse=_rounded(worse[n]),
                    verdict=verdict,
                    only_candidate=int(self.gained[n]),
                    only_champion=int(self.lost[n]),
                )
            )
        return found


def _accuracy(
    ours: Predictions, theirs: Predictions, tolerance: Tolerance, confidence: float
) -> Comparison:
    everyone = np.zeros((1, len(ours.images)), np.int64)
    counts = _Counts.of(ours, theirs, everyone, 1)
    levels = (p_worse(counts.gained, counts.lost), (1 - confidence) / 2)
    (found,) = counts.comparisons([(METRIC, ACCURACY)], tolerance.overall, confidence, levels)
    return found


def _metrics(
    ours: Predictions,
    theirs: Predictions,
    names: Sequence[str],
    tolerance: Tolerance,
    bootstrap: Bootstrap,
) -> Iterable[Comparison]:
    """Paired bootstrap: both models on the same resamples."""
    no_slices = Groups((), np.zeros((0, len(ours.images)), np.int64))
    sums = [Sums(said, no_slices) for said in (ours, theirs)]
    values = [one.overall(one.on_images) for one in sums]
    spread = [one.overall(bootstrap.sums(one.matrix, ours.images.groups)) for one in sums]
    for name in names:
        sign = -1 if name in LOWER_IS_BETTER else 1
        candidate, champion = (float(one[name][0]) for one in values)
        difference = sign * (candidate - champion)
        if np.isnan(difference):
            continue
        resampled = sign * (spread[0][name] - spread[1][name])
        low, high = (float(end) for end in bootstrap.intervals(difference, resampled))
        # Where all resamples agree, the accuracy's own test says how little that may mean.
        low, high = (difference if np.isnan(end) else end for end in (low, high))
        yield Comparison(
            dimension=METRIC,
            name=name,
            images=len(ours.images),
            candidate=_rounded(candidate),
            champion=_rounded(champion),
            difference=_rounded(difference),
            low=_rounded(low),
            high=_rounded(high),
            p_worse=None,
            verdict=_verdict(
                tolerable=low > -tolerance.overall,
                intolerable=high < 0 and difference < -tolerance.overall - ROUNDING,
            ),
        )


def _groups(
    ours: Predictions, theirs: Predictions, tolerance: Tolerance, confidence: float
) -> list[Comparison]:
    """Classes and slices; their chance of a false FAIL is shared among all of them."""
    images = ours.images
    slices = Groups.of(images)
    names = [(CLASS, label) for label in images.classes]
    members = [images.truth_indices]
    for row in slices.members:
        kept, places = _put_together(slices.names, row, tolerance.least_images)
        members.append(np.where(places >= 0, places + len(names), -1))
        names += kept
    counts = _Counts.of(ours, theirs, np.array(members), len(names))
    levels = (holm(p_worse(counts.gained, counts.lost)), 1 - confidence)
    return counts.comparisons(names, tolerance.slices, confidence, levels)


def _put_together(
    names: Sequence[tuple[str, str]], row: NDArray[np.int64], least: int
) -> tuple[list[tuple[str, str]], NDArray[np.int64]]:
    """One dimension's slices, the small ones as one; too few even so are left out (-1).

    A dimension of one slice says nothing that the accuracy does not, and is left out too.
    """
    sizes = np.bincount(row, minlength=len(names))
    large = [n for n in np.unique(row) if sizes[n] >= least]
    rest = [n for n in np.unique(row) if sizes[n] < least]
    kept = [names[n] for n in large]
    targets = np.full(len(names), -1)
    targets[large] = np.arange(len(large))
    if rest and sizes[rest].sum() >= least:
        targets[rest] = len(kept)
        kept.append((names[rest[0]][0], REST))
    if len(kept) < 2 and not rest:
        return [], np.full(len(row), -1)
    return kept, targets[row]


def _verdict(*, tolerable: Any, intolerable: Any) -> Verdict:
    if tolerable:
        return Verdict.PASS
    return Verdict.FAIL if intolerable else Verdict.INCONCLUSIVE


def _rounded(number: float) -> float:
    return round(float(number), _DIGITS)
