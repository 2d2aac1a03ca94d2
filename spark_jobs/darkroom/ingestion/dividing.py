"""Brings the tables of splits and of leaks up to date with the images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from darkroom.contract import SplitConfig
from darkroom.contract import columns as c
from darkroom.ingestion.splits import GIVEN, Division, divide
from darkroom.ingestion.tables import Tables
from darkroom.lake import Lake

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 50_000

_IMAGE_COLUMNS = (c.IMAGE_ID, c.LABEL, c.PERCEPTUAL_HASH, c.DIFFERENCE_HASH, c.METADATA)
_SPLIT_COLUMNS = (
    c.IMAGE_ID,
    c.GROUP_ID,
    c.SPLIT,
    c.PERCEPTUAL_HASH,
    c.DIFFERENCE_HASH,
    c.RUN_ID,
)
_LEAK_COLUMNS = (c.IMAGE_ID, c.SPLIT, c.OTHER_IMAGE_ID, c.OTHER_SPLIT, c.DISTANCE)


@dataclass(frozen=True)
class Divided:
    """What has become of the splits, in numbers.

    Attributes:
        added: Images that got a split.
        moved: Images that are in another split now.
        excluded: Images in none, which look like images of several.
        leaks: Pairs of near-duplicates in different splits, of all runs.
    """

    added: int
    moved: int
    excluded: int
    leaks: int


def divide_images(tables: Tables, config: SplitConfig) -> Divided:
    """Gives every labelled image that has none a split, on the driver and without Spark.

    Args:
        tables: Reads `images`; fills `splits` and `split_leaks`.
        config: The shares, and how much near-duplicates may differ.

    Returns:
        The numbers.

    Raises:
        ConflictError: Another process changed a table meanwhile.
    """
    bases = {table: tables.snapshot(table) for table in (c.IMAGES, c.SPLITS, c.SPLIT_LEAKS)}
    images = labelled_images(tables.lake, tables.namespace, bases[c.IMAGES])
    splits = _columns(tables.lake, tables.namespace, c.SPLITS, bases[c.SPLITS], _SPLIT_COLUMNS)
    leaks = _columns(
        tables.lake, tables.namespace, c.SPLIT_LEAKS, bases[c.SPLIT_LEAKS], _LEAK_COLUMNS
    )
    if not _needed(images, splits) and not _outdated(leaks, images):
        return Divided(added=0, moved=0, excluded=0, leaks=len(leaks))
    division = divide(images, splits, config)
    # Leaks first: the next run takes them for complete once every image has its split.
    if _rows(leaks) != _rows(division.leaks):
        tables.put(c.SPLIT_LEAKS, division.leaks, replace=True, base=bases[c.SPLIT_LEAKS])
    _write_splits(tables, division, bases[c.SPLITS])
    return Divided(division.added, division.moved, division.excluded, len(division.leaks))


def labelled_images(lake: Lake, pipeline: str, snapshot: int | None) -> pa.Table:
    """Images that can be divided: those with a label, and the split that their manifest gives.

    Args:
        lake: Where the tables are.
        pipeline: The pipeline's name.
        snapshot: Of the table of images; None for no images.

    Returns:
        image_id, perceptual_hash, difference_hash, given.
    """
    import pyarrow.compute as pc

    images = _columns(lake, pipeline, c.IMAGES, snapshot, _IMAGE_COLUMNS)
    images = images.filter(pc.is_valid(images[c.LABEL]))
    given = pc.map_lookup(images[c.METADATA], c.SPLIT, "first")
    return images.drop_columns([c.LABEL, c.METADATA]).append_column(GIVEN, given)


def no_splits() -> pa.Table:
    """A table of splits before the first image."""
    return _schema(c.SPLITS, _SPLIT_COLUMNS).empty_table()


def _schema(table: str, columns: tuple[str, ...]) -> pa.Schema:
    import pyarrow as pa

    from darkroom.lake.schema import arrow_schema

    schema = arrow_schema(table)
    return pa.schema([schema.field(name) for name in columns])


def _columns(
    lake: Lake, pipeline: str, table: str, snapshot: int | None, columns: tuple[str, ...]
) -> pa.Table:
    import pyarrow as pa

    wanted = _schema(table, columns)
    if snapshot is None:
        return wanted.empty_table()
    batches = lake.batches(pipeline, table, snapshot, columns, BATCH_ROWS)
    return pa.Table.from_batches(batches, schema=wanted)


def _needed(images: pa.Table, splits: pa.Table) -> bool:
    """Whether an image has no split, not the one that is given, or was excluded from all."""
    import pyarrow.compute as pc

    place = pc.index_in(images[c.IMAGE_ID], value_set=splits[c.IMAGE_ID].combine_chunks())
    if pc.any(pc.is_null(place)).as_py():
        return True
    chosen = splits[c.SPLIT].take(place)
    unlike = pc.not_equal(images[GIVEN], chosen)
    return bool(pc.any(pc.or_kleene(unlike, pc.equal(chosen, c.EXCLUDED))).as_py())


def _write_splits(tables: Tables, division: Division, base: int | None) -> None:
    """Adds what is new; where a choice of before has changed, writes all of it again."""
    import pyarrow.compute as pc

    replace = bool(division.moved or division.merged)
    rows = division.splits if replace else division.splits.filter(division.fresh)
    run_ids = pc.fill_null(rows[c.RUN_ID], tables.run_id)
    rows = rows.set_column(rows.column_names.index(c.RUN_ID), c.RUN_ID, run_ids)
    tables.put(c.SPLITS, rows, replace=replace, base=base)


def _outdated(leaks: pa.Table, images: pa.Table) -> bool:
    """Whether a leak names an image that is there no longer."""
    import pyarrow.compute as pc

    there = images[c.IMAGE_ID].combine_chunks()
    sides = (pc.is_in(leaks[side], value_set=there) for side in (c.IMAGE_ID, c.OTHER_IMAGE_ID))
    return not all(pc.all(side).as_py() for side in sides)


def _rows(leaks: pa.Table) -> list[tuple[Any, ...]]:
    """In an order of their own, so that equal tables are equal."""
    return sorted(tuple(row.values()) for row in leaks.select(_LEAK_COLUMNS).to_pylist())
