"""What has changed in the sources since the tables were written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from darkroom.contract import RejectReason
from darkroom.contract import columns as c

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

STATE: Final = "state"
UNCHANGED: Final = "unchanged"
"""Known, with the same length and time, and nothing else is said of it."""
NEW: Final = "new"
"""To be opened: not known."""
REPLACED: Final = "replaced"
"""To be opened: known, with another length or time; or rejected and worth another look."""
RELABELLED: Final = "relabelled"
"""The same file, of which the source says something else: it is not opened."""
GONE: Final = "gone"
"""Known, and no longer in the source."""

KNOWN_TABLE: Final = "known_table"
KNOWN_ROOT: Final = "known_root"
KNOWN_IMAGE_ID: Final = "known_image_id"
KNOWN_REASON: Final = "known_reason"
KNOWN_DETAIL: Final = "known_detail"
KNOWN_SAME: Final = "known_same"
"""Whether the table's row has the same length, time and label."""
KNOWN_SAID: Final = "known_said"
"""Whether the table's row has the same label and metadata."""
STALE_REFUSAL: Final = "stale_refusal"
"""Of an image: the root of a refusal of the same file, which is out of date; null for none."""

OPENED: Final = (NEW, REPLACED)
HANGS_ON_OTHERS: Final = (str(RejectReason.DUPLICATE), str(RejectReason.LABEL_CONFLICT))
"""Why a file is refused that may be a good picture: what becomes of others decides again."""

_KNOWN = (
    KNOWN_TABLE,
    KNOWN_ROOT,
    KNOWN_IMAGE_ID,
    KNOWN_REASON,
    KNOWN_DETAIL,
    STALE_REFUSAL,
)
_PREFIX = "known_"
_STIRRED = "stirred"
_HELD = "held"
_WAKES = "wakes"
_COMPARED = (c.LENGTH, c.MODIFIED_AT, c.LABEL, c.METADATA)
_PLACE = "place"


def compare(
    listed: DataFrame, images: DataFrame, rejected: DataFrame, roots: Sequence[str]
) -> DataFrame:
    """Gives every file of the sources and of the tables a state; no file is opened.

    Args:
        listed: The listing: root, path, location, label, length, modified_at, metadata, reason,
            detail.
        images: Reads root, path, label, length, modified_at, metadata, image_id.
        rejected: Reads root, path, label, length, modified_at, reason, detail, image_id.
        roots: The sources that were listed: what the tables know of others is left alone. Rows
            without a root are of the first.

    Returns:
        The columns of ``listed`` (null for GONE, but for root and path), state, and what is known:
        known_table, known_root, known_image_id, known_reason, known_detail, known_same,
        known_said, stale_refusal.
    """
    from pyspark.sql import functions as f

    known = _known_once(
        _known(images, c.IMAGES, roots).unionByName(_known(rejected, c.REJECTED_IMAGES, roots))
    )
    here = listed.withColumn("here", f.lit(True))
    joined = here.join(known, [c.ROOT, c.PATH], "full")
    same_file = _equal(c.LENGTH) & _equal(c.MODIFIED_AT)
    same_label = _equal(c.LABEL)
    said = same_label & _same_metadata()
    of_image = f.col(KNOWN_TABLE) == c.IMAGES
    worth_a_look = f.col(KNOWN_REASON).eqNullSafe(str(RejectReason.UNREADABLE_FILE))
    state = (
        f.when(f.col("here").isNull(), GONE)
        .when(f.col(KNOWN_TABLE).isNull(), NEW)
        .when(of_image & same_file & said, UNCHANGED)
        .when(of_image & same_file, RELABELLED)
        .when(~of_image & same_file & same_label & ~worth_a_look, UNCHANGED)
        .otherwise(REPLACED)
    )
    return joined.select(
        *listed.columns,
        state.alias(STATE),
        *_KNOWN,
        (same_file & same_label).alias(KNOWN_SAME),
        said.alias(KNOWN_SAID),
    )


def all_new(listed: DataFrame) -> DataFrame:
    """What `compare` returns where the tables know of nothing, without a join to plan."""
    from pyspark.sql import functions as f

    kinds = dict.fromkeys(_KNOWN, "string") | {STALE_REFUSAL: f"struct<{KNOWN_ROOT}: string>"}
    nothing = {name: f.lit(None).cast(kind) for name, kind in kinds.items()}
    differs = dict.fromkeys((KNOWN_SAME, KNOWN_SAID), f.lit(False))
    return listed.withColumns({STATE: f.lit(NEW), **nothing, **differs})


def awaken(compared: DataFrame, images: DataFrame) -> DataFrame:
    """Marks rejected files to be opened again that were rejected because of others.

    A duplicate is the picture itself once the file it repeats is gone, and a conflict is over when
    one side gives in. A duplicate whose picture no image is was left by a run that died before it
    committed the images.

    Args:
        compared: What `compare` returned.
        images: All images; reads image_id.

    Returns:
        The same, with state ``replaced`` for those whose picture some change is about.
    """
    from pyspark.sql import functions as f

    changed = f.col(STATE).isin(GONE, REPLACED, RELABELLED) & f.col(KNOWN_IMAGE_ID).isNotNull()
    stirred = compared.where(changed).select(f.col(KNOWN_IMAGE_ID).alias(_STIRRED)).distinct()
    held = images.select(f.col(c.IMAGE_ID).alias(_HELD)).distinct()
    hanging = compared.where(
        (f.col(STATE) == UNCHANGED) & f.col(KNOWN_REASON).isin(*HANGS_ON_OTHERS)
    )
    alone = (f.col(KNOWN_REASON) == str(RejectReason.DUPLICATE)) & f.col(_HELD).isNull()
    waking = (
        hanging.select(c.ROOT, c.PATH, KNOWN_REASON, KNOWN_IMAGE_ID)
        .join(stirred, f.col(KNOWN_IMAGE_ID) == f.col(_STIRRED), "left")
        .join(held, f.col(KNOWN_IMAGE_ID) == f.col(_HELD), "left")
        .where(f.col(_STIRRED).isNotNull() | alone)
        .select(c.ROOT, c.PATH, f.lit(True).alias(_WAKES))
    )
    joined = compared.join(waking, [c.ROOT, c.PATH], "left")
    woken = f.when(f.col(_WAKES), REPLACED).otherwise(f.col(STATE))
    return joined.withColumn(STATE, woken).drop(_WAKES)


def with_root(frame: DataFrame, roots: Sequence[str]) -> DataFrame:
    """Rows of an older table have no root: there was one source then."""
    from pyspark.sql import functions as f

    return frame.withColumn(c.ROOT, f.coalesce(c.ROOT, f.lit(roots[0])))


def _known(frame: DataFrame, table: str, roots: Sequence[str]) -> DataFrame:
    from pyspark.sql import functions as f

    words = {c.REASON, c.DETAIL, c.METADATA} - set(frame.columns)
    nulls = {name: f.lit(None).cast("string") for name in words}
    if c.METADATA in nulls:
        nulls[c.METADATA] = f.lit(None).cast("map<string,string>")
    whole = with_root(frame.withColumn(KNOWN_ROOT, f.col(c.ROOT)).withColumns(nulls), roots)
    return whole.where(f.col(c.ROOT).isin(*roots)).select(
        c.ROOT,
        c.PATH,
        KNOWN_ROOT,
        f.lit(table).alias(KNOWN_TABLE),
        f.col(c.IMAGE_ID).alias(KNOWN_IMAGE_ID),
        f.col(c.REASON).alias(KNOWN_REASON),
        f.col(c.DETAIL).alias(KNOWN_DETAIL),
        *[f.col(name).alias(_PREFIX + name) for name in _COMPARED],
    )


def _known_once(known: DataFrame) -> DataFrame:
    """One row for each file.

    A run that dies between its two commits, or two runs that saw a file before and after it
    changed, leave it among the images and among the refused files as well.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as f

    of_file = Window.partitionBy(c.ROOT, c.PATH)
    refused = f.col(KNOWN_TABLE) == c.REJECTED_IMAGES
    # A struct, so that a root that is null is told from no row.
    refusal = f.max(f.when(refused, f.struct(KNOWN_ROOT))).over(of_file)
    place = f.row_number().over(of_file.orderBy(refused))
    numbered = known.withColumns({_PLACE: place, STALE_REFUSAL: refusal})
    stale = f.when(f.col(KNOWN_TABLE) == c.IMAGES, f.col(STALE_REFUSAL))
    return numbered.where(f.col(_PLACE) == 1).withColumn(STALE_REFUSAL, stale).drop(_PLACE)


def _equal(name: str) -> Column:
    from pyspark.sql import functions as f

    return f.col(name).eqNullSafe(f.col(_PREFIX + name))


def _same_metadata() -> Column:
    """Maps have no order and no equality; their sorted items have."""
    from pyspark.sql import functions as f

    def items(name: str) -> Column:
        return f.array_sort(f.map_entries(name))

    return items(c.METADATA).eqNullSafe(items(_PREFIX + c.METADATA))
