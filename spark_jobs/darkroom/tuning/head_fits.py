"""Heads fitted on feature vectors in one process.

Workers import this module: NumPy and scikit-learn, no TensorFlow and no Spark.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from darkroom.contract import HeadKind
from darkroom.tuning.head import Head
from darkroom.tuning.points import Point
from darkroom.tuning.scoring import scores_of
from darkroom.tuning.solvers import fit_standard


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """What all fits of a search read.

    Attributes:
        vectors: Shape (images, features), float32.
        truths: Number of the image's class, shape (images,).
        folds: Number of the image's fold, shape (images,).
    """

    vectors: NDArray[np.float32]
    truths: NDArray[np.intp]
    folds: NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class HeadFit:
    """How to fit a head.

    Attributes:
        classes: Number of classes of the pipeline, also where a fold lacks one.
        point: Which head, and its parameters.
        max_iterations: Upper bound of iterations.
        seed: Of what is random.
    """

    classes: int
    point: Point
    max_iterations: int
    seed: int = 0

    def on_all(self, examples: Examples) -> Head:
        """Fits a head on all images."""
        return fit_head(examples.vectors, examples.truths, self)

    def without_fold(self, examples: Examples, fold: int) -> Mapping[str, float]:
        """Fits a head on all folds but one and scores it on that one.

        Args:
            examples: All images.
            fold: Which fold to leave out; it has an image.

        Returns:
            Score per metric of `darkroom.contract.tuning.TUNING_METRICS`, as far as it is defined.
        """
        left_out = examples.folds == fold
        head = fit_head(examples.vectors[~left_out], examples.truths[~left_out], self)
        return scores_of(examples.truths[left_out], head.probabilities(examples.vectors[left_out]))


def fit_head(vectors: NDArray[np.float32], truths: NDArray[np.intp], fit: HeadFit) -> Head:
    """Fits a head on features of unit sample standard deviation, in the calling thread.

    Logistic regression minimises what Spark ML's ``LogisticRegression(family="multinomial")`` does:
    the mean log loss plus ``reg_param / 2`` times the squared coefficients, which are for the
    standardised features; intercepts are not penalised.

    Args:
        vectors: Shape (images, features), float32.
        truths: Number of each image's class, shape (images,).
        fit: How.

    Returns:
        The head, for raw vectors. A class without an image has probability 0.
    """
    from threadpoolctl import threadpool_limits

    present = np.unique(truths)
    if len(present) == 1:
        bias = np.full(fit.classes, -np.inf)
        bias[present] = 0.0
        return Head(np.zeros((vectors.shape[1], fit.classes)), bias)
    with threadpool_limits(limits=1):
        # Under a strong regularisation the coefficients are as small as the intercepts are not,
        # which L-BFGS bears badly: smaller features and a strength of 1 are the same problem in
        # better proportions.
        is_softmax = fit.point.head == HeadKind.LOGISTIC_REGRESSION
        shrunk = 1.0 / np.sqrt(max(1.0, fit.point.reg_param)) if is_softmax else 1.0
        mean, standard, factor = _standardised(vectors, shrunk)
        head = fit_standard(standard, truths, fit.point, fit.max_iterations, fit.seed)
    return _for_raw(_for_all_classes(head, present, fit.classes), mean, factor)


def _for_all_classes(head: Head, present: NDArray[np.intp], classes: int) -> Head:
    """Gives the classes that have no image the probability 0."""
    kernel = np.zeros((len(head.kernel), classes))
    bias = np.full(classes, -np.inf)
    kernel[:, present], bias[present] = head.kernel, head.bias
    return Head(kernel, bias, head.hidden_kernel, head.hidden_bias)


def _for_raw(head: Head, mean: NDArray[np.float64], factor: NDArray[np.float64]) -> Head:
    """Lets the first layer standardise: from (x - mean) * factor to x."""
    if head.hidden_kernel is None or head.hidden_bias is None:
        kernel = head.kernel * factor[:, np.newaxis]
        return Head(kernel, head.bias - mean @ kernel)
    hidden = head.hidden_kernel * factor[:, np.newaxis]
    return Head(head.kernel, head.bias, hidden, head.hidden_bias - mean @ hidden)


def _standardised(
    vectors: NDArray[np.float32], size: float
) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float64]]:
    """Centres and scales; returns the mean, the result, and what it was multiplied with.

    Args:
        vectors: Shape (images, features), float32.
        size: Standard deviation of the result; a constant feature becomes 0, and its coefficient.
    """
    mean = vectors.mean(axis=0, dtype=np.float64)
    standard = vectors - mean.astype(np.float32)
    squares = np.einsum("ij,ij->j", standard, standard, dtype=np.float64)
    deviation = np.sqrt(squares / (len(vectors) - 1))
    factor = np.zeros_like(deviation)
    np.divide(size, deviation, out=factor, where=deviation > 0)
    standard *= factor.astype(np.float32)
    return mean, standard, factor
