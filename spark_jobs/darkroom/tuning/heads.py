"""A classifier head, softmax regression on feature vectors, fitted in one process.

Workers import this module: NumPy and scikit-learn, no TensorFlow and no Spark.
"""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from darkroom.tuning.scoring import score_of

if TYPE_CHECKING:
    from pyspark.ml.classification import LogisticRegressionModel

TOLERANCE: Final = 1e-5
"""A fit has converged when no component of the mean loss's gradient is above it; the rounding of
float32 features leaves little to gain beyond."""


@dataclass(frozen=True, eq=False)
class Head:
    """A softmax layer for raw feature vectors.

    Attributes:
        kernel: Shape (features, classes), float64.
        bias: Shape (classes,), float64.
    """

    kernel: NDArray[np.float64]
    bias: NDArray[np.float64]

    @classmethod
    def of(cls, model: LogisticRegressionModel) -> Head:
        """Takes the coefficients of a multinomial Spark model, which are for raw features."""
        return cls(kernel=model.coefficientMatrix.toArray().T, bias=model.interceptVector.toArray())

    def probabilities(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """From vectors (n, features) to probabilities (n, classes)."""
        logits = self._logits(vectors)
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
        return shares

    def predict(self, vectors: NDArray[np.float32]) -> NDArray[np.intp]:
        """From vectors (n, features) to classes (n,); of equally likely ones the first."""
        classes: NDArray[np.intp] = self._logits(vectors).argmax(axis=1)
        return classes

    def _logits(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        # In float64, for a feature's mean may be many times its deviation.
        logits: NDArray[np.float64] = vectors.astype(np.float64) @ self.kernel + self.bias
        return logits


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
        reg_param: Strength of the L2 regularisation.
        max_iterations: Upper bound of L-BFGS iterations.
    """

    classes: int
    reg_param: float
    max_iterations: int

    def on_all(self, examples: Examples) -> Head:
        """Fits a head on all images."""
        return fit_head(examples.vectors, examples.truths, self)

    def without_fold(self, examples: Examples, fold: int, metric: str) -> float:
        """Fits a head on all folds but one and scores it on that one.

        Args:
            examples: All images.
            fold: Which fold to leave out; it has an image.
            metric: One of `darkroom.contract.names.METRICS`.

        Returns:
            The score, 0-1.
        """
        left_out = examples.folds == fold
        head = fit_head(examples.vectors[~left_out], examples.truths[~left_out], self)
        predicted = head.predict(examples.vectors[left_out])
        pairs = zip(examples.truths[left_out].tolist(), predicted.tolist(), strict=True)
        return score_of(metric, Counter(pairs))


def fit_head(vectors: NDArray[np.float32], truths: NDArray[np.intp], fit: HeadFit) -> Head:
    """Minimises what Spark ML's ``LogisticRegression(family="multinomial")`` does.

    That is the mean log loss plus ``reg_param / 2`` times the squared coefficients, which are for
    features of unit sample standard deviation; intercepts are not penalised. All of it runs in the
    calling thread.

    Args:
        vectors: Shape (images, features), float32.
        truths: Number of each image's class, shape (images,).
        fit: How.

    Returns:
        The head, for raw vectors. A class without an image has probability 0.
    """
    from threadpoolctl import threadpool_limits

    present = np.unique(truths)
    kernel = np.zeros((vectors.shape[1], fit.classes))
    bias = np.full(fit.classes, -np.inf)
    if len(present) == 1:
        bias[present] = 0.0
        return Head(kernel, bias)
    with threadpool_limits(limits=1):
        mean, standard, factor = _standardised(vectors, fit.reg_param)
        coefficients, intercepts = _softmax_regression(standard, truths, fit)
        raw = coefficients * factor
        kernel[:, present] = raw.T
        bias[present] = intercepts - raw @ mean
    return Head(kernel, bias)


def _standardised(
    vectors: NDArray[np.float32], reg_param: float
) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float64]]:
    """Centres and scales; returns the mean, the result, and what it was multiplied with.

    A constant feature becomes 0, and so does its coefficient. Under a strong regularisation the
    coefficients are as small as the intercepts are not, which L-BFGS bears badly: smaller features
    and a strength of 1 are the same problem in better proportions.
    """
    mean = vectors.mean(axis=0, dtype=np.float64)
    standard = vectors - mean.astype(np.float32)
    squares = np.einsum("ij,ij->j", standard, standard, dtype=np.float64)
    deviation = np.sqrt(squares / (len(vectors) - 1))
    factor = np.zeros_like(deviation)
    np.divide(1.0 / np.sqrt(max(1.0, reg_param)), deviation, out=factor, where=deviation > 0)
    standard *= factor.astype(np.float32)
    return mean, standard, factor


def _softmax_regression(
    standard: NDArray[np.float32], truths: NDArray[np.intp], fit: HeadFit
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coefficients (classes, features) and intercepts (classes,) of the classes that occur."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    strength = min(1.0, fit.reg_param) * len(standard)
    penalty_free = np.inf if strength == 0 else 1.0 / strength
    # Of two classes scikit-learn fits the difference alone; in halves it costs half as much.
    halves = len(np.unique(truths)) == 2
    model = LogisticRegression(
        C=2 * penalty_free if halves else penalty_free,
        tol=TOLERANCE,
        max_iter=fit.max_iterations,
    )
    with warnings.catch_warnings():
        # The bound is the pipeline's own wish, and Spark ML stops there without a word too.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(standard, truths)
    coefficients, intercepts = model.coef_.astype(np.float64), model.intercept_.astype(np.float64)
    if halves:
        half = np.array([-0.5, 0.5])
        return half[:, np.newaxis] * coefficients, half * intercepts
    return coefficients, intercepts
