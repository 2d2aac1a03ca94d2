"""Writes the page of a validation, and Great Expectations' own, from facts that are made up.

``validation_page.py WORKSPACE RUN`` runs in the Spark environment, but without Spark.
"""

from __future__ import annotations

import sys
from pathlib import Path

from darkroom import pages
from darkroom.contract import RejectReason, Workspace
from darkroom.validation.facts import Fact
from darkroom.validation.leaks import Leak
from darkroom.validation.page import PageData, page_file, write_page
from darkroom.validation.pictures import Picture, Rejected
from darkroom.validation.suites import suite_of
from darkroom.validation.validator import validate_facts
from tests.unit.spark_env.pictures import photo
from tests.unit.spark_env.validation_facts import CONFIG, GOOD

LONG = "speed_limit_" * 12
"""A name without a space, wider than a phone."""

FACTS = GOOD.but(
    {
        Fact.LABEL: {LONG: 30, "b": 10},
        Fact.TRAIN: {LONG: 29, "b": 1},
        Fact.TEST: {LONG: 1, "b": 9},
        Fact.LABEL_BEFORE: {LONG: 5, "b": 35},
        Fact.LEAKS: {"": 1},
    }
)


def main(workspace: str, run: str) -> None:
    """Writes the pages of a run that has something of everything."""
    docs = Workspace(Path(workspace)).data_docs / CONFIG.name
    suite = suite_of(CONFIG)
    pictures = [
        Picture(
            image_id=f"{number:064x}",
            label=LONG if number % 2 else "b",
            path=f"{LONG}/{number}.png",
            thumbnail=pages.thumbnail(photo(number, side=20 + 10 * number), 96),
        )
        for number in range(12)
    ]
    rejected = [
        Rejected(
            reason=RejectReason.EMPTY,
            path=f"{LONG}/{number}.jpg",
            detail="the file holds no bytes",
            label="b",
            thumbnail=None,
        )
        for number in range(9)
    ]
    outcome = validate_facts(suite, FACTS, lambda columns: FACTS.frame(), run, docs)
    shown = PageData(
        pipeline=CONFIG.name,
        run_id=run,
        outcome=outcome,
        suite=suite.origin,
        facts=FACTS,
        ingest={"found": 60, "images_snapshot": 5_204_718_311, "splits_snapshot": 77},
        pictures=pictures,
        leaks=[Leak(3, pictures[0].image_id, pictures[1].image_id, "train", "test")],
        refused=FACTS.of(Fact.REJECTED),
        rejected=rejected,
    )
    write_page(shown, page_file(docs, run))


if __name__ == "__main__":
    main(*sys.argv[1:])
