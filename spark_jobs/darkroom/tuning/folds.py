"""Which cross-validation fold an image belongs to, and whether the folds can be trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from darkroom.contract import DataError
from darkroom.contract import columns as c
from darkroom.contract.names import AUC, LOG_LOSS

if TYPE_CHECKING:
    from pyspark.sql import Column

Key = TypeVar("Key")

FOLD: Final = "fold"
"""Column: fold number, int, 0 to folds - 1."""

TRUTH: Final = "label_index"
"""Column: place of the image's label among the pipeline's labels, double."""

PREDICTION: Final = "prediction"

_HEX_DIGITS: Final = 15
"""As much of the hash as fits into Spark's signed 64-bit integer."""


def fold_column(folds: int, seed: int) -> Column:
    """The fold of a row: SHA-256 of its seed and ``group_id``, modulo the number of folds.

    Near-duplicates share a ``group_id`` and therefore a fold, so no validation image has a twin in
    its training part; neither row order nor growth of the data moves an image.

    Args:
        folds: Number of folds.
        seed: Another seed gives another division.

    Returns:
        An int column; it reads the column ``group_id``.
    """
    from pyspark.sql import functions as f

    return (group_number(f.col(c.GROUP_ID), seed) % f.lit(folds)).cast("int")


def group_number(group: Column, seed: int) -> Column:
    """A large number for each group of rows: the start of the SHA-256 of the seed and its name.

    Args:
        group: Names of groups, string.
        seed: Another seed gives other numbers.

    Returns:
        A long column, 0 to 16 ** 15 - 1.
    """
    from pyspark.sql import functions as f

    digest = f.sha2(f.concat(f.lit(f"{seed}:"), group), 256)
    return f.conv(f.substring(digest, 1, _HEX_DIGITS), 16, 10).cast("long")


def group_share(group: Column, seed: int) -> Column:
    """Like `group_number`, as a double of at least 0 and below 1."""
    return group_number(group, seed) / float(16**_HEX_DIGITS)


def check_trainable(
    labels: Sequence[str], counts: Mapping[tuple[str, int], int], folds: int
) -> None:
    """Refuses training images that cannot be cross-validated.

    Args:
        labels: Every class of the pipeline, in order.
        counts: Number of train images per (label, fold).
        folds: Number of folds.

    Raises:
        DataError: There are fewer than two classes, a class has fewer train images than there
            are folds, or a fold is empty.
    """
    if len(labels) < 2:
        found = ", ".join(labels) or "none"
        raise DataError(f"a classifier needs at least 2 classes, found {found}: add class folders")
    per_class = _sums((label, n) for (label, _), n in counts.items())
    for label in labels:
        if per_class[label] < folds:
            raise DataError(_too_few(label, per_class[label], folds))
    per_fold = _sums((fold, n) for (_, fold), n in counts.items())
    for fold in range(folds):
        if not per_fold[fold]:
            raise DataError(
                f"fold {fold} of {folds} got no train image, for near-duplicates stay in one "
                "fold: add images that differ, or lower tuning.folds"
            )


def check_metric(metric: str, labels: Sequence[str], counts: Mapping[tuple[str, int], int]) -> None:
    """Refuses a metric that is not defined for the labels.

    Args:
        metric: One of `darkroom.contract.tuning.TUNING_METRICS`.
        labels: Every class of the pipeline, in order.
        counts: Number of train images per (label, fold).

    Raises:
        DataError: It is the AUC, and there are not two classes, or a fold lacks one.
    """
    if metric != AUC:
        return
    if len(labels) != 2:
        raise DataError(
            f"tuning.metric = {AUC!r} is for two classes, these images have {len(labels)}: take "
            f"{LOG_LOSS} or macro_f1"
        )
    for fold in sorted({fold for _, fold in counts}):
        for label in labels:
            if not counts.get((label, fold)):
                raise DataError(
                    f"tuning.metric = {AUC!r} needs both classes in every fold, and fold {fold} "
                    f"has no {label!r}: add images of it that differ, or lower tuning.folds"
                )


def _too_few(label: str, count: int, folds: int) -> str:
    plural = "image" if count == 1 else "images"
    lower = f", or lower tuning.folds to {count}" if count >= 2 else ""
    return (
        f"class {label!r} has {count} train {plural}, fewer than tuning.folds = {folds}: "
        f"add images of it or remove the class{lower}"
    )


def _sums(pairs: Iterable[tuple[Key, int]]) -> Counter[Key]:
    total: Counter[Key] = Counter()
    for key, number in pairs:
        total[key] += number
    return total
