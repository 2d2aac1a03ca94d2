"""Metrics of predictions on the test images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a model says of one test image.

    Attributes:
        image_id: SHA-256 of the image's bytes.
        path: Where it came from, relative to the source.
        truth: Its label.
        predicted: The most probable label.
        probability: The model's probability of it, 0-1.
    """

    image_id: str
    path: str
    truth: str
    predicted: str
    probability: float

    @property
    def is_right(self) -> bool:
        """Whether the model is right."""
        return self.truth == self.predicted


@dataclass(frozen=True, kw_only=True)
class ClassMetrics:
    """Metrics of one class; 0 where a ratio is not defined.

    Attributes:
        label: The class.
        precision: Share of right ones among the images that were given this label.
        recall: Share of this class' images that were given this label.
        f1: Harmonic mean of the two.
        support: Number of test images of this class.
    """

    label: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All numbers about one model on the test images.

    Attributes:
        overall: Value per name in `darkroom.contract.names.METRICS`, 0-1.
        classes: One entry per class that has test images, by name.
        labels: Labels of the rows and columns of ``confusion``: every true or predicted one.
        confusion: Number of images per true label (row) and predicted label (column).
    """

    overall: Mapping[str, float]
    classes: tuple[ClassMetrics, ...]
    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]


def measure(predictions: Sequence[Prediction]) -> Measured:
    """Computes all metrics with scikit-learn.

    Macro averages go over the classes that have test images, the same for every model that is
    measured on these images; an image that was given any other label counts as an error of its
    own class.

    Args:
        predictions: One per test image; none gives no overall metric, which a gate fails.

    Returns:
        The metrics.
    """
    if not predictions:
        return Measured(overall={}, classes=(), labels=(), confusion=())
    from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

    truth = [p.truth for p in predictions]
    predicted = [p.predicted for p in predictions]
    present = sorted(set(truth))
    everything = sorted({*truth, *predicted})
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, predicted, labels=present, zero_division=0
    )
    matrix: Any = confusion_matrix(truth, predicted, labels=everything)
    return Measured(
        overall={
            "accuracy": float(accuracy_score(truth, predicted)),
            "macro_f1": float(f1.mean()),
            "macro_precision": float(precision.mean()),
            "macro_recall": float(recall.mean()),
        },
        classes=tuple(
            ClassMetrics(
                label=label,
                precision=float(precision[i]),
                recall=float(recall[i]),
                f1=float(f1[i]),
                support=int(support[i]),
            )
            for i, label in enumerate(present)
        ),
        labels=tuple(everything),
        confusion=tuple(tuple(int(n) for n in row) for row in matrix),
    )


def only_one_right(ours: Sequence[Prediction], theirs: Sequence[Prediction]) -> tuple[int, int]:
    """Counts the images that exactly one of two models gets right.

    Args:
        ours: Predictions of one model.
        theirs: Predictions of the other, on the same images in any order.

    Returns:
        How many only ours gets right, and how many only theirs.

    Raises:
        ValueError: The images are not the same.
    """
    right = {p.image_id: p.is_right for p in theirs}
    if len(ours) != len(theirs) or right.keys() != {p.image_id for p in ours}:
        raise ValueError("the two models were not given the same images")
    only_ours = sum(p.is_right and not right[p.image_id] for p in ours)
    only_theirs = sum(right[p.image_id] and not p.is_right for p in ours)
    return only_ours, only_theirs
