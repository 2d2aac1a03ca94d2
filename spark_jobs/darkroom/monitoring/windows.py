"""Windows: the deployed model's recent images in parts that follow each other."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from darkroom.contract import columns as c
from darkroom.contract.monitoring import Span
from darkroom.monitoring.sampling import TRUTH

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

EPOCH: Final = dt.datetime(1970, 1, 5, tzinfo=dt.UTC)
"""Windows of days are counted from this Monday, so that weeks begin on Mondays."""

WINDOW: Final = "window"
"""Column: number of the window that a row belongs to."""

_SECONDS: Final = 86_400


@dataclass(frozen=True, kw_only=True)
class Window:
    """Some of the recent images.

    Windows are told apart by their number alone: judging one again replaces what was said of it.

    Attributes:
        number: Counts up with time.
        start: Of days: when it begins, UTC. Of images: when the first one was scored.
        end: Of days: when it ends. Of images: when the last one was scored.
        images: Number of images in it.
        labelled: How many of them have a known true label.
        finished: Whether no image can be added to it by time going on.
    """

    number: int
    start: dt.datetime
    end: dt.datetime
    images: int
    labelled: int
    finished: bool

    @property
    def shown(self) -> str:
        """From when to when, in words."""
        whole_days = all(moment.time() == dt.time() for moment in (self.start, self.end))
        form = "%Y-%m-%d" if whole_days else "%Y-%m-%d %H:%M"
        first, last = (f"{moment:{form}}" for moment in (self.start, self.end))
        # Images of one run are scored at one time.
        return first if first == last else f"{first} to {last}"


def numbered(recent: DataFrame, span: Span) -> DataFrame:
    """Adds the window's number to each image.

    Args:
        recent: Reads image_id, scored_at.
        span: How long a window is.

    Returns:
        The frame with the column `WINDOW` (long).
    """
    from pyspark.sql import Window as Over
    from pyspark.sql import functions as f

    if span.days is not None:
        seconds = f.unix_timestamp(c.SCORED_AT) - int(EPOCH.timestamp())
        return recent.withColumn(WINDOW, f.floor(seconds / (span.days * _SECONDS)).cast("long"))
    assert span.images is not None
    # Images of one run are scored at one time: their ids, which are digests, order them at random.
    place = f.row_number().over(Over.orderBy(c.SCORED_AT, c.IMAGE_ID)) - 1
    return recent.withColumn(WINDOW, f.floor(place / span.images).cast("long"))


def windows_of(numbered_images: DataFrame, span: Span, until: dt.datetime) -> list[Window]:
    """The windows that have images, oldest first.

    Args:
        numbered_images: What `numbered` returned; reads window, scored_at, truth.
        span: As above.
        until: The moment that it is looked at.
    """
    from pyspark.sql import functions as f

    rows = (
        numbered_images.groupBy(WINDOW)
        .agg(
            f.count(f.lit(1)).alias("images"),
            f.count(TRUTH).alias("labelled"),
            # Python would read a timestamp in the machine's own time zone.
            f.unix_micros(f.min(c.SCORED_AT)).alias("first"),
            f.unix_micros(f.max(c.SCORED_AT)).alias("last"),
        )
        .collect()
    )
    found = []
    for row in rows:
        start, end = bounds(row[WINDOW], span) or (_moment(row["first"]), _moment(row["last"]))
        found.append(
            Window(
                number=row[WINDOW],
                start=start,
                end=end,
                images=row["images"],
                labelled=row["labelled"],
                finished=row["images"] == span.images if span.images else end <= until,
            )
        )
    return sorted(found, key=lambda window: window.number)


def bounds(number: int, span: Span) -> tuple[dt.datetime, dt.datetime] | None:
    """When a window of days begins and ends; None for windows of images."""
    if span.days is None:
        return None
    length = dt.timedelta(days=span.days)
    return EPOCH + number * length, EPOCH + (number + 1) * length


def number_at(moment: dt.datetime, span: Span) -> int | None:
    """Number of the window of days that a moment lies in; None for windows of images."""
    return None if span.days is None else (moment - EPOCH) // dt.timedelta(days=span.days)


def last_ones(windows: Sequence[Window], count: int, *, unfinished: bool) -> list[Window]:
    """The last windows that can be judged, oldest first.

    Args:
        windows: Oldest first.
        count: How many.
        unfinished: Whether a window counts that more images may come to.
    """
    usable = [window for window in windows if window.finished or unfinished]
    return usable[-count:]


def _moment(microseconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=microseconds)
