"""Two models on the same images: exact and score tests of who is right more often.

Counts are arrays of one shape, one element per comparison: ``images``, ``gained`` (only the
candidate is right) and ``lost`` (only the champion is).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_HALVINGS: Final = 60
"""Steps of the search for an interval's end: more than float64 can tell."""


def mcnemar(gained: int, lost: int) -> float:
    """Exact two-sided McNemar test that two models err equally often.

    Args:
        gained: Number of images that only one model gets right.
        lost: Number of images that only the other gets right.

    Returns:
        The p-value, 0-1; 1 when they differ nowhere.
    """
    from scipy.stats import binomtest

    differing = gained + lost
    return float(binomtest(gained, differing).pvalue) if differing else 1.0


def p_worse(gained: Any, lost: Any) -> Floats:
    """One-sided exact McNemar test: how likely such losses are for a model that is no worse.

    The binomial distribution at 1/2 of the images on which the two differ (McNemar, Psychometrika
    12, 1947, 153-157, in its exact form).

    Returns:
        P(at least ``lost`` of ``gained + lost``), 0-1.
    """
    from scipy.special import betainc

    gained, lost = np.asarray(gained, float), np.asarray(lost, float)
    # The binomial's upper tail is an incomplete beta function; nothing lost says nothing.
    tail = betainc(np.maximum(lost, 1), gained + 1, 0.5)
    found: Floats = np.where(lost > 0, tail, 1.0)
    return found


def p_not_tolerated(images: Any, gained: Any, lost: Any, margin: float) -> Floats:
    """How likely such gains are for a model that loses ``margin`` or more of the accuracy.

    Without a margin that is McNemar's exact test; with one, Tango's score test of the difference of
    paired proportions (Statistics in Medicine 17, 1998, 891-908).

    Args:
        images: Number of images.
        gained: Number that only the candidate gets right.
        lost: Number that only the champion gets right.
        margin: Tolerated loss, 0 to below 1.

    Returns:
        One-sided p-values; a small one shows that the loss is below the margin.
    """
    from scipy.special import ndtr

    if margin == 0:
        return p_worse(lost, gained)
    found: Floats = ndtr(-score(images, gained, lost, -margin))
    return found


def score(images: Any, gained: Any, lost: Any, difference: Any) -> Floats:
    """Tango's statistic of the hypothesis that accuracies differ by ``difference``.

    Returns:
        About standard normal if they do; large if the candidate is better than that.
    """
    n, b, c = (np.asarray(counts, float) for counts in (images, gained, lost))
    d = np.asarray(difference, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        # The share of `lost` that is likeliest under the hypothesis.
        linear = -b - c + (2 * n - b + c) * d
        root = np.sqrt(np.maximum(linear**2 + 8 * n * c * d * (1 - d), 0))
        likeliest = (root - linear) / (4 * n)
        variance = n * (2 * likeliest + d * (1 - d))
        found = (b - c - n * d) / np.sqrt(np.maximum(variance, 0))
    # Where nothing can vary, the hypothesis is right or impossible.
    exact: Floats = np.where(np.isnan(found), 0.0, found)
    return exact


def interval(images: Any, gained: Any, lost: Any, confidence: float) -> tuple[Floats, Floats]:
    """Tango's score interval of the difference of two models' accuracies.

    Returns:
        Lower and upper ends, -1 to 1; positive is in favour of the candidate.
    """
    from scipy.special import ndtri

    z = ndtri((1 + confidence) / 2)
    n, b, c = np.broadcast_arrays(*(np.asarray(part, float) for part in (images, gained, lost)))
    return _crossing(n, b, c, z), _crossing(n, b, c, -z)


def fewest_images(margin: float, confidence: float) -> int:
    """Images that it takes to show a loss below the margin if not one is lost."""
    from scipy.special import ndtri

    z = float(ndtri((1 + confidence) / 2))
    return int(np.floor(z**2 * (1 - margin) / margin)) + 1


def holm(p_values: Any) -> Floats:
    """Adjusts p-values for their number, so that one in all is wrong as seldom as each alone.

    Holm's step-down method (Scandinavian Journal of Statistics 6, 1979, 65-70).

    Returns:
        Adjusted p-values in the order given, 0-1.
    """
    p = np.asarray(p_values, float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def _crossing(n: Floats, b: Floats, c: Floats, z: float) -> Floats:
    """Where the statistic, which falls with the difference, passes ``z``."""
    low, high = np.full(n.shape, -1.0), np.full(n.shape, 1.0)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        above = score(n, b, c, middle) > z
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.asarray((low + high) / 2, np.float64)
