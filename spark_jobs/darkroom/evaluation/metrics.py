"""All numbers about one model on the test images, each with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from darkroom.evaluation.predictions import Predictions
from darkroom.evaluation.resampling import Bootstrap, Estimate, Floats, estimate, wilson
from darkroom.evaluation.sums import Groups, Sums


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
    precision: Estimate
    recall: Estimate
    f1: Estimate
    support: int


@dataclass(frozen=True, kw_only=True)
class SliceMetrics:
    """Accuracy of one slice.

    Attributes:
        dimension: What the images are sliced by.
        name: Which of its slices.
        images: Number of test images in it.
        accuracy: Share of them that are recognised.
    """

    dimension: str
    name: str
    images: int
    accuracy: Estimate


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All numbers about one model on the test images.

    Attributes:
        images: Number of test images.
        overall: Value per name in `darkroom.contract.names.GATE_METRICS`; one that the images do
            not allow is missing.
        classes: One entry per class that has test images, by name.
        slices: One entry per slice, by dimension and name.
        labels: Labels of the rows and columns of ``confusion``: every true or predicted one.
        confusion: Number of images per true label (row) and predicted label (column).
    """

    images: int
    overall: Mapping[str, Estimate]
    classes: tuple[ClassMetrics, ...] = ()
    slices: tuple[SliceMetrics, ...] = ()
    labels: tuple[str, ...] = ()
    confusion: NDArray[np.int64]

    @property
    def values(self) -> dict[str, float]:
        """The overall metrics without their intervals."""
        return {name: found.value for name, found in self.overall.items()}


def measure(predictions: Predictions, bootstrap: Bootstrap) -> Measured:
    """Computes all metrics.

    Macro averages go over the classes that have test images, the same for every model that is
    measured on these images; an image that was given any other label counts as an error of its
    own class. The log loss is in nats; AUC is the mean of one-against-the-rest, of two classes the
    plain one; ECE is the expected calibration error of the likeliest label, in 15 bins.

    Args:
        predictions: Of no image at all gives no overall metric, which a gate fails.
        bootstrap: Makes the intervals.

    Returns:
        The metrics.
    """
    if not len(predictions.images):
        return Measured(images=0, overall={}, confusion=np.zeros((0, 0), np.int64))
    sums = Sums(predictions, Groups.of(predictions.images))
    resampled = bootstrap.sums(sums.matrix, predictions.images.groups)
    labels, confusion = _confusion(predictions)
    return Measured(
        images=len(predictions.images),
        overall=_overall(sums, resampled, bootstrap),
        classes=_classes(sums, resampled, bootstrap),
        slices=_slices(sums, resampled, bootstrap),
        labels=labels,
        confusion=confusion,
    )


def _overall(sums: Sums, resampled: Floats, bootstrap: Bootstrap) -> dict[str, Estimate]:
    values, spread = sums.overall(sums.on_images), sums.overall(resampled)
    images = np.array(float(len(sums.predictions.images)))
    found = {}
    for name, value in values.items():
        if np.isnan(value[0]):
            continue
        low, high = bootstrap.intervals(value[0], spread[name])
        if name == "accuracy":
            low, high = _proportion(value[0], low, high, images, bootstrap)
        found[name] = estimate(value[0], float(low), float(high))
    return found


def _classes(sums: Sums, resampled: Floats, bootstrap: Bootstrap) -> tuple[ClassMetrics, ...]:
    images = sums.predictions.images
    support = np.bincount(images.truth_indices, minlength=len(images.classes))
    estimates = []
    for place, values in enumerate(sums.classes(sums.on_images)):
        low, high = bootstrap.intervals(values[0], sums.classes(resampled)[place])
        if place == 1:
            low, high = _proportion(values[0], low, high, support.astype(float), bootstrap)
        estimates.append([estimate(*one) for one in zip(values[0], low, high, strict=True)])
    precision, recall, f1 = estimates
    return tuple(
        ClassMetrics(
            label=label,
            precision=precision[n],
            recall=recall[n],
            f1=f1[n],
            support=int(support[n]),
        )
        for n, label in enumerate(images.classes)
    )


def _slices(sums: Sums, resampled: Floats, bootstrap: Bootstrap) -> tuple[SliceMetrics, ...]:
    images, accuracy = (values[0] for values in sums.slices(sums.on_images))
    low, high = bootstrap.intervals(accuracy, sums.slices(resampled)[1])
    low, high = _proportion(accuracy, low, high, images, bootstrap)
    return tuple(
        SliceMetrics(
            dimension=dimension,
            name=name,
            images=int(images[n]),
            accuracy=estimate(accuracy[n], low[n], high[n]),
        )
        for n, (dimension, name) in enumerate(sums.groups.names)
    )


def _proportion(
    share: Floats, low: Floats, high: Floats, images: Floats, bootstrap: Bootstrap
) -> tuple[Floats, Floats]:
    """Wilson's interval where all resamples agree: none or all of the images are right."""
    plain_low, plain_high = wilson(share, images, bootstrap.confidence)
    return np.where(np.isnan(low), plain_low, low), np.where(np.isnan(high), plain_high, high)


def _confusion(predictions: Predictions) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    truth, predicted = predictions.images.truths, predictions.predicted
    labels = tuple(sorted({*truth, *predicted}))
    places = {label: place for place, label in enumerate(labels)}
    cells = [
        places[row] * len(labels) + places[column]
        for row, column in zip(truth, predicted, strict=True)
    ]
    counts = np.bincount(cells, minlength=len(labels) ** 2)
    return labels, counts.reshape(len(labels), len(labels))
