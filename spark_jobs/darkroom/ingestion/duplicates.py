"""Decides which of several files with the same bytes is kept, if any."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from darkroom.contract import RejectReason
from darkroom.contract import columns as c
from darkroom.ingestion.incremental import (
    KNOWN_DETAIL,
    KNOWN_IMAGE_ID,
    KNOWN_REASON,
    KNOWN_SAID,
    KNOWN_SAME,
    KNOWN_TABLE,
)

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

OUTCOME: Final = "outcome"
ACCEPTED: Final = "accepted"
"""A picture that the images table has not."""
MOVED: Final = "moved"
"""A picture whose file had another name: its row stays, and says where the file is now."""
TOUCHED: Final = "touched"
"""The same bytes in the same place with another time: its row gets the new time."""
RELABELLED: Final = "relabelled"
"""The same with another label or metadata: its row gets these as well."""
REJECTED: Final = "rejected"
UNCHANGED: Final = "unchanged"
"""Rejected as before, in the same words."""

_WHERE = "where"
_SETTLED = "settled"
_FIRST = "first"
_HOLDERS = "holders"
_CANDIDATE = "candidate"
_FORGOTTEN = "was_forgotten"
_LEAVING = "is_leaving"


def shared_pictures(
    audited: DataFrame,
    staying: DataFrame,
    contested: DataFrame,
    saved: Callable[[DataFrame, str], DataFrame],
) -> DataFrame:
    """Finds the pictures that more than one file holds: all that `decide` must know of others.

    Args:
        audited: Reads root, path, label, image_id, reason, and the known columns of
            `darkroom.ingestion.incremental.compare`.
        staying: Images whose file is where it was; reads root, path, label, image_id.
        contested: Rejected files that share their bytes with others and were not opened again;
            reads root, path, label, image_id.
        saved: Writes a frame under a name and reads it back. What is known to be small needs no
            shuffle of what it is joined with.

    Returns:
        image_id, and who holds the picture.
    """
    from pyspark.sql import functions as f

    readable = audited.where(f.col(c.REASON).isNull())
    everywhere = readable.select(c.IMAGE_ID)
    for frame in (staying, contested):
        everywhere = everywhere.unionByName(frame.select(c.IMAGE_ID))
    counted = everywhere.groupBy(c.IMAGE_ID).agg(f.count("*").alias("files"))
    repeated = saved(counted.where(f.col("files") > 1).select(c.IMAGE_ID), "repeated")

    def of_several(frame: DataFrame) -> DataFrame:
        return frame.join(repeated, c.IMAGE_ID, "left_semi")

    holders = _holders(of_several(readable), of_several(staying), of_several(contested))
    by_picture = holders.groupBy(c.IMAGE_ID).agg(
        f.sort_array(
            f.collect_list(f.when(f.col(c.LABEL).isNotNull(), f.struct(c.LABEL, _FIRST)))
        ).alias(_HOLDERS),
        f.min(_SETTLED).alias(_SETTLED),
        f.min(_CANDIDATE).alias(_CANDIDATE),
    )
    return saved(by_picture, "shared")


def decide(
    audited: DataFrame, shared: DataFrame, leaving: DataFrame, forgotten: DataFrame
) -> DataFrame:
    """Gives every opened file an outcome.

    Of files with the same bytes and label the first by path is accepted, unless an image of the
    table already is that picture. Of files with the same bytes under different labels none is, and
    later ones neither; an image accepted before the conflict arose stays. A file without a label
    contradicts none, and gives way to one that has a label.

    Args:
        audited: Reads root, path, label, image_id, reason, detail, and the known columns of
            `darkroom.ingestion.incremental.compare`.
        shared: What `shared_pictures` returned.
        leaving: image_id of the images whose file is gone or was replaced.
        forgotten: image_id of what must not come back.

    Returns:
        ``audited`` with reason and detail completed and the column outcome.
    """
    compared = (
        audited.join(shared, c.IMAGE_ID, "left")
        .join(_flagged(leaving, _LEAVING), c.IMAGE_ID, "left")
        .join(_flagged(forgotten, _FORGOTTEN), c.IMAGE_ID, "left")
    )
    reason, detail = _verdict()
    judged = compared.select(
        *[name for name in audited.columns if name not in (c.REASON, c.DETAIL)],
        _LEAVING,
        reason.alias(c.REASON),
        detail.alias(c.DETAIL),
    )
    return judged.withColumn(OUTCOME, _outcome()).drop(_LEAVING)


def decide_alone(audited: DataFrame) -> DataFrame:
    """What `decide` says where no file is known and no picture is there twice.

    Args:
        audited: Reads reason.

    Returns:
        ``audited`` with the column outcome.
    """
    from pyspark.sql import functions as f

    outcome = f.when(f.col(c.REASON).isNull(), ACCEPTED).otherwise(REJECTED)
    return audited.withColumn(OUTCOME, outcome)


def _holders(readable: DataFrame, staying: DataFrame, contested: DataFrame) -> DataFrame:
    """Per picture and label: the first file, the one that is an image already, the candidate."""
    from pyspark.sql import functions as f

    # Files without a label come last, whatever their path.
    rank = f.struct(f.col(c.LABEL).isNull().alias("unlabelled"), _where().alias(_WHERE))

    def files(frame: DataFrame, settled: Column, candidate: Column) -> DataFrame:
        return frame.select(
            c.IMAGE_ID,
            c.LABEL,
            _where().alias(_WHERE),
            f.when(settled, _where()).alias(_SETTLED),
            f.when(candidate, rank).alias(_CANDIDATE),
        )

    everywhere = (
        files(readable, _is_itself(), f.lit(True))
        .unionByName(files(contested, f.lit(False), f.lit(False)))
        .unionByName(files(staying, f.lit(True), f.lit(False)))
    )
    return everywhere.groupBy(c.IMAGE_ID, c.LABEL).agg(
        f.min(_WHERE).alias(_FIRST),
        f.min(_SETTLED).alias(_SETTLED),
        f.min(_CANDIDATE).alias(_CANDIDATE),
    )


def _where() -> Column:
    """A file in words that tell it from all others and sort by path."""
    from pyspark.sql import functions as f

    return f.struct(f.col(c.PATH), f.col(c.ROOT))


def _is_itself() -> Column:
    from pyspark.sql import functions as f

    same = f.col(KNOWN_IMAGE_ID).eqNullSafe(f.col(c.IMAGE_ID))
    return f.col(KNOWN_TABLE).eqNullSafe(c.IMAGES) & same


def _flagged(frame: DataFrame, flag: str) -> DataFrame:
    from pyspark.sql import functions as f

    return frame.select(c.IMAGE_ID).distinct().withColumn(flag, f.lit(True))


def _verdict() -> tuple[Column, Column]:
    """Columns reason and detail over the compared frame."""
    from pyspark.sql import functions as f

    unusable = f.col(c.REASON).isNotNull()
    itself = _is_itself()
    forgotten = f.col(_FORGOTTEN).isNotNull()
    others = f.filter(f.col(_HOLDERS), lambda one: ~one[c.LABEL].eqNullSafe(f.col(c.LABEL)))
    contested = f.col(c.LABEL).isNotNull() & (f.size(others) > 0)
    original = f.coalesce(f.col(_SETTLED), f.col(_CANDIDATE)[_WHERE])
    repeated = original != _where()

    named = f.transform(
        others, lambda one: f.concat(one[c.LABEL], f.lit(" as "), _name(one[_FIRST]))
    )
    reason = (
        f.when(unusable, f.col(c.REASON))
        .when(itself, None)
        .when(forgotten, str(RejectReason.FORGOTTEN))
        .when(contested, str(RejectReason.LABEL_CONFLICT))
        .when(repeated, str(RejectReason.DUPLICATE))
    )
    detail = (
        f.when(unusable, f.col(c.DETAIL))
        .when(itself, None)
        .when(forgotten, "a person asked that this picture be forgotten")
        .when(contested, f.concat(f.lit("the same bytes are in "), f.array_join(named, ", ")))
        .when(repeated, f.concat(f.lit("the same bytes as "), _name(original)))
    )
    return reason, detail


def _name(where: Column) -> Column:
    """The path; with its root where that is another one."""
    from pyspark.sql import functions as f

    elsewhere = f.concat(where[c.ROOT], f.lit("/"), where[c.PATH])
    return f.when(where[c.ROOT] == f.col(c.ROOT), where[c.PATH]).otherwise(elsewhere)


def _outcome() -> Column:
    from pyspark.sql import functions as f

    as_before = (
        f.col(KNOWN_SAME)
        & f.col(KNOWN_REASON).eqNullSafe(f.col(c.REASON))
        & f.col(KNOWN_DETAIL).eqNullSafe(f.col(c.DETAIL))
    )
    return (
        f.when(f.col(c.REASON).isNotNull() & as_before, UNCHANGED)
        .when(f.col(c.REASON).isNotNull(), REJECTED)
        .when(_is_itself() & f.col(KNOWN_SAID), TOUCHED)
        .when(_is_itself(), RELABELLED)
        .when(f.col(_LEAVING).isNotNull(), MOVED)
        .otherwise(ACCEPTED)
    )
