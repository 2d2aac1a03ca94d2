"""Decides which of several files with the same bytes is kept, if any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from darkroom.contract import RejectReason
from darkroom.contract import columns as c

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

OUTCOME: Final = "outcome"
ACCEPTED: Final = "accepted"
REJECTED: Final = "rejected"
UNCHANGED: Final = "unchanged"

_FIRST = "first"
_KEPT = "kept"
_HOLDERS = "holders"


def decide(audited: DataFrame, images: DataFrame, rejected: DataFrame) -> DataFrame:
    """Gives every audited file an outcome.

    Of files with the same bytes and label the first by path is accepted, unless an image of the
    table already is that picture. Of files with the same bytes under different labels none is,
    and later ones neither; an image accepted before the conflict arose stays.

    Args:
        audited: Reads path, label, image_id, reason, detail.
        images: Table of accepted images; reads path, label, image_id.
        rejected: Table of rejected files; reads path, label, image_id, reason.

    Returns:
        ``audited`` with reason and detail completed and the column outcome: ``accepted``,
        ``rejected``, or ``unchanged`` for an accepted file whose time stamp alone has changed.
    """
    from pyspark.sql import functions as f

    holders = _holders(audited, images, rejected)
    by_picture = holders.groupBy(c.IMAGE_ID).agg(
        f.sort_array(f.collect_list(f.struct(c.LABEL, _FIRST))).alias(_HOLDERS)
    )
    compared = audited.join(holders, [c.IMAGE_ID, c.LABEL], "left").join(
        by_picture, c.IMAGE_ID, "left"
    )
    outcome, reason, detail = _verdict()
    return compared.select(
        *[name for name in audited.columns if name not in (c.REASON, c.DETAIL)],
        reason.alias(c.REASON),
        detail.alias(c.DETAIL),
        outcome.alias(OUTCOME),
    )


def _holders(audited: DataFrame, images: DataFrame, rejected: DataFrame) -> DataFrame:
    """Per picture and label: the first path that has it, and the accepted one if there is one."""
    from pyspark.sql import functions as f

    keys = (c.IMAGE_ID, c.LABEL, c.PATH)
    readable = audited.where(f.col(c.REASON).isNull())
    in_conflict = rejected.where(f.col(c.REASON) == str(RejectReason.LABEL_CONFLICT))
    everywhere = (
        readable.select(*keys, f.lit(False).alias(_KEPT))
        .unionByName(in_conflict.select(*keys, f.lit(False).alias(_KEPT)))
        .unionByName(images.select(*keys, f.lit(True).alias(_KEPT)))
    )
    kept_path = f.when(f.col(_KEPT), f.col(c.PATH))
    return everywhere.groupBy(c.IMAGE_ID, c.LABEL).agg(
        f.min(c.PATH).alias(_FIRST), f.min(kept_path).alias(_KEPT)
    )


def _verdict() -> tuple[Column, Column, Column]:
    """Columns outcome, reason and detail over the compared frame."""
    from pyspark.sql import functions as f

    unusable = f.col(c.REASON).isNotNull()
    itself = f.coalesce(f.col(c.PATH) == f.col(_KEPT), f.lit(False))
    contested = f.size(_HOLDERS) > 1
    original = f.coalesce(_KEPT, _FIRST)
    repeated = f.col(c.PATH) != original
    conflict, duplicate = str(RejectReason.LABEL_CONFLICT), str(RejectReason.DUPLICATE)

    others = f.filter(f.col(_HOLDERS), lambda holder: holder[c.LABEL] != f.col(c.LABEL))
    named = f.transform(
        others, lambda holder: f.concat(holder[c.LABEL], f.lit(" as "), holder[_FIRST])
    )
    outcome = (
        f.when(unusable, REJECTED)
        .when(itself, UNCHANGED)
        .when(contested | repeated, REJECTED)
        .otherwise(ACCEPTED)
    )
    reason = (
        f.when(unusable, f.col(c.REASON))
        .when(itself, None)
        .when(contested, conflict)
        .when(repeated, duplicate)
    )
    detail = (
        f.when(unusable, f.col(c.DETAIL))
        .when(itself, None)
        .when(contested, f.concat(f.lit("the same bytes are in "), f.array_join(named, ", ")))
        .when(repeated, f.concat(f.lit("the same bytes as "), original))
    )
    return outcome, reason, detail
