"""Tables as an ingestion leaves them, written row by row, so that what is in them is known."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pyspark.sql import SparkSession

from darkroom.contract import (
    GateConfig,
    PipelineConfig,
    SourceConfig,
    Stage,
    StageResult,
    StageStatus,
    Workspace,
)
from darkroom.contract import columns as c
from darkroom.lake import Lake
from darkroom.stages import validate as stage
from darkroom.stages.run import StageRun

NAME = "signs"
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def picture(shade: int, side: int = 16) -> bytes:
    """A grey picture that no other shade shares; PNG."""
    stream = io.BytesIO()
    Image.new("RGB", (side, side), (shade, shade, shade)).save(stream, "PNG")
    return stream.getvalue()


def image_row(path: str, data: bytes, **changes: Any) -> dict[str, Any]:
    """A row of the images table; its class is its folder."""
    opened = Image.open(io.BytesIO(data))
    side = opened.size[0]
    row = {
        c.IMAGE_ID: hashlib.sha256(data).hexdigest(),
        c.ROOT: "/photos",
        c.PATH: path,
        c.LABEL: path.split("/")[0],
        c.IMAGE: data,
        c.LENGTH: len(data),
        c.MODIFIED_AT: NOW,
        c.FORMAT: "PNG",
        c.MODE: "RGB",
        c.WIDTH: side,
        c.HEIGHT: side,
        c.BRIGHTNESS: float(np.asarray(opened.convert("L")).mean()),
        c.PERCEPTUAL_HASH: "0" * 16,
    }
    return row | changes


def rejected_row(
    root: Path | str, path: str, reason: str, data: bytes = b"", **more: Any
) -> dict[str, Any]:
    """A row of the rejected files."""
    return {
        c.ROOT: str(root),
        c.PATH: path,
        c.LABEL: path.split("/")[0],
        c.REASON: reason,
        c.DETAIL: f"why {path}",
        c.IMAGE_ID: None,
        c.LENGTH: len(data),
        c.MODIFIED_AT: NOW,
        **more,
    }


@dataclass
class House:
    """One pipeline in a workspace of its own."""

    spark: SparkSession
    root: Path
    config: PipelineConfig = field(
        default_factory=lambda: PipelineConfig(
            name=NAME,
            function="signs_function",
            view="signs_view",
            source=SourceConfig(path="photos"),
            gate=GateConfig(thresholds={"accuracy": 0.5}),
        )
    )

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.root)

    @property
    def lake(self) -> Lake:
        return Lake(self.workspace)

    def run(self, run_id: str) -> StageRun:
        return StageRun(folder=self.workspace.run(NAME, run_id))

    def append(self, table: str, rows: Sequence[Mapping[str, Any]], run_id: str = "r1") -> int:
        commit = self.lake.append_rows(rows, NAME, table, run_id=run_id, stage=Stage.INGEST)
        assert commit.snapshot_id is not None
        return commit.snapshot_id

    def ingested(
        self,
        images: Sequence[Mapping[str, Any]],
        splits: Mapping[str, str],
        run_id: str = "r1",
        **outputs: Any,
    ) -> Mapping[str, Any]:
        """Adds images and their splits, and leaves the result of an ingestion."""
        rows = [
            {c.IMAGE_ID: one, c.GROUP_ID: one, c.SPLIT: split, **_HASHES}
            for one, split in splits.items()
        ]
        snapshots = {
            "images_snapshot": self.append(c.IMAGES, images, run_id),
            "splits_snapshot": self.append(c.SPLITS, rows, run_id),
        }
        given = {"found": len(images), "refused": {}, "split_leaks": 0, **snapshots, **outputs}
        result = StageResult(stage=Stage.INGEST, status=StageStatus.DONE, summary="", outputs=given)
        self.run(run_id).folder.write(result)
        return given

    def validate(self, run_id: str = "r1") -> StageResult:
        return stage.validate(self.spark, self.config, self.workspace, self.run(run_id))

    def page(self, result: StageResult) -> str:
        assert result.report is not None
        return (self.workspace.root / result.report).read_text()


_HASHES = {c.PERCEPTUAL_HASH: "0" * 16, c.DIFFERENCE_HASH: "0" * 16}


def shades(label: str, first: int, count: int) -> list[dict[str, Any]]:
    """So many images of a class."""
    return [image_row(f"{label}/{n:03}.png", picture(first + n)) for n in range(count)]


def halved(images: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Every second image is a test image."""
    ids = dict.fromkeys(row[c.IMAGE_ID] for row in images)
    return {one: (c.TEST if place % 2 else c.TRAIN) for place, one in enumerate(ids)}
