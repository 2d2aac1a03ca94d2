"""The stage score: every image once, or once per version on request."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from darkroom.contract import ConfigError, ConflictError, Stage, StageResult, Workspace
from darkroom.lake import Lake
from darkroom.ml.engines import prepare
from darkroom.ml.recognition.recognizer import detailing
from darkroom.sql.deployments import Deployment, publish
from darkroom.stages import predicting
from darkroom.stages import score as score_stage
from darkroom.stages.run import StageRun
from darkroom.stages.score import inputs, score, still_there
from tests.integration.spark_env.colour_model import (
    LABELS,
    colour_package,
    config,
    image_row,
    picture,
    probability_of_best,
)

pytestmark = pytest.mark.integration

CONFIG = config("scored")


@dataclass
class Table:
    """A pipeline with images and deployed versions, and how many pictures were opened so far."""

    spark: SparkSession
    workspace: Workspace
    calls: Path
    runs: list[StageResult] = field(default_factory=list)

    @property
    def lake(self) -> Lake:
        return Lake(self.workspace)

    def deploy(self, version: int) -> None:
        package = colour_package(self.workspace.models, version)
        prepare(package.model_file, self.workspace.engines)
        deployment = Deployment(
            function=CONFIG.function,
            pipeline=CONFIG.name,
            view=CONFIG.view,
            model_name=CONFIG.name,
            model_version=str(version),
            model_digest=package.digest,
            model_path=str(package.folder.relative_to(self.workspace.root)),
            labels=LABELS,
            deployed_at=dt.datetime.now(dt.UTC),
            run_id="d",
        )
        assert publish(self.lake, deployment)

    def add(self, **images: bytes) -> None:
        rows = [image_row(path, data) for path, data in images.items()]
        self.lake.append_rows(rows, CONFIG.name, "images", run_id="i", stage=Stage.INGEST)

    def run(self, **options: str) -> StageRun:
        folder = self.workspace.run(CONFIG.name, f"run {len(self.runs)}")
        return StageRun(folder=folder, options={**score_stage.OPTIONS, **options})

    def score(self, **options: str) -> StageResult:
        self.runs.append(score(self.spark, CONFIG, self.workspace, self.run(**options)))
        return self.runs[-1]

    def opened(self) -> int:
        return len(self.calls.read_text())

    def predictions(self) -> list[dict[str, Any]]:
        rows = self.lake.rows(CONFIG.name, "predictions")
        return sorted(rows, key=lambda row: (row["model_version"], row["label"] or ""))


@pytest.fixture
def table(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    calls = tmp_path / "calls"
    calls.touch()

    def counting(*arguments: Any, **more: Any) -> Any:
        real = detailing(*arguments, **more)

        def counted(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
            for batch in batches:
                with calls.open("a") as stream:
                    stream.write("x" * len(batch))
                yield batch

        return lambda batches: real(counted(batches))

    monkeypatch.setattr(predicting, "detailing", counting)
    made = Table(spark, Workspace(tmp_path / "work"), calls)
    made.add(red=picture("red", "PNG"), blue=picture("blue", "PNG"), broken=b"no picture")
    return made


def test_each_image_is_scored_once_and_an_unchanged_table_is_not_opened(table: Table) -> None:
    table.deploy(1)
    before = inputs(CONFIG, table.workspace, table.run())

    first = table.score()

    counts = {name: first.outputs[name] for name in ("scored", "unusable", "known", "files")}
    assert counts == {"scored": 3, "unusable": 1, "known": 0, "files": 1}
    assert first.summary.startswith("3 images scored with scored version 1 in ")
    assert ", 1 of them unusable: " in first.summary
    assert first.outputs["core_seconds"] > 0
    broken, blue, red = table.predictions()
    assert (blue["label"], red["label"]) == ("blue", "red")
    assert red["probability"] == pytest.approx(probability_of_best(1), abs=1e-5)
    assert (red["model_name"], red["model_version"], red["run_id"]) == ("scored", "1", "run 0")
    assert dt.datetime.now(dt.UTC) - red["scored_at"] < dt.timedelta(minutes=5)
    assert (red["error"], broken["label"], broken["probability"]) == (None, None, None)
    assert "NOT_AN_IMAGE" in broken["error"]
    assert table.opened() == 3
    # The command returns the earlier result without a Spark session.
    assert inputs(CONFIG, table.workspace, table.run()) == before
    assert still_there(first, CONFIG, table.workspace)

    second = table.score()

    assert table.opened() == 3
    assert second.summary == "nothing new for scored version 1: all 3 images have predictions"
    assert second.outputs["predictions_snapshot"] == first.outputs["predictions_snapshot"]

    table.add(green=picture("green", "PNG"))
    third = table.score()

    assert table.opened() == 4
    assert (third.outputs["scored"], third.outputs["files"], third.outputs["known"]) == (1, 1, 3)
    assert inputs(CONFIG, table.workspace, table.run()) != before


def test_a_new_version_scores_old_images_on_request_only(table: Table) -> None:
    table.deploy(1)
    table.score()
    table.deploy(2)

    assert table.score().outputs["scored"] == 0
    backfilled = table.score(backfill="true")

    assert (backfilled.outputs["scored"], backfilled.outputs["version"]) == (3, "2")
    assert table.score(backfill="true").outputs["scored"] == 0
    found = [(row["model_version"], row["label"]) for row in table.predictions()]
    assert found == [(version, label) for version in "12" for label in (None, "blue", "red")]


@pytest.mark.long
def test_a_killed_run_loses_what_it_had_not_committed_and_nothing_else(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.add(green=picture("green", "PNG"))
    table.deploy(1)
    real = Lake.change
    commits: list[Any] = []

    def killed(*arguments: Any, **more: Any) -> Any:
        if commits:
            raise KeyboardInterrupt
        commits.append(real(*arguments, **more))
        return commits[-1]

    monkeypatch.setattr(predicting, "COMMIT_IMAGES", 1)
    monkeypatch.setattr(Lake, "change", killed)
    with pytest.raises(KeyboardInterrupt):
        table.score()
    monkeypatch.setattr(Lake, "change", real)

    committed = table.lake.row_count(CONFIG.name, "predictions")
    again = table.score()

    assert committed in (1, 3)
    assert again.outputs["scored"] == 4 - committed
    ids = [row["image_id"] for row in table.predictions()]
    assert len(ids) == len(set(ids)) == 4


@pytest.mark.long
def test_of_two_runs_at_once_one_has_to_try_again(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.deploy(1)
    real = prepare

    def overtaken(*arguments: Any) -> Any:
        monkeypatch.setattr(score_stage, "prepare", real)
        table.score()
        return real(*arguments)

    monkeypatch.setattr(score_stage, "prepare", overtaken)
    with pytest.raises(ConflictError, match="predictions was changed by another process"):
        table.score()

    assert len(table.predictions()) == 3


def test_a_run_of_a_data_interval_sees_the_images_of_its_end(table: Table) -> None:
    table.deploy(1)
    between = dt.datetime.now(dt.UTC).isoformat()
    table.add(green=picture("green", "PNG"))

    early = table.score(until="2000-01-01T00:00:00+00:00")
    interval = table.score(until=between)
    now = table.score()

    assert [run.outputs["scored"] for run in (early, interval, now)] == [0, 3, 1]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"until": "yesterday"}, "--until = 'yesterday': give now, or a moment with a time zone "),
        (
            {"until": "2026-01-01"},
            "--until = '2026-01-01': give now, or a moment with a time zone ",
        ),
        ({"backfill": "yes"}, "--backfill = 'yes': give true or false"),
    ],
)
def test_an_option_that_means_nothing_is_refused(
    table: Table, options: dict[str, str], text: str
) -> None:
    table.deploy(1)

    with pytest.raises(ConfigError) as caught:
        table.score(**options)

    assert str(caught.value).startswith(text)


def test_without_a_deployed_model_nothing_is_scored(table: Table) -> None:
    result = table.score()

    assert result.status == "unchanged"
    assert result.summary == (
        "nothing to score with: function scored_function is not deployed; approve a candidate of "
        "scored first"
    )
    assert inputs(CONFIG, table.workspace, table.run()) is None
