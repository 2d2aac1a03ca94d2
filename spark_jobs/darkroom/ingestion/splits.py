"""Divides images into train, validation and test by what they look like, for ever."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from darkroom.contract import SplitConfig
from darkroom.contract import columns as c
from darkroom.ingestion.joining import Texts, join
from darkroom.ingestion.near_duplicates import Hashes, Pairs, groups, near_pairs

if TYPE_CHECKING:
    import pyarrow as pa

_DIGITS = 13
"""Hexadecimal digits of the hash that are used: 52 bits, exact in a double."""

GIVEN = "given"
"""Column: the split that a manifest gives, or null."""


@dataclass(frozen=True)
class Division:
    """Who is in which split, and what that leaves to be desired.

    Attributes:
        splits: The whole table of splits, in no order: image_id, group_id, split, both hashes, and
            run_id, which is null for what is new.
        fresh: Of its rows whether the image had no split before.
        added: Number of these.
        moved: Number of images that had another split before: their manifest names one now, or
            nothing excludes them any longer.
        excluded: Number of images, of those that are there, that look like images of several
            splits.
        merged: Number of images that had a split before and whose group has grown into another.
        leaks: image_id, split, other_image_id, other_split, distance: near-duplicates of different
            splits, both of them still among the images.
    """

    splits: pa.Table
    fresh: pa.Array
    added: int
    moved: int
    excluded: int
    merged: int
    leaks: pa.Table


def divide(images: pa.Table, splits: pa.Table, config: SplitConfig) -> Division:
    """Chooses a split for every image that has none.

    Pictures that look alike, directly or by way of others, are a group. Where nothing is given or
    known, the SHA-256 of the smallest perceptual hash in the group, read as a number in [0, 1),
    is below ``test_share`` for the test split, below ``test_share + validation_share`` for
    validation. A split that a manifest gives is taken, and one that was chosen before stands: a
    new image goes where those are that it looks like. If they are in different splits, it would
    be a leak in each, so it is in none, which is called `columns.EXCLUDED` and decided anew each
    time. Only splits that a manifest gives can tear near-duplicates apart: those are leaks.

    Args:
        images: image_id, perceptual_hash, difference_hash and given (the manifest's split, or
            null) of every image that has a label.
        splits: Earlier choices: image_id, group_id, split, perceptual_hash, difference_hash,
            run_id. They may name images that are no longer there.
        config: The shares, and how much near-duplicates may differ.

    Returns:
        The division. Its groups lie within one split each.
    """
    import pyarrow as pa

    members = _Members.of(images, splits)
    pairs = near_pairs(members.perceptual, members.difference, config.duplicate_distance)
    component = groups(pairs, len(members.ids))
    given, before = members.given, members.split
    stands = before.copy()
    stands[before == c.EXCLUDED] = None
    chosen = np.where(given != None, given, stands)  # noqa: E711 - of each element
    _choose(chosen, component, pairs, members, config)
    group_ids = _group_ids(members, component, chosen)
    known = before != None  # noqa: E711 - of each element
    return Division(
        splits=_table(members, group_ids, chosen),
        fresh=pa.array(~known),
        added=int((~known).sum()),
        moved=int((known & (chosen != before)).sum()),
        excluded=int((members.present & (chosen == c.EXCLUDED)).sum()),
        merged=int((known & (group_ids != members.group)).sum()),
        leaks=_leaks(members, pairs, chosen),
    )


@dataclass(frozen=True)
class _Members:
    """All images that have or get a split, as parallel arrays; None for what is not known."""

    ids: Texts
    perceptual: Hashes
    difference: Hashes
    split: Texts
    group: Texts
    run: Texts
    given: Texts
    present: NDArray[np.bool_]

    @classmethod
    def of(cls, images: pa.Table, splits: pa.Table) -> _Members:
        import pyarrow as pa
        import pyarrow.compute as pc

        ids = images[c.IMAGE_ID].combine_chunks()
        place = pc.index_in(splits[c.IMAGE_ID], value_set=ids)
        known = pc.index_in(ids, value_set=splits[c.IMAGE_ID].combine_chunks())
        old = splits.filter(pc.is_valid(place))
        itself = images.take(pc.drop_null(place))
        # Rows of an older table have no hashes; the picture's own row has.
        for name in (c.PERCEPTUAL_HASH, c.DIFFERENCE_HASH):
            filled = pc.coalesce(old[name], itself[name])
            old = old.set_column(old.column_names.index(name), name, filled)
        # Of equal pictures the first stands for all: better one that is still there.
        rows = pa.concat_tables(
            [
                old.append_column(GIVEN, itself[GIVEN]),
                images.filter(pc.is_null(known)),
                splits.filter(pc.is_null(place)),
            ],
            promote_options="default",
        )
        perceptual = pc.coalesce(rows[c.PERCEPTUAL_HASH], rows[c.GROUP_ID])
        return cls(
            ids=_objects(rows[c.IMAGE_ID]),
            perceptual=_numbers(perceptual),
            difference=_numbers(pc.coalesce(rows[c.DIFFERENCE_HASH], perceptual)),
            split=_objects(rows[c.SPLIT]),
            group=_objects(rows[c.GROUP_ID]),
            run=_objects(rows[c.RUN_ID]),
            given=_objects(rows[GIVEN]),
            present=np.arange(len(rows)) < len(images),
        )


def _choose(
    chosen: Texts,
    component: NDArray[np.int64],
    pairs: Pairs,
    members: _Members,
    config: SplitConfig,
) -> None:
    """Fills in ``chosen`` where it is None."""
    join(chosen, component, pairs, members.ids)
    alone = np.flatnonzero(chosen == None)  # noqa: E711 - of each element
    group, smallest = _smallest(component[alone], members.perceptual[alone])
    splits = [split_at(_hexadecimal(value), config) for value in smallest.tolist()]
    chosen[alone] = np.array(splits, dtype=object)[group]


def split_at(group_id: str, config: SplitConfig) -> str:
    """The split of a group of which nothing is known but its name."""
    digest = hashlib.sha256(group_id.encode()).hexdigest()
    position = int(digest[:_DIGITS], 16) / 16**_DIGITS
    if position < config.test_share:
        return c.TEST
    return c.VALIDATION if position < config.test_share + config.validation_share else c.TRAIN


def _group_ids(members: _Members, component: NDArray[np.int64], chosen: Texts) -> Texts:
    """A name per component and split: the smallest one in use, or the smallest hash."""
    parts = component * len(c.SPLIT_VALUES)
    for number, split in enumerate(c.SPLIT_VALUES):
        parts[chosen == split] += number
    part, smallest = _smallest(parts, members.perceptual)
    used: dict[int, str] = {}
    # Who was excluded and no longer is takes no name along.
    stays = (members.split != c.EXCLUDED) | (chosen == c.EXCLUDED)
    for place in np.flatnonzero(stays & (members.group != None)):  # noqa: E711 - of each element
        name = members.group[place]
        used[part[place]] = min(name, used.get(part[place], name))
    names = [used.get(n) or _hexadecimal(value) for n, value in enumerate(smallest.tolist())]
    return np.array(names, dtype=object)[part]


def _smallest(keys: NDArray[np.int64], hashes: Hashes) -> tuple[NDArray[np.int64], Hashes]:
    """Numbers the keys, shape (n,), and gives the smallest hash of each number."""
    distinct, numbers = np.unique(keys, return_inverse=True)
    smallest = np.full(len(distinct), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(smallest, numbers, hashes)
    return numbers, smallest


def _leaks(members: _Members, pairs: Pairs, chosen: Texts) -> pa.Table:
    import pyarrow as pa

    left, right = pairs.left, pairs.right
    usable = members.present & (chosen != c.EXCLUDED)
    across = (chosen[left] != chosen[right]) & usable[left] & usable[right]
    left, right, distance = left[across], right[across], pairs.distance[across]
    # Whatever order the images came in, a leak is named in one way.
    swapped = members.ids[left] > members.ids[right]
    left, right = np.where(swapped, right, left), np.where(swapped, left, right)
    return pa.table(
        {
            c.IMAGE_ID: pa.array(members.ids[left], pa.string()),
            c.SPLIT: pa.array(chosen[left], pa.string()),
            c.OTHER_IMAGE_ID: pa.array(members.ids[right], pa.string()),
            c.OTHER_SPLIT: pa.array(chosen[right], pa.string()),
            c.DISTANCE: pa.array(distance, pa.int32()),
        }
    )


def _table(members: _Members, group_ids: Texts, chosen: Texts) -> pa.Table:
    import pyarrow as pa

    def hashes(values: Hashes) -> list[str]:
        return [_hexadecimal(value) for value in values.tolist()]

    columns: dict[str, Sequence[Any] | Texts] = {
        c.IMAGE_ID: members.ids,
        c.GROUP_ID: group_ids,
        c.SPLIT: chosen,
        c.PERCEPTUAL_HASH: hashes(members.perceptual),
        c.DIFFERENCE_HASH: hashes(members.difference),
        c.RUN_ID: members.run,
    }
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


def _numbers(texts: Any) -> Hashes:
    """Hashes of 16 hexadecimal digits as numbers."""
    joined = bytes.fromhex("".join(texts.to_pylist()))
    return np.frombuffer(joined, dtype=">u8").astype(np.uint64)


def _hexadecimal(value: int) -> str:
    return f"{value:016x}"


def _objects(column: Any) -> Texts:
    values: Texts = np.asarray(column.to_pylist(), dtype=object)
    return values
