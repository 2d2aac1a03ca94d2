"""The page of one validation: one HTML file that needs nothing else, and a list of all of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from darkroom import pages
from darkroom.contract import columns as c
from darkroom.contract.workspace import write_atomically
from darkroom.validation.facts import BRIGHTNESS_STEP, DRIFTING, Fact, Facts
from darkroom.validation.leaks import Leak
from darkroom.validation.pictures import Picture, Rejected, samples_per_class
from darkroom.validation.suites import Severity
from darkroom.validation.validator import Checked, Outcome

TEMPLATE: Final = Path(__file__).with_name("page.html.j2")
LIST_TEMPLATE: Final = Path(__file__).with_name("list.html.j2")
RUNS: Final = "runs"
INDEX: Final = "index.html"
PASS: Final = "PASS"
FAIL: Final = "FAIL"
SHOWN_PAIRS: Final = 12
SHOWN_BINS: Final = 40


@dataclass(frozen=True, kw_only=True)
class PageData:
    """Everything that the page shows.

    Attributes:
        pipeline: Name.
        run_id: The run.
        outcome: What was found.
        suite: Where the expectations come from: a file, or ``built-in``.
        facts: What they were held against.
        ingest: Outputs of the stage ingest.
        pictures: Samples of the classes, and the images of the pairs.
        leaks: The first pairs of near-duplicates in different splits, most alike first.
        refused: Number of rejected files per reason, of all sources that there ever were.
        rejected: The first of them of each reason.
    """

    pipeline: str
    run_id: str
    outcome: Outcome
    suite: str
    facts: Facts
    ingest: Mapping[str, Any]
    pictures: Sequence[Picture]
    leaks: Sequence[Leak]
    refused: Mapping[str, int]
    rejected: Sequence[Rejected]

    @property
    def verdict(self) -> str:
        """PASS unless an expectation of severity ``error`` is not met."""
        return FAIL if self.outcome.unmet(Severity.ERROR) else PASS


def page_file(docs: Path, run: str) -> Path:
    """Where the page of a run is.

    Args:
        docs: The pipeline's folder.
        run: The run's id, fit for a file name.
    """
    return docs / RUNS / run / INDEX


def write_page(data: PageData, file: Path) -> None:
    """Writes the page, and the list of all pages of the pipeline.

    Args:
        data: What to show; names in it may be hostile, they are escaped.
        file: What `page_file` returned.
    """
    write_atomically(file, render(data, file))
    listing = _list_of(file)
    runs = sorted((listing.parent / RUNS).glob(f"*/{INDEX}"), key=_written_at, reverse=True)
    names = [page.parent.name for page in runs]
    listed = pages.render(LIST_TEMPLATE, {"pipeline": data.pipeline, "runs": names})
    write_atomically(listing, listed)


def render(data: PageData, file: Path) -> str:
    """The page as HTML: no script; nothing is loaded, its links lead to Great Expectations' pages.

    Args:
        data: What to show.
        file: Where the page will be, which its links start from.
    """
    classes = data.facts.of(Fact.LABEL)
    shown = {picture.image_id: picture for picture in data.pictures}
    return pages.render(
        TEMPLATE,
        {
            "data": data,
            "errors": data.outcome.unmet(Severity.ERROR),
            "warnings": data.outcome.unmet(Severity.WARN),
            "checked": sorted(data.outcome.checked, key=_worst_first),
            "pages": {name: _link(page, file) for name, page in data.outcome.pages.items()},
            "list": _link(_list_of(file), file),
            "classes": [_class_row(label, data.facts) for label in classes],
            "most": max(classes.values(), default=1),
            "splits": [s for s in c.SPLIT_VALUES if data.facts.total(Fact(s))],
            "samples": _samples(data),
            "per_class": samples_per_class(len(classes)),
            "refused": data.facts.total(Fact.REJECTED),
            "rejected": _by_reason(data.rejected),
            "leaks": [
                (leak, shown.get(leak.image_id), shown.get(leak.other_image_id))
                for leak in data.leaks
            ],
            "all_leaks": data.facts.total(Fact.LEAKS),
            "shown_pairs": SHOWN_PAIRS,
            "drifts": [drift for fact in DRIFTING if (drift := _drift(fact, data.facts))],
            "picture": lambda content: pages.data_uri(content, "image/jpeg"),
        },
    )


def _list_of(page: Path) -> Path:
    """The list of all pages of the pipeline that a page belongs to."""
    return page.parents[2] / INDEX


def _link(target: Path, page: Path) -> str:
    return Path(os.path.relpath(target, page.parent)).as_posix()


def _worst_first(checked: Checked) -> tuple[bool, bool]:
    return checked.met, checked.severity is Severity.WARN


def _written_at(page: Path) -> float:
    return page.stat().st_mtime


def _class_row(label: str, facts: Facts) -> dict[str, Any]:
    numbers = {split: facts.of(Fact(split)).get(label, 0) for split in c.SPLIT_VALUES}
    return {"label": label, "images": facts.of(Fact.LABEL)[label], **numbers}


def _samples(data: PageData) -> list[tuple[str, list[Picture]]]:
    """Pictures per class, without those that only the pairs need."""
    most = samples_per_class(len(data.facts.of(Fact.LABEL)))
    labelled = sorted(
        (picture for picture in data.pictures if picture.label is not None),
        key=lambda picture: str(picture.label),
    )
    found = groupby(labelled, key=lambda picture: str(picture.label))
    return [(label, list(pictures)[:most]) for label, pictures in found]


def _by_reason(rejected: Sequence[Rejected]) -> dict[str, list[Rejected]]:
    ordered = sorted(rejected, key=lambda one: (one.reason, one.path))
    return {reason: list(files) for reason, files in groupby(ordered, lambda one: one.reason)}


def _drift(fact: Fact, facts: Facts) -> dict[str, Any] | None:
    """Shares per bin, now and before; None without an earlier snapshot."""
    now, before = facts.of(fact), facts.of(DRIFTING[fact])
    if not now or not before:
        return None
    bins = sorted(
        {*now, *before}, key=lambda name: (len(name), name) if name.isdigit() else (0, name)
    )
    total, earlier = sum(now.values()), sum(before.values())
    rows = [
        (_bin(fact, name), now.get(name, 0) / total, before.get(name, 0) / earlier) for name in bins
    ]
    if len(rows) > SHOWN_BINS:
        rows = sorted(rows, key=lambda row: -abs(row[1] - row[2]))[:SHOWN_BINS]
    return {
        "of": str(fact),
        "rows": rows,
        "bins": len(bins),
        "most": max(max(row[1:]) for row in rows),
    }


def _bin(fact: Fact, name: str) -> str:
    if fact is Fact.LABEL:
        return name
    low = int(name)
    if fact is Fact.BRIGHTNESS:
        return f"{low} to {low + BRIGHTNESS_STEP - 1}"
    return f"{2**low:,} to {2 ** (low + 1) - 1:,} pixels"
