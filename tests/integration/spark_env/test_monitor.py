"""The stage monitor on real tables: pictures of two colours, and later of brighter ones."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pyspark.sql import SparkSession

from darkroom.contract import (
    ConfigError,
    DataError,
    MonitoringConfig,
    PipelineConfig,
    Stage,
    StageResult,
    Workspace,
)
from darkroom.lake import Lake
from darkroom.registry.lineage import record
from darkroom.sql.deployments import Deployment, publish
from darkroom.stages.monitor import OPTIONS, inputs, monitor, nothing_to_do, still_there
from darkroom.stages.run import StageRun
from tests.integration.spark_env.colour_model import (
    LABELS,
    colour_package,
    config,
    sharpness_of,
)

pytest_plugins = ("tests.integration.spark_env.trained_house",)
pytestmark = pytest.mark.integration

PIPELINE = replace(config("monitored"), monitoring=MonitoringConfig(min_images=20, window="7 days"))
MONDAY = dt.datetime(2025, 11, 3, tzinfo=dt.UTC)
SIDE = 8
HELD_OUT = 60
WINDOW_IMAGES = 40


def week(number: int) -> dt.datetime:
    """When it begins."""
    return MONDAY + dt.timedelta(weeks=number)


@dataclass(frozen=True)
class Made:
    """A picture of about one colour, and what is known of it."""

    data: bytes
    label: str
    brightness: float
    probability: float

    @classmethod
    def of(cls, label: str, random: np.random.Generator, brighter: int) -> Made:
        colour = np.full(3, 20 + brighter)
        colour[LABELS.index(label)] = 180
        colour += random.integers(-15, 16, 3)
        pixels = np.clip(colour + random.integers(-3, 4, (SIDE, SIDE, 1)), 0, 255).astype(np.uint8)
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        mean = pixels.mean(axis=(0, 1))
        scores = np.exp(sharpness_of(1) * mean)
        luma = float(mean @ [0.299, 0.587, 0.114])
        return cls(stream.getvalue(), label, luma, float(scores.max() / scores.sum()))

    @property
    def image_id(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    def row(self, path: str) -> dict[str, Any]:
        return {
            "image_id": self.image_id,
            "path": path,
            "label": None,
            "image": self.data,
            "length": len(self.data),
            "modified_at": MONDAY,
            "format": "PNG",
            "mode": "RGB",
            "width": SIDE,
            "height": SIDE,
            "brightness": self.brightness,
            "perceptual_hash": "0" * 16,
        }


@dataclass
class Table:
    """A pipeline with a deployed model whose images are written as ingestion and scoring do."""

    spark: SparkSession
    workspace: Workspace
    backbone: Path
    config: PipelineConfig = PIPELINE
    digest: str = ""
    runs: int = 0

    @property
    def lake(self) -> Lake:
        return Lake(self.workspace)

    def add(
        self, run_id: str, count: int, *, brighter: int = 0, rejected: int = 0, known: bool = False
    ) -> list[Made]:
        """Writes what an ingestion would; the true labels only where they are known."""
        random = np.random.default_rng(len(run_id) * 100 + count + brighter)
        made = [Made.of(LABELS[number % 2], random, brighter) for number in range(count)]
        rows = [
            {**one.row(f"{run_id}/{number}.png"), "label": one.label if known else None}
            for number, one in enumerate(made)
        ]
        name = self.config.name
        self.lake.append_rows(rows, name, "images", run_id=run_id, stage=Stage.INGEST)
        refused = [_refused_row(f"{run_id}/{number}.jpg") for number in range(rejected)]
        self.lake.append_rows(refused, name, "rejected_images", run_id=run_id, stage=Stage.INGEST)
        return made

    def deploy(self) -> None:
        """A model whose training snapshot is what there is now."""
        package = colour_package(self.workspace.models)
        described = {**package.metadata, "backbone": str(self.backbone)}
        package.metadata_file.write_text(json.dumps(described))
        snapshots = {
            table: self.lake.snapshot(self.config.name, table) for table in ("images", "splits")
        }
        record(self.lake, self.config.name, "1", package.digest, snapshots)  # type: ignore[arg-type]
        self.digest = package.digest
        deployment = Deployment(
            function=self.config.function,
            pipeline=self.config.name,
            view=self.config.view,
            model_name=self.config.name,
            model_version="1",
            model_digest=package.digest,
            model_path=str(package.folder.relative_to(self.workspace.root)),
            labels=LABELS,
            deployed_at=MONDAY,
            run_id="d",
        )
        assert publish(self.lake, deployment)

    def split(self, images: Sequence[Made], name: str) -> None:
        rows = [
            {"image_id": one.image_id, "group_id": one.image_id, "split": name} for one in images
        ]
        self.lake.append_rows(rows, self.config.name, "splits", run_id="t", stage=Stage.INGEST)

    def score(self, images: Sequence[Made], at: dt.datetime) -> None:
        rows = [
            {
                "image_id": one.image_id,
                "model_name": self.config.name,
                "model_version": "1",
                "model_digest": self.digest,
                "label": one.label,
                "probability": one.probability,
                "scored_at": at,
            }
            for one in images
        ]
        self.lake.append_rows(rows, self.config.name, "predictions", run_id="s", stage=Stage.SCORE)

    def run(self, *, force: bool = False, **options: str) -> StageRun:
        self.runs += 1
        folder = self.workspace.run(self.config.name, f"run {self.runs}")
        return StageRun(folder=folder, options={**OPTIONS, **options}, force=force)

    def monitor(self, until: dt.datetime, **more: Any) -> StageResult:
        run = self.run(until=until.isoformat(), **more)
        return monitor(self.spark, self.config, self.workspace, run)


def _refused_row(path: str) -> dict[str, Any]:
    return {
        "path": path,
        "label": None,
        "reason": "TRUNCATED",
        "detail": "ends early",
        "image_id": None,
        "length": 1,
        "modified_at": MONDAY,
    }


@pytest.fixture
def table(spark: SparkSession, backbone_file: Path, tmp_path: Path) -> Table:
    """A deployed model, and two weeks since: the second one is brighter."""
    made = Table(spark, Workspace(tmp_path), backbone_file)
    made.split(made.add("train", 10, known=True), "train")
    held_out = made.add("held out", HELD_OUT, rejected=2, known=True)
    made.split(held_out, "test")
    made.deploy()
    made.score(held_out[:20], MONDAY)
    for number, brighter in enumerate((0, 60)):
        images = made.add(f"week {number}", WINDOW_IMAGES, brighter=brighter)
        made.score(images, week(number) + dt.timedelta(hours=30))
    return made


def test_drift_that_persists_is_an_alarm_and_a_run_again_counts_once(table: Table) -> None:
    second = table.monitor(week(2))

    assert (second.outputs["judged"], second.outputs["judgement"]) == (2, "drift")
    assert {"confidence", "features", "brightness"} <= set(second.outputs["drifted"])
    assert second.outputs["alarm"] is False
    again = table.monitor(week(2))
    assert again.summary == "nothing new since the window 2025-11-10 to 2025-11-17 was judged"
    assert again.outputs == {"judged": 0}
    assert table.monitor(week(2), force=True).outputs["alarm"] is False

    images = table.add("week two", WINDOW_IMAGES, brighter=60, rejected=30)
    table.score(images, week(2))
    third = table.monitor(week(3))

    assert (third.outputs["judged"], third.outputs["alarm"]) == (1, True)
    assert "rejected files" in third.outputs["drifted"]
    assert third.outputs["reason"].endswith(
        " drifted in 2 of the last 3 windows, the latest one (2025-11-17 to 2025-11-24) included"
    )
    assert third.summary.startswith("DRIFT: ")
    page = (table.workspace.root / (third.report or "")).read_text()
    assert "Drift persists" in page
    assert page.count("<figure>") == 24
    assert "week two/" in page
    assert "held out/" in page
    history = table.workspace.root / third.outputs["history"]
    assert len(list(history.iterdir())) == 3
    # What the command looks at to spare a Spark session.
    same = [inputs(PIPELINE, table.workspace, table.run(until=week(3).isoformat()))] * 2
    assert same[0] == inputs(PIPELINE, table.workspace, table.run(until=week(3).isoformat()))
    assert same[0] != inputs(PIPELINE, table.workspace, table.run(until=week(4).isoformat()))
    assert still_there(third, PIPELINE, table.workspace)
    (table.workspace.root / (third.report or "")).unlink()
    assert not still_there(third, PIPELINE, table.workspace)


def test_a_stable_window_and_its_accuracy_when_labels_come_later(table: Table) -> None:
    first = table.monitor(week(1))

    assert first.outputs["judgement"] == "stable"
    assert (first.outputs["judged"], first.outputs["images"]) == (1, WINDOW_IMAGES)
    assert first.outputs["window"] == "2025-11-03 to 2025-11-10"
    assert first.summary == (
        "no alarm: the latest window (2025-11-03 to 2025-11-10): nothing drifted; 40 images with "
        "monitored version 1"
    )
    names = [signal["name"] for signal in first.outputs["signals"]]
    assert names == [
        "predicted labels",
        "confidence",
        "features",
        "brightness",
        "size",
        "rejected files",
    ]
    assert first.outputs["accuracy"] is None

    file = table.workspace.root / "labels.csv"
    lines = [
        f"week 0/{number}.png,{LABELS[(number + (number < 10)) % 2]}"
        for number in range(WINDOW_IMAGES)
    ]
    file.write_text("\n".join(["path,label", *lines]))
    settings = replace(PIPELINE.monitoring, labels=str(file))
    table.config = replace(PIPELINE, monitoring=settings)

    later = table.monitor(week(1))

    assert later.outputs["labelled"] == WINDOW_IMAGES
    assert later.outputs["accuracy"]["value"] == 0.75
    assert later.outputs["accuracy"]["reference"] == 1.0
    assert later.outputs["drifted"] == ["live accuracy"]

    file.write_text("\n".join(["path,label", *lines, "week 0/1.png,blue"]))
    with pytest.raises(DataError) as caught:
        table.monitor(week(1))
    assert str(caught.value) == (
        f"monitoring.labels: {file} calls week 0/1.png blue and red: remove one"
    )
    file.write_text("file,class\na,b\n")
    with pytest.raises(DataError) as caught:
        table.monitor(week(1))
    assert str(caught.value) == (
        f"monitoring.labels: {file} has the columns file, class: it needs image_id or path, and "
        "label"
    )
    file.unlink()
    with pytest.raises(ConfigError) as missing:
        inputs(table.config, table.workspace, table.run())
    assert str(missing.value) == (
        f"monitoring.labels = '{file}': there is no such file: put it there or correct the path"
    )


@pytest.mark.long
def test_windows_of_images_are_judged_when_they_are_full(table: Table) -> None:
    settings = replace(PIPELINE.monitoring, window="30 images")
    table.config = replace(PIPELINE, monitoring=settings)

    full = table.monitor(week(9))
    more = table.monitor(week(9), unfinished="true")

    assert (full.outputs["judged"], full.outputs["window_number"]) == (2, 1)
    assert (more.outputs["window_number"], more.outputs["images"]) == (2, 20)
    assert more.outputs["alarm"] is True


def test_a_window_with_too_few_images_is_not_judged(table: Table) -> None:
    settings = replace(PIPELINE.monitoring, min_images=50)
    table.config = replace(PIPELINE, monitoring=settings)

    few = table.monitor(week(1))

    assert few.outputs["judgement"] == "too few images"
    assert few.outputs["reason"] == (
        "the latest window (2025-11-03 to 2025-11-10): 40 images, it takes 50"
    )
    assert few.report is not None


def test_without_anything_to_judge_the_reason_is_said(table: Table) -> None:
    early = table.monitor(MONDAY)
    running = table.monitor(week(0) + dt.timedelta(days=2))

    assert early.summary == (
        "nothing to monitor: no image that monitored got since its model was trained has a "
        "prediction of that model"
    )
    assert running.summary == (
        "nothing to judge yet: no window of 7 days is over, the first one has 40 images"
    )
    assert still_there(running, PIPELINE, table.workspace)


def test_a_run_without_model_or_predictions_ends_before_spark(tmp_path: Path) -> None:
    bare = Table(None, Workspace(tmp_path), tmp_path / "unused.keras")  # type: ignore[arg-type]
    nothing = nothing_to_do(PIPELINE, bare.workspace, bare.run())
    bare.split(bare.add("train", 4), "test")
    bare.deploy()
    unscored = nothing_to_do(PIPELINE, bare.workspace, bare.run())

    assert nothing is not None
    assert unscored is not None
    assert (nothing.status, nothing.outputs) == ("unchanged", {"judged": 0})
    assert nothing.summary == (
        "nothing to monitor: function monitored_function is not deployed; approve a candidate of "
        "monitored first"
    )
    assert unscored.summary == (
        "nothing to monitor: no image of monitored has a prediction; run monitored_scoring first"
    )


def test_the_command_needs_no_spark_to_say_that_nothing_is_deployed(tmp_path: Path) -> None:
    file = tmp_path / "signs.yaml"
    file.write_text(
        "{name: signs, function: see, view: photos, source: {path: photos}, "
        "gate: {thresholds: {accuracy: 0.9}}}"
    )
    script = Path(__file__).parents[3] / "spark_jobs" / "monitor_drift.py"
    arguments = ["--config", str(file), "--workspace", str(tmp_path / "w"), "--run-id", "r"]

    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        # Without Java no session can start.
        env={**os.environ, "JAVA_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "monitor: nothing to monitor: function see is not deployed; approve a candidate of signs "
        "first ("
    )
