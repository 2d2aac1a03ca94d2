"""How a version that waits for approval answers, beside the deployed one."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """An image that two versions take for different things.

    Attributes:
        path: Where it came from, relative to its source.
        champion: The deployed version's likeliest label; None where it could not use the image.
        challenger: The waiting version's, likewise.
    """

    path: str
    champion: str | None
    challenger: str | None


@dataclass(frozen=True, kw_only=True)
class ShadowComparison:
    """How often a waiting version disagrees with the deployed one on the same images.

    Attributes:
        champion: The deployed version.
        challenger: The waiting version.
        challenger_digest: SHA-256 of its model file.
        compared: Number of images that both have answered.
        differing: Number of those on which their likeliest labels differ.
        low: Lower end of the interval of that share, 0-1; None without images.
        high: Upper end.
        confidence: Of the interval, 0-1.
        compared_at: When, ISO 8601 in UTC.
        examples: Images on which they differ, those that both are surest about first.
        page: Path below the workspace of the page that shows them, or None.
    """

    champion: str
    challenger: str
    challenger_digest: str
    compared: int
    differing: int
    low: float | None
    high: float | None
    confidence: float
    compared_at: str
    examples: tuple[Disagreement, ...] = ()
    page: str | None = None

    @property
    def share(self) -> float | None:
        """Share of the images on which the two differ, 0-1; None without images."""
        return self.differing / self.compared if self.compared else None

    @property
    def sentence(self) -> str:
        """How often they differ, for a person."""
        if self.share is None or self.low is None or self.high is None:
            return (
                f"version {self.challenger} and version {self.champion} have no answers in common"
            )
        return (
            f"version {self.challenger} disagrees with version {self.champion} on "
            f"{self.differing:,} of {self.compared:,} images: {_percent(self.share)} "
            f"({self.confidence:.0%} interval {_percent(self.low)} to {_percent(self.high)})"
        )

    def to_json(self) -> str:
        """Serialises to indented JSON; `from_json` reads it back."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what `to_json` wrote.

        Raises:
            ValueError: The text is no comparison.
        """
        values: Any = json.loads(text)
        try:
            examples = tuple(Disagreement(**one) for one in values["examples"])
            return cls(**{**values, "examples": examples})
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a comparison in shadow: {error}") from None


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
