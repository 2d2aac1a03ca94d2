"""Which images trained a model, from tables whose rows are known."""

from __future__ import annotations

import csv
import datetime as dt
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlflow.data
import pytest
from click.testing import CliRunner
from mlflow.data.dataset_source_registry import get_registered_sources

import lineage
from darkroom.contract import ConfigError, DataError, MissingInputError, Stage, Workspace
from darkroom.contract import columns as c
from darkroom.lake import Lake
from darkroom.registry.datasets import IcebergSource, dataset_input, know_source
from darkroom.registry.lineage import TrainedOn, record, trained_on
from darkroom.registry.tracking import Snapshot

NAME = "signs"
DIGEST = "c0ffee" * 10
OTHER = "bad" * 20
SCRIPT = Path(lineage.__file__)


def image(number: int, label: str | None, root: str | None = "/photos") -> dict[str, Any]:
    row: dict[str, Any] = {
        c.IMAGE_ID: f"id{number:02}",
        c.ROOT: root,
        c.PATH: f"{label}/{number}.png",
        c.LABEL: label,
        c.IMAGE: b"x",
        c.LENGTH: 1,
        c.MODIFIED_AT: dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        c.FORMAT: "PNG",
        c.MODE: "RGB",
        c.WIDTH: 8,
        c.HEIGHT: 8,
        c.BRIGHTNESS: 1.0,
        c.PERCEPTUAL_HASH: "0" * 16,
    }
    return row


def ingest(lake: Lake, images: Sequence[dict[str, Any]], train: Sequence[int]) -> dict[str, int]:
    splits = [
        {
            c.IMAGE_ID: row[c.IMAGE_ID],
            c.GROUP_ID: row[c.IMAGE_ID],
            c.SPLIT: c.TRAIN if int(row[c.IMAGE_ID][2:]) in train else c.TEST,
        }
        for row in images
    ]
    found = {}
    for table, rows in ((c.IMAGES, images), (c.SPLITS, splits)):
        commit = lake.append_rows(rows, NAME, table, run_id="r", stage=Stage.INGEST)
        assert commit.snapshot_id is not None
        found[table] = commit.snapshot_id
    return found


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Version 1 was trained on four images, version 2 on a fifth as well."""
    place = Workspace(tmp_path_factory.mktemp("lineage"))
    lake = Lake(place)
    labels = ["stop", "stop", "yield", "stop", "yield", "yield"]
    images = [image(n, label) for n, label in enumerate(labels)]
    first = ingest(lake, images, train=[0, 1, 2, 4])
    record(lake, NAME, "1", DIGEST, first)
    late = [image(90, "\x1b[2Jnew", root=None), image(91, "stop")]
    second = ingest(lake, late, train=[90])
    record(lake, NAME, "2", OTHER, second)
    return place


def test_a_version_leads_to_its_own_images_whatever_came_later(workspace: Workspace) -> None:
    lake = Lake(workspace)
    found = trained_on(lake, NAME, "1")
    assert (found.classes, found.total, found.model) == ({"stop": 2, "yield": 2}, 4, DIGEST[:12])
    assert list(found.images())[2] == TrainedOn("id02", "yield", "/photos", "yield/2.png")
    later = trained_on(lake, NAME, "2")
    assert later.total == 5
    assert later.snapshots != found.snapshots


def test_a_version_keeps_its_first_snapshots(workspace: Workspace) -> None:
    lake = Lake(workspace)
    before = trained_on(lake, NAME, "1").snapshots
    record(lake, NAME, "1", DIGEST, trained_on(lake, NAME, "2").snapshots)
    assert trained_on(lake, NAME, "1").snapshots == before


def test_without_its_snapshots_a_version_is_not_recorded(workspace: Workspace) -> None:
    with pytest.raises(DataError) as error:
        record(Lake(workspace), NAME, "3", DIGEST, {c.IMAGES: 5, c.SPLITS: 6})
    assert str(error.value) == (
        "signs.images has no snapshot 5 any more, which version 3 was trained on: train again"
    )


def test_an_unknown_version_is_answered_with_those_that_there_are(workspace: Workspace) -> None:
    for pipeline, known in ((NAME, "there are 1, 2"), ("other", "no version has left any")):
        with pytest.raises(MissingInputError) as error:
            trained_on(Lake(workspace), pipeline, "7")
        assert str(error.value) == (
            f"no snapshot is tagged as what trained version 7 of {pipeline}: {known}"
        )


def test_a_number_that_was_given_twice_needs_the_model(tmp_path: Path) -> None:
    lake = Lake(Workspace(tmp_path))
    snapshots = ingest(lake, [image(0, "a")], train=[0])
    record(lake, NAME, "1", DIGEST, snapshots)
    record(lake, NAME, "1", OTHER, snapshots)
    with pytest.raises(MissingInputError) as error:
        trained_on(lake, NAME, "1")
    assert str(error.value) == (
        "several models were version 1 of signs, badbadbadbad and c0ffeec0ffee: say which one "
        "with --model"
    )
    assert trained_on(lake, NAME, "1", "bad").model == OTHER[:12]


def ask(workspace: Workspace, *arguments: str) -> Any:
    given = ["--pipeline", NAME, "--workspace", str(workspace.root), *arguments]
    return CliRunner().invoke(lineage.main, given)


def test_the_command_prints_classes_snapshots_and_the_first_images(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lineage, "FIRST", 2)
    monkeypatch.setattr(lineage, "DIGITS", 3)
    lines = ask(workspace, "--version", "2").output.splitlines()
    snapshots = trained_on(Lake(workspace), NAME, "2").snapshots
    assert lines[0] == "signs version 2 (model badbadbadbad) was trained on 5 images"
    for line, table in zip(lines[1:3], ("images", "splits"), strict=True):
        when = r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC"
        assert re.fullmatch(rf"  signs\.{table}, snapshot {snapshots[table]} of {when}", line)
    assert lines[3:] == [
        "          1  ?[2Jnew",
        "          2  stop",
        "          2  yield",
        "2 of 5 images; --all lists them all, OUTPUT=images.csv writes them:",
        "  id0  /photos/stop/0.png",
        "  id0  /photos/stop/1.png",
    ]
    assert max(len(line) for line in lines) <= 80
    everything = ask(workspace, "--version", "2", "--all").output.splitlines()
    assert everything[6] == "5 images:"
    assert everything[-1] == "  id90  ?[2Jnew/90.png"


def test_all_paths_go_to_a_file(workspace: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "images.csv"
    answer = ask(workspace, "--version", "1", "--output", str(file))
    assert " ".join(answer.output.split()).endswith(f"all 4 images: {file}")
    with file.open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows[:2] == [
        ["image_id", "label", "root", "path"],
        ["id00", "stop", "/photos", "stop/0.png"],
    ]
    assert len(rows) == 5
    with pytest.raises(ConfigError) as error:
        trained_on(Lake(workspace), NAME, "1").write(tmp_path)
    assert str(error.value) == (
        f"--output = '{tmp_path}': it cannot be written (Is a directory): give another file"
    )


def test_a_mistake_is_one_line_and_an_exit_code(workspace: Workspace) -> None:
    command = [sys.executable, str(SCRIPT), "--pipeline", NAME, "--version", "9"]
    done = subprocess.run(
        [*command, "--workspace", str(workspace.root)],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(SCRIPT.parent)},
    )
    assert done.returncode == 5
    assert done.stderr == (
        "error: no snapshot is tagged as what trained version 9 of signs: there are 1, 2\n"
    )


def test_a_snapshot_is_a_dataset_that_mlflow_opens_again(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshots = trained_on(Lake(workspace), NAME, "1").snapshots
    read = dataset_input(Snapshot(f"{NAME}.splits", snapshots[c.SPLITS]), "training")
    assert (read.dataset.name, read.dataset.digest) == ("signs.splits", str(snapshots[c.SPLITS]))
    assert {(tag.key, tag.value) for tag in read.tags} == {("mlflow.data.context", "training")}
    columns = [one["name"] for one in json.loads(read.dataset.schema or "")["mlflow_colspec"]]
    assert columns[:3] == ["image_id", "group_id", "split"]
    know_source()
    know_source()
    sources: list[Any] = list(get_registered_sources())
    assert sources.count(IcebergSource) == 1
    source = mlflow.data.get_source(read)
    assert source == IcebergSource("signs.splits", snapshots[c.SPLITS])
    monkeypatch.setenv("DARKROOM_WORKSPACE", str(workspace.root))
    assert source.load().to_arrow().num_rows == 6
    with pytest.raises(MissingInputError) as error:
        IcebergSource("signs.images", 5).load()
    assert str(error.value) == (
        f"{workspace.root} has no snapshot 5 of signs.images: it has expired, or "
        "DARKROOM_WORKSPACE names another workspace"
    )
