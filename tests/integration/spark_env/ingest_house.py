"""Sources, ingestions of them, and what these leave in the tables."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image
from pyspark.sql import SparkSession

from darkroom.contract import GateConfig, PipelineConfig, SourceConfig, StageResult, Workspace
from darkroom.contract import columns as c
from darkroom.lake import Lake
from darkroom.stages import ingest as stage
from darkroom.stages.run import StageRun, input_key
from tests.unit.spark_env.pictures import encode, photo, photos, write_tree

GOOD = {**photos("a", 6, 100), **photos("b", 5, 200)}
LARGE = photo(7, side=60)
DEFECTS = {
    "a/x_copy.png": GOOD["a/000.png"],
    "a/x_empty.jpg": b"",
    "a/x_text.jpg": b"words",
    "b/x_cut.png": LARGE[:4000],
    "b/x_damaged.png": LARGE[:3000] + bytes(50) + LARGE[3050:],
    "b/x_huge.png": encode(Image.new("1", (10_000, 10_000))),
    "b/x_scan.pdf": b"%PDF-1.7\n",
    "b/x_tiny.png": encode(Image.new("RGB", (4, 4))),
    "a/x_both.png": photo(300),
    "b/x_both.png": photo(300),
}


class Place:
    """A source folder, a workspace, and what an ingestion makes of them."""

    def __init__(self, spark: SparkSession, root: Path, files: Mapping[str, bytes]) -> None:
        self.spark = spark
        self.source = write_tree(root / "source", files)
        self.workspace = Workspace(root / "workspace")
        self.lake = Lake(self.workspace)
        self.config = PipelineConfig(
            name="signs",
            function="signs_function",
            view="signs_view",
            source=SourceConfig(path=str(self.source)),
            gate=GateConfig(thresholds={"accuracy": 0.5}),
        )

    def run(self, run_id: str) -> StageRun:
        return StageRun(folder=self.workspace.run("signs", run_id))

    def ingest(self, run_id: str = "r1") -> StageResult:
        return stage.ingest(self.spark, self.config, self.workspace, self.run(run_id))

    def key(self) -> str:
        return key_of(self.config, self.workspace, self.run("any"))

    def rows(self, table: str, *columns: str) -> list[tuple[Any, ...]]:
        return sorted(
            tuple(row[name] for name in columns) for row in self.lake.rows("signs", table)
        )


def key_of(config: PipelineConfig, workspace: Workspace, run: StageRun) -> str:
    known = stage.inputs(config, workspace, run)
    assert known is not None
    return input_key(known)


def counts(result: StageResult) -> tuple[int, ...]:
    return tuple(result.outputs[n] for n in ("found", "accepted", "rejected", "unchanged"))


Rows = dict[str, list[tuple[Any, ...]]]

WHAT_MATTERS = {
    c.IMAGES: (c.IMAGE_ID, c.PATH, c.LABEL),
    c.REJECTED_IMAGES: (c.PATH, c.REASON, c.DETAIL),
    c.SPLITS: (c.IMAGE_ID, c.SPLIT),
    c.SPLIT_LEAKS: (c.IMAGE_ID, c.OTHER_IMAGE_ID, c.DISTANCE),
}


def tables(place: Place) -> Rows:
    return {name: place.rows(name, *columns) for name, columns in WHAT_MATTERS.items()}


Lines = dict[str, tuple[str, str, str]]
"""Label, split and camera of each path of a manifest."""


def write_manifest(file: Path, lines: Lines) -> None:
    rows = [f"{path},{','.join(words)}" for path, words in lines.items()]
    file.write_text("\n".join(["path,label,split,camera", *rows]) + "\n")


def with_manifest(spark: SparkSession, root: Path, files: dict[str, bytes], lines: Lines) -> Place:
    place = Place(spark, root, files)
    write_manifest(place.source / "m.csv", lines)
    return from_source(place, path=str(place.source / "m.csv"))


def from_source(place: Place, **source: Any) -> Place:
    place.config = replace(place.config, source=SourceConfig(**source))
    return place


def image_id(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def label_of(place: Place) -> dict[str, str | None]:
    return {row[c.PATH]: row[c.LABEL] for row in place.lake.rows("signs", c.IMAGES)}


def reasons(place: Place) -> dict[str, str]:
    return {row[c.PATH]: row[c.REASON] for row in place.lake.rows("signs", c.REJECTED_IMAGES)}


def refusals(result: StageResult) -> dict[str, tuple[str, str]]:
    listed = result.outputs["rejected_files"]
    return {one["path"]: (one["reason"], one["detail"]) for one in listed}


def numbers(result: StageResult, *names: str) -> tuple[int, ...]:
    return tuple(result.outputs[name] for name in names)


PICTURES = {f"{n}.png": photo(n) for n in range(12)}
