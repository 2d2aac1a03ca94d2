"""A classifier head: one softmax layer on feature vectors, or two with a hidden one between."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pyspark.ml.classification import LogisticRegressionModel


@dataclass(frozen=True, eq=False)
class Head:
    """A softmax layer for raw feature vectors, maybe after a layer of rectified linear units.

    Attributes:
        kernel: Shape (inputs, classes), float64; inputs are the features or the hidden units.
        bias: Shape (classes,), float64.
        hidden_kernel: Shape (features, units), float64, or None.
        hidden_bias: Shape (units,), float64, or None.
    """

    kernel: NDArray[np.float64]
    bias: NDArray[np.float64]
    hidden_kernel: NDArray[np.float64] | None = None
    hidden_bias: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, model: LogisticRegressionModel) -> Head:
        """Takes the coefficients of a multinomial Spark model, which are for raw features."""
        return cls(kernel=model.coefficientMatrix.toArray().T, bias=model.interceptVector.toArray())

    def probabilities(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """From vectors (n, features) to probabilities (n, classes)."""
        return softmax(self._logits(vectors))

    def predict(self, vectors: NDArray[np.float32]) -> NDArray[np.intp]:
        """From vectors (n, features) to classes (n,); of equally likely ones the first."""
        classes: NDArray[np.intp] = self._logits(vectors).argmax(axis=1)
        return classes

    def _logits(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        # In float64, for a feature's mean may be many times its deviation.
        inputs = vectors.astype(np.float64)
        if self.hidden_kernel is not None and self.hidden_bias is not None:
            inputs = np.maximum(inputs @ self.hidden_kernel + self.hidden_bias, 0.0)
        logits: NDArray[np.float64] = inputs @ self.kernel + self.bias
        return logits


@dataclass(frozen=True)
class TunedNetwork:
    """A backbone and its head, trained together.

    Attributes:
        file: Keras file of the network: from ``pixels`` (batch, height, width, 3) float32 RGB in
            0-255 to probabilities (batch, classes) float32.
    """

    file: Path


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """From logits (n, classes) to probabilities of the same shape."""
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return shares
