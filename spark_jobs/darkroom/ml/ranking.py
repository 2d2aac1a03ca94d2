"""Scores as answers for people: classes by name, best first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from darkroom.contract import columns as c
from darkroom.ml.answers import Values, is_absent, offsets

RETURN_TYPE: Final = f"array<struct<{c.LABEL}: string, {c.PROBABILITY}: float>>"
"""What every SQL function answers, best first."""


def rank(scores: Values, labels: Sequence[str], top: int | None = None) -> pa.Array:
    """Turns a model's outputs into answers, best first; of equals, the first label comes first.

    Args:
        scores: Per image one probability (0..1) per label, or None.
        labels: Class names in the order of the scores.
        top: How many of them to keep; None for all.

    Returns:
        Arrow list of structs (label: string, probability: float32); null where the scores are
        None.

    Raises:
        ValueError: A model answers with another number of scores than there are labels.
    """
    return best_first(scores, {c.LABEL: labels}, top)


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


def first_objects(answers: pa.Array, counts: Sequence[int | None]) -> pa.Array:
    """Keeps the first objects of each answer.

    Args:
        answers: What `rank` returned.
        counts: Per row how many objects to keep, at least 1; None for no answer at all.

    Returns:
        Lists of the same type; null where there is no answer or no count.
    """
    lengths = pc.list_value_length(answers).fill_null(0).to_numpy(zero_copy_only=False)
    absent = np.array([count is None for count in counts], dtype=bool)
    absent |= answers.is_null().to_numpy(zero_copy_only=False)
    wanted = np.array([count or 0 for count in counts], dtype=np.int64)
    kept = np.where(absent, 0, np.minimum(lengths, wanted)).astype(np.int64)
    before = np.concatenate([[0], np.cumsum(lengths)])[:-1].astype(np.int64)
    positions = [np.arange(start, start + count) for start, count in zip(before, kept, strict=True)]
    chosen = np.concatenate([np.empty(0, np.int64), *positions])
    # Nulls of `rank` hold no objects, so that the lists lie one after the other.
    objects = answers.flatten().take(pa.array(chosen))
    return pa.ListArray.from_arrays(offsets(kept), objects, mask=pa.array(absent))
