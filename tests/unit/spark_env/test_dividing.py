"""Splits and leaks as they are committed, whoever dies in between; without Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from pyspark.sql import SparkSession

from darkroom.contract import SplitConfig, Stage, Workspace
from darkroom.contract import columns as c
from darkroom.ingestion.dividing import Divided, divide_images
from darkroom.ingestion.tables import Tables
from darkroom.lake import Lake
from darkroom.lake import lake as lake_module
from darkroom.lake.commits import commit_files
from darkroom.lake.schema import arrow_schema

CONFIG = SplitConfig()
NO_SESSION = cast(SparkSession, None)


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """Two pictures that look alike, torn apart by their manifest."""
    found = Tables(NO_SESSION, Lake(Workspace(tmp_path)), "signs", "r1")
    add(found, "a", 0, "train")
    add(found, "b", 1, "test")
    return found


def add(tables: Tables, image_id: str, perceptual: int, split: str) -> None:
    row: dict[str, Any] = dict.fromkeys(arrow_schema(c.IMAGES).names)
    row |= {c.IMAGE_ID: image_id, c.LABEL: "stop", c.METADATA: {c.SPLIT: split}}
    row |= {c.PERCEPTUAL_HASH: f"{perceptual:016x}", c.DIFFERENCE_HASH: "0" * 16}
    tables.lake.append_rows([row], "signs", c.IMAGES, run_id="r1", stage=Stage.INGEST)


def leaks(tables: Tables) -> set[frozenset[str]]:
    rows = tables.lake.rows("signs", c.SPLIT_LEAKS)
    return {frozenset((row[c.IMAGE_ID], row[c.OTHER_IMAGE_ID])) for row in rows}


def snapshots(tables: Tables) -> list[int | None]:
    return [tables.snapshot(table) for table in (c.SPLITS, c.SPLIT_LEAKS)]


def test_what_is_complete_is_not_written_again(tables: Tables) -> None:
    assert divide_images(tables, CONFIG) == Divided(added=2, moved=0, excluded=0, leaks=1)
    before = snapshots(tables)
    assert divide_images(tables, CONFIG) == Divided(added=0, moved=0, excluded=0, leaks=1)
    assert snapshots(tables) == before


@pytest.mark.parametrize("commits", [0, 1])
def test_a_division_that_died_is_completed(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    left = [commit_files] * commits

    def dying(*arguments: Any, **named: Any) -> Any:
        if not left:
            raise KeyboardInterrupt
        return left.pop()(*arguments, **named)

    monkeypatch.setattr(lake_module, "commit_files", dying)
    with pytest.raises(KeyboardInterrupt):
        divide_images(tables, CONFIG)
    monkeypatch.undo()
    assert divide_images(tables, CONFIG).leaks == 1
    assert leaks(tables) == {frozenset("ab")}
    splits = {row[c.IMAGE_ID]: row[c.SPLIT] for row in tables.lake.rows("signs", c.SPLITS)}
    assert splits == {"a": "train", "b": "test"}


def test_a_leak_leaves_with_its_image(tables: Tables) -> None:
    add(tables, "z", 0xFFFF << 40, "train")
    divide_images(tables, CONFIG)
    table = tables.lake.find("signs", c.IMAGES)
    assert table is not None
    table.delete("image_id == 'b'")
    assert divide_images(tables, CONFIG) == Divided(added=0, moved=0, excluded=0, leaks=0)
    assert leaks(tables) == set()
    # Its place is kept for the day when it comes back.
    assert len(tables.lake.rows("signs", c.SPLITS)) == 3
