"""When and how the deployed model's recent images are compared with those that trained it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

from darkroom.contract.checks import at_least
from darkroom.contract.errors import ConfigError

LEAST_FALSE_ALARMS: Final = 0.001
"""A permutation test takes some thousand times its inverse to be that sure."""

_WINDOW: Final = re.compile(r"\s*([1-9]\d{0,6})\s+(day|image)s?\s*")


@dataclass(frozen=True, kw_only=True)
class Span:
    """How much is judged at a time: so many days, or so many images; one of both is None.

    Attributes:
        days: Whole days, UTC.
        images: Number of images.
    """

    days: int | None = None
    images: int | None = None

    @classmethod
    def of(cls, text: str) -> Self:
        """Reads ``monitoring.window``: ``7 days``, ``500 images``.

        Raises:
            ConfigError: It is neither.
        """
        found = _WINDOW.fullmatch(text)
        if found is None:
            remedy = "give a number of days or of images, such as 7 days or 500 images"
            raise ConfigError("monitoring.window", text, remedy)
        number, unit = int(found[1]), found[2]
        return cls(days=number) if unit == "day" else cls(images=number)

    def __str__(self) -> str:
        number, unit = (self.days, "day") if self.days else (self.images, "image")
        return f"{number} {unit}{'' if number == 1 else 's'}"


@dataclass(frozen=True, kw_only=True)
class MonitoringConfig:
    """What counts as drift; by hand it can be looked for at any time.

    Attributes:
        schedule: Cron expression, in UTC, of the monitoring runs, or None.
        window: How much is judged at a time, see `Span`.
        min_images: A window, or a reference, with fewer usable images is not judged.
        alarm_after: So many drifting windows, the latest one among them, are an alarm ...
        of_windows: ... if they are among so many last ones.
        tolerated: Jensen-Shannon divergence, 0-1 bits, that two distributions may have.
        false_alarms: Share (0..1) of the windows without drift in which some is seen, at most.
        labels: Path or URI of delayed true labels, CSV or Parquet; None where there are none but
            those that ingestion learns.
    """

    schedule: str | None = None
    window: str = "7 days"
    min_images: int = 50
    alarm_after: int = 2
    of_windows: int = 3
    tolerated: float = 0.02
    false_alarms: float = 0.01
    labels: str | None = None

    def __post_init__(self) -> None:
        at_least("monitoring.min_images", self.min_images, 10)
        span = self.span
        if span.images is not None and span.images < self.min_images:
            remedy = f"must be at least monitoring.min_images = {self.min_images}"
            raise ConfigError("monitoring.window", self.window, remedy)
        at_least("monitoring.of_windows", self.of_windows, 1)
        if not 1 <= self.alarm_after <= self.of_windows:
            remedy = f"must lie between 1 and monitoring.of_windows = {self.of_windows}"
            raise ConfigError("monitoring.alarm_after", self.alarm_after, remedy)
        if not 0 <= self.tolerated < 1:
            remedy = "must be at least 0 and less than 1"
            raise ConfigError("monitoring.tolerated", self.tolerated, remedy)
        if not LEAST_FALSE_ALARMS <= self.false_alarms < 1:
            remedy = f"must be at least {LEAST_FALSE_ALARMS:g} and less than 1"
            raise ConfigError("monitoring.false_alarms", self.false_alarms, remedy)
        if self.labels is not None and (not self.labels.strip() or "\0" in self.labels):
            remedy = "give a CSV or Parquet file, or leave it out"
            raise ConfigError("monitoring.labels", self.labels, remedy)

    @property
    def span(self) -> Span:
        """The window, read."""
        return Span.of(self.window)
