"""Scores as answers for people: classes by name, best first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from darkroom.contract import columns as c
from darkroom.ml.answers import Values, is_absent, offsets

RETURN_TYPE: Final = f"array<struct<{c.LABEL}: string, {c.PROBABILITY}: float>>"
"""What every SQL function answers, best first."""


def rank(scores: Values, labels: Sequence[str]) -> pa.Array:
    """Turns a model's outputs into answers, best first; of equals, the first label comes first.

    Args:
        scores: Per image one probability (0..1) per label, or None.
        labels: Class names in the order of the scores.

    Returns:
        Arrow list of structs (label: string, probability: float32); null where the scores are
        None.

    Raises:
        ValueError: A model answers with another number of scores than there are labels.
    """
    return best_first(scores, {c.LABEL: labels})


def best_first(
    scores: Values, names: Mapping[str, Sequence[str]], top: int | None = None
) -> pa.Array:
    """Like `rank`, with any number of texts per class and only the ``top`` best of them.

    Args:
        scores: Per image one probability (0..1) per class, or None.
        names: Field name to texts in the order of the scores; all of one length.
        top: How many classes to keep; None for all.

    Returns:
        Arrow list of structs (the names' fields: string, probability: float32).

    Raises:
        ValueError: A model answers with another number of scores than there are classes.
    """
    classes = len(next(iter(names.values())))
    known = [row.ravel() for row in scores if row is not None]
    if any(len(row) != classes for row in known):
        raise ValueError(f"the model answers {len(known[0])} scores for {classes} labels")
    table = np.array(known, dtype=np.float32).reshape(len(known), classes)
    kept = classes if top is None else min(top, classes)
    order = np.argsort(-table, axis=1, kind="stable")[:, :kept]
    indices = pa.array(order.ravel())
    objects = pa.StructArray.from_arrays(
        [
            *(pa.array(texts, type=pa.string()).take(indices) for texts in names.values()),
            pa.array(np.take_along_axis(table, order, axis=1).ravel()),
        ],
        names=[*names, c.PROBABILITY],
    )
    absent = is_absent(scores)
    starts = offsets(np.where(absent, 0, kept))
    return pa.ListArray.from_arrays(starts, objects, mask=pa.array(absent))
