"""The whole chain through Airflow, MLflow and Spark, on 160 photographs."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import pytest

from local_stack.layout import PROJECT
from tests.e2e.conftest import IMAGES, Place

pytestmark = pytest.mark.e2e

REJECTED = {
    "DUPLICATE": 1,
    "EMPTY": 1,
    "LABEL_CONFLICT": 2,
    "NOT_AN_IMAGE": 1,
    "TRUNCATED": 1,
}


def test_an_approved_model_answers_in_sql(finished: Place) -> None:
    output = (finished.root / "first_output.txt").read_text()
    assert "May version 1 of signs become champion?" in output
    assert "SELECT path, `recognize_signs`(image) AS objects FROM" in output
    assert [who for who, _, _ in finished.tables("signs")["ledger"]] == ["demo"]


def test_every_file_is_accepted_or_rejected_with_a_reason(finished: Place) -> None:
    tables = finished.tables("signs")
    reasons = [reason for _, reason in tables["rejected_images"]]
    assert {reason: reasons.count(reason) for reason in set(reasons)} == REJECTED
    assert len(tables["images"]) + len(reasons) == IMAGES + 11
    assert len(tables["splits"]) == len(tables["images"])
    assert len(tables["features"]) == len(tables["images"])


def test_a_version_leads_to_the_very_images_that_trained_it(
    finished: Place, tmp_path: Path
) -> None:
    listed = tmp_path / "images.csv"
    # What `make lineage` runs.
    asked = ("--pipeline", "signs", "--version", "1", "--output", str(listed))
    output = finished.python(str(PROJECT / "spark_jobs" / "lineage.py"), *asked)

    tables = finished.tables("signs")
    train = {image_id for image_id, split in tables["splits"] if split == "train"}
    assert 0 < len(train) < len(tables["images"])
    with listed.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert sorted([row["image_id"], row["path"], row["label"]] for row in rows) == [
        row for row in tables["images"] if row[0] in train
    ]
    for row in rows:
        file = Path(row["root"]) / row["path"]
        assert hashlib.sha256(file.read_bytes()).hexdigest() == row["image_id"]
    assert f"was trained on {len(train)} images\n" in output

    written = finished.ask("read_lineage.py", str(finished.workspace), "signs", "1")
    snapshots = {}
    for table, tags in written["tags"].items():
        [(tag, snapshots[f"signs.{table}"])] = tags.items()
        assert f"signs version 1 (model {tag.removeprefix('model-1-')})" in output
        assert f"  signs.{table}, snapshot {snapshots[f'signs.{table}']} of " in output
    assert written["datasets"].items() > snapshots.items()
    assert written["datasets"].keys() - snapshots.keys() == {"signs.features"}


def test_the_next_run_finds_nothing_to_do_and_asks_in_sql(finished: Place) -> None:
    before = finished.tables("signs")

    again = finished.make(pipeline="signs", source=str(finished.signs), approve="yes")

    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stdout.count("unchanged: ") == 5
    assert "Nothing new to approve" in again.stdout
    assert "recognize_signs(image) AS objects" in again.stdout
    assert finished.tables("signs") == before
