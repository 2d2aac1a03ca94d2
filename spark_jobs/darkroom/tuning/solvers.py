"""What fits a head on standardised features, in the calling thread.

Workers import this module: NumPy and scikit-learn, no TensorFlow and no Spark.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
from numpy.typing import NDArray

from darkroom.contract import HeadKind
from darkroom.tuning.head import Head, softmax
from darkroom.tuning.points import Point

TOLERANCE: Final = 1e-5
"""A fit has converged when no component of the mean loss's gradient is above it; the rounding of
float32 features leaves little to gain beyond."""

_SCALES: Final = (-5.0, 5.0)
"""Bounds of the logarithm of what an SVM's margins are multiplied with."""

Features = NDArray[np.float32]
Truths = NDArray[np.intp]


def fit_standard(
    standard: Features, truths: Truths, point: Point, max_iterations: int, seed: int
) -> Head:
    """Fits a head on features of mean 0.

    Args:
        standard: Shape (images, features), float32.
        truths: Number of each image's class, shape (images,); at least two classes occur.
        point: Which head, and how.
        max_iterations: Upper bound of iterations.
        seed: Of an MLP's first weights and of its order of images.

    Returns:
        A head for standardised features, of the classes that occur alone.
    """
    with _without_convergence_warnings():
        if point.head == HeadKind.MLP:
            return _mlp(standard, truths, point, max_iterations, seed)
        if point.head == HeadKind.LINEAR_SVM:
            return _linear_svm(standard, truths, point.reg_param, max_iterations)
        return _softmax_regression(standard, truths, point.reg_param, max_iterations)


@contextmanager
def _without_convergence_warnings() -> Iterator[None]:
    """The bound is the pipeline's own wish, and Spark ML stops there without a word too."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def _softmax_regression(
    standard: Features, truths: Truths, reg_param: float, max_iterations: int
) -> Head:
    from sklearn.linear_model import LogisticRegression

    strength = min(1.0, reg_param) * len(standard)
    penalty_free = np.inf if strength == 0 else 1.0 / strength
    # Of two classes scikit-learn fits the difference alone; in halves it costs half as much.
    halves = _two(truths)
    model = LogisticRegression(
        C=2 * penalty_free if halves else penalty_free, tol=TOLERANCE, max_iter=max_iterations
    )
    model.fit(standard, truths)
    return _linear(model.coef_, model.intercept_, halves)


def _linear_svm(standard: Features, truths: Truths, reg_param: float, max_iterations: int) -> Head:
    """One class against the rest by squared hinge loss; margins become logits.

    An SVM has no probabilities: its margins times the one factor that gives the training part the
    smallest log loss are taken for logits, which changes no decision.
    """
    from scipy.optimize import minimize_scalar
    from sklearn.svm import LinearSVC

    strength = max(reg_param, TOLERANCE) * len(standard)
    model = LinearSVC(C=1.0 / strength, dual=False, tol=TOLERANCE, max_iter=max_iterations)
    model.fit(standard, truths)
    head = _linear(model.coef_, model.intercept_, _two(truths))
    margins = standard @ head.kernel + head.bias
    rows, places = np.arange(len(truths)), np.searchsorted(np.unique(truths), truths)

    def loss(scale: float) -> float:
        shares = softmax(np.exp(scale) * margins)[rows, places]
        return float(-np.log(np.maximum(shares, 1e-300)).mean())

    factor = np.exp(minimize_scalar(loss, bounds=_SCALES, method="bounded").x)
    return Head(head.kernel * factor, head.bias * factor)


def _mlp(standard: Features, truths: Truths, point: Point, max_iterations: int, seed: int) -> Head:
    """One hidden layer by Adam; an iteration is a pass over the images."""
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(
        hidden_layer_sizes=(point.hidden_units,),
        alpha=point.reg_param,
        learning_rate_init=point.learning_rate,
        max_iter=max_iterations,
        random_state=seed,
    )
    model.fit(standard, truths)
    (hidden_kernel, kernel), (hidden_bias, bias) = model.coefs_, model.intercepts_
    # Of two classes it has one unit: the logit of the second.
    last = _linear(kernel.T, bias, _two(truths))
    return Head(
        last.kernel, last.bias, hidden_kernel.astype(np.float64), hidden_bias.astype(np.float64)
    )


def _linear(coefficients: Features, intercepts: Features, halves: bool) -> Head:
    """A layer from scikit-learn's (classes, inputs), or (1, inputs) for the second of two."""
    kernel, bias = coefficients.T.astype(np.float64), intercepts.astype(np.float64)
    if halves:
        half = np.array([-0.5, 0.5])
        return Head(kernel * half, half * bias)
    return Head(kernel, bias)


def _two(truths: Truths) -> bool:
    return len(np.unique(truths)) == 2
