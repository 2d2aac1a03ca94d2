"""Sums over images that every metric is a function of, so that resampling is one product.

The area under the ROC curve is no such function; its first-order part is: each image's placement
value (DeLong, DeLong & Clarke-Pearson, Biometrics 44, 1988, 837-845).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from darkroom.evaluation.predictions import HeldOut, Predictions

Floats = NDArray[np.float64]

CALIBRATION_BINS: Final = 15
"""Equal parts of the confidence 0-1 (Guo et al., ICML 2017, 1321-1330)."""


@dataclass(frozen=True)
class Groups:
    """The slices of all dimensions, in one list.

    Attributes:
        names: (dimension, slice) of each.
        members: Place in ``names`` of each image's slice, (dimensions, images).
    """

    names: tuple[tuple[str, str], ...]
    members: NDArray[np.int64]

    @classmethod
    def of(cls, images: HeldOut) -> Groups:
        """The slices of the test images' facets, sorted by name within their dimension."""
        names: list[tuple[str, str]] = []
        members = []
        for dimension, values in images.facets.items():
            places = {value: len(names) + n for n, value in enumerate(sorted(set(values)))}
            names += [(dimension, value) for value in places]
            members.append([places[value] for value in values])
        shape = (len(members), len(images))
        return cls(tuple(names), np.array(members, np.int64).reshape(shape))


@dataclass(frozen=True)
class Sums:
    """One model's predictions as a matrix whose column sums make all metrics.

    Attributes:
        predictions: What the model said.
        groups: The slices.
    """

    predictions: Predictions
    groups: Groups

    @cached_property
    def matrix(self) -> Any:
        """CSR array of SciPy, (images, columns)."""
        from scipy.sparse import csr_array, hstack

        said, images = self.predictions, self.predictions.images
        classes = len(images.classes)
        right = said.right.astype(float)
        truth = _one_hot(images.truth_indices, classes)
        members = _members(self.groups, len(images))
        plain = np.column_stack([np.ones(len(images)), right, said.losses, _auc_shares(said)])
        calibration = _one_hot(bins(said.confidence), CALIBRATION_BINS)
        return hstack(
            [
                csr_array(plain),
                calibration * (said.confidence - right)[:, None],
                truth,
                _one_hot(said.predicted_indices, classes),
                truth * right[:, None],
                members,
                members * right[:, None],
            ],
            format="csr",
        )

    @cached_property
    def auc(self) -> float:
        """Mean over the classes of the area under each one's ROC curve; NaN where there is none."""
        areas = [area for area, _ in _areas(self.predictions)]
        return float(np.mean(areas)) if areas else float("nan")

    @cached_property
    def on_images(self) -> Floats:
        """The sums over all images, (1, columns)."""
        return np.asarray(self.matrix.sum(axis=0), float).reshape(1, -1)

    def overall(self, sums: Floats) -> Mapping[str, Floats]:
        """Metrics of all images.

        Args:
            sums: (samples, columns).

        Returns:
            Metric to (samples,); macro averages go over the classes that have images in a sample.
        """
        count, right, loss, auc, calibration = self._plain(sums)
        precision, recall, f1 = self.classes(sums)
        return {
            "accuracy": right / count,
            "macro_f1": _mean_known(f1),
            "macro_precision": _mean_known(precision),
            "macro_recall": _mean_known(recall),
            "auc": np.clip(self.auc + auc, 0, 1),
            "log_loss": loss / count,
            "ece": np.abs(calibration).sum(axis=1) / count,
        }

    def classes(self, sums: Floats) -> tuple[Floats, Floats, Floats]:
        """Precision, recall and F1, (samples, classes) each; NaN for a class without images."""
        truth, given, hits = np.split(sums[:, self._first_class : self._first_slice], 3, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            recall = hits / truth
            precision = np.where(given > 0, hits / given, 0.0)
            f1 = 2 * hits / (truth + given)
        absent = truth == 0
        precision, f1 = (np.where(absent, np.nan, values) for values in (precision, f1))
        return precision, recall, f1

    def slices(self, sums: Floats) -> tuple[Floats, Floats]:
        """Images and accuracy, (samples, slices) each; NaN for a slice without images."""
        images, right = np.split(sums[:, self._first_slice :], 2, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return images, right / images

    def _plain(self, sums: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        calibration = sums[:, 4 : self._first_class]
        return sums[:, 0], sums[:, 1], sums[:, 2], sums[:, 3], calibration

    @property
    def _first_class(self) -> int:
        return 4 + CALIBRATION_BINS

    @property
    def _first_slice(self) -> int:
        return self._first_class + 3 * len(self.predictions.images.classes)


def bins(confidence: Floats) -> NDArray[np.int64]:
    """Which calibration bin each confidence (0-1) falls into; a border belongs to the lower one."""
    places = np.ceil(confidence * CALIBRATION_BINS) - 1
    return np.asarray(np.clip(places, 0, CALIBRATION_BINS - 1), np.int64)


def _one_hot(places: NDArray[np.int64], width: int) -> Any:
    """CSR array with a 1 per row; a row of -1 stays empty."""
    from scipy.sparse import csr_array

    rows = np.flatnonzero(places >= 0)
    return csr_array((np.ones(len(rows)), (rows, places[rows])), (len(places), width))


def _members(groups: Groups, images: int) -> Any:
    from scipy.sparse import csr_array

    total = csr_array((images, len(groups.names)))
    for places in groups.members:
        total = total + _one_hot(places, len(groups.names))
    return total


def _auc_shares(said: Predictions) -> Floats:
    """What one more of each image adds to the mean area, to first order."""
    shares = np.zeros(len(said.images))
    areas = _areas(said)
    for _, share in areas:
        shares += share / len(areas)
    return shares


def _areas(said: Predictions) -> list[tuple[float, Floats]]:
    """Area and shares per class, one against the rest; of two classes only the second's."""
    classes = len(said.images.classes)
    chosen = range(1, 2) if classes == 2 else range(classes if classes > 2 else 0)
    return [
        _area(said.class_scores[:, place], said.images.truth_indices == place) for place in chosen
    ]


def _area(scores: Floats, positive: NDArray[np.bool_]) -> tuple[float, Floats]:
    from scipy.stats import rankdata

    found, others = scores[positive], scores[~positive]
    ranks = rankdata(scores)
    # Share of the other kind's images that each image is on the right side of; ties count half.
    above = (ranks[positive] - rankdata(found)) / len(others)
    below = 1 - (ranks[~positive] - rankdata(others)) / len(found)
    area = float(above.mean())
    shares = np.empty(len(scores))
    shares[positive] = (above - area) / len(found)
    shares[~positive] = (below - area) / len(others)
    return area, shares


def _mean_known(values: Floats) -> Floats:
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean: Floats = total / known.sum(axis=1)
    return mean
