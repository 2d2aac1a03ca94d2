"""Two versions' answers to the same images: how often, and on what, they disagree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from darkroom import pages
from darkroom.contract import Disagreement, ShadowComparison
from darkroom.contract.workspace import write_atomically
from darkroom.images import ImageRejectedError

TEMPLATE: Final = Path(__file__).with_name("shadow.html.j2")
THUMBNAIL_PIXELS: Final = 160
SHOWN_PICTURES: Final = 24
SHOWN_CHANGES: Final = 20
"""Rows of the table of what became what."""

NO_ANSWER: Final = "no answer"
"""Shown for an image that a version could not use."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a version said of an image.

    Attributes:
        label: The likeliest label; None where it could not use the image.
        probability: Of that label, 0-1; None likewise.
    """

    label: str | None
    probability: float | None

    @property
    def shown(self) -> str:
        """For a person."""
        if self.label is None or self.probability is None:
            return NO_ANSWER
        return f"{self.label} ({100 * self.probability:.1f}\N{NO-BREAK SPACE}%)"


@dataclass(frozen=True, kw_only=True)
class BothAnswers:
    """What the deployed and the waiting version said of one image.

    Attributes:
        image_id: The image.
        path: Where it came from, relative to its source.
        champion: The deployed version's answer.
        challenger: The waiting version's.
    """

    image_id: str
    path: str
    champion: Answer
    challenger: Answer

    @property
    def differ(self) -> bool:
        """Whether the likeliest labels differ."""
        return self.champion.label != self.challenger.label

    @property
    def sureness(self) -> float:
        """How sure the less sure of the two is, 0-1."""
        return min(one.probability or 0.0 for one in (self.champion, self.challenger))

    @property
    def change(self) -> tuple[str, str]:
        """What the image was, and what it would become, for a person."""
        return self.champion.label or NO_ANSWER, self.challenger.label or NO_ANSWER


def answered(both: Iterable[BothAnswers]) -> list[BothAnswers]:
    """Those that at least one version could use: of the rest there is nothing to compare."""
    return [one for one in both if {one.champion.label, one.challenger.label} != {None}]


def differing(both: Iterable[BothAnswers]) -> list[BothAnswers]:
    """Those on which the two disagree; those that both are surest about first, ties by id."""
    found = [one for one in both if one.differ]
    return sorted(found, key=lambda one: (-one.sureness, one.image_id))


def examples(found: Sequence[BothAnswers], most: int) -> tuple[Disagreement, ...]:
    """The first of what `differing` found, as others read them."""
    return tuple(
        Disagreement(path=one.path, champion=one.champion.label, challenger=one.challenger.label)
        for one in found[:most]
    )


def write_page(
    pipeline: str,
    comparison: ShadowComparison,
    found: Sequence[BothAnswers],
    pictures: dict[str, bytes],
    file: Path,
) -> None:
    """Writes the page of a comparison.

    Args:
        pipeline: Its name.
        comparison: The numbers.
        found: The images on which the two disagree, as `differing` sorts them; paths and labels
            may be hostile, they are escaped.
        pictures: Encoded pictures by image id, of the first `SHOWN_PICTURES` of them.
        file: Where to.
    """
    changes = Counter(one.change for one in found).most_common()
    page = pages.render(
        TEMPLATE,
        {
            "pipeline": pipeline,
            "comparison": comparison,
            "changes": changes[:SHOWN_CHANGES],
            "all_changes": len(changes),
            "shown": [(one, _thumbnail(pictures.get(one.image_id))) for one in found][
                :SHOWN_PICTURES
            ],
        },
    )
    write_atomically(file, page)


def _thumbnail(picture: bytes | None) -> str | None:
    if picture is None:
        return None
    try:
        return pages.data_uri(pages.thumbnail(picture, THUMBNAIL_PIXELS), "image/jpeg")
    except ImageRejectedError:
        # One version's size limit, for example: the page says that there was no answer.
        return None
