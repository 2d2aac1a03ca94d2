"""The whole chain through Airflow, MLflow and Spark, on 160 photographs."""

from __future__ import annotations

import csv
import hashlib
import re
from pathlib import Path
from typing import Any

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


@pytest.fixture(scope="module")
def tables(finished: Place) -> dict[str, Any]:
    """What its tables hold."""
    return finished.tables("signs")


def test_a_run_stops_at_the_approval_and_says_how_to_give_it(finished: Place) -> None:
    output = (finished.root / "asked.txt").read_text()

    stages = [line.split()[0] for line in output.splitlines() if " s  " in line]
    assert stages == ["ingest", "validate", "featurize", "tune", "evaluate", "register"]
    assert re.search(r"^  TRUNCATED +stop/planted_truncated\.jpg\n +image file is ", output, re.M)
    assert "May version 1 of signs become champion?" in output
    assert f"  make run PIPELINE=signs SOURCE={finished.signs} APPROVE=yes" in output
    assert "\x1b[" not in output


def test_the_candidate_was_tried_as_its_users_will(finished: Place) -> None:
    output = (finished.root / "asked.txt").read_text()

    cells = [line.split() for line in output.splitlines()]
    checks = {words[0]: words[1:] for words in cells if len(words) == 4}
    for name in ("loads_elsewhere", "answers_in_sql"):
        gap, needed, verdict = checks[name]
        assert 0 <= float(gap) < float(needed) == 1e-4
        assert verdict == "PASS"
    for name, least in (("latency_ms", 1), ("memory_mb", 200)):
        assert float(checks[name][0]) > least


def test_an_approved_model_answers_in_sql(finished: Place, tables: dict[str, Any]) -> None:
    """The second run does no stage anew, and answers the question that the first one left."""
    output = (finished.root / "approved.txt").read_text()

    assert output.count("unchanged: ") == 5
    assert "May version 1 of signs become champion?" in output
    assert 'Answered "Approve" as user demo' in output
    assert "SELECT path, `recognize_signs`(image) AS objects FROM" in output
    assert tables["ledger"] == [["demo", "approved on the command line (APPROVE=yes)", "1"]]


def test_secrets_are_their_owners_alone_and_in_no_log(finished: Place) -> None:
    secrets = [finished.workspace / "airflow" / name for name in ("passwords.json", "keys.json")]

    assert [oct(file.stat().st_mode & 0o777) for file in secrets] == ["0o600", "0o600"]
    logs = [file for file in (finished.workspace / "logs").rglob("*") if file.is_file()]
    assert logs
    for log in logs:
        text = log.read_text(errors="replace")
        for file in secrets:
            assert not [value for value in file.read_text().split('"')[3::4] if value in text]


def test_every_file_is_accepted_or_rejected_with_a_reason(tables: dict[str, Any]) -> None:
    reasons = [reason for _, reason in tables["rejected_images"]]
    assert {reason: reasons.count(reason) for reason in set(reasons)} == REJECTED
    assert len(tables["images"]) + len(reasons) == IMAGES + 11
    assert len(tables["splits"]) == len(tables["images"])
    assert len(tables["features"]) == len(tables["images"])


def test_a_version_leads_to_the_very_images_that_trained_it(
    finished: Place, tables: dict[str, Any], tmp_path: Path
) -> None:
    listed = tmp_path / "images.csv"
    # What `make lineage` runs.
    asked = ("--pipeline", "signs", "--version", "1", "--output", str(listed))
    output = finished.python(str(PROJECT / "spark_jobs" / "lineage.py"), *asked)

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


# Each time: the second run's stages, above, and tests/unit/airflow_env/test_question.py.
@pytest.mark.long
def test_the_next_run_finds_nothing_to_do_and_asks_in_sql(
    finished: Place, tables: dict[str, Any]
) -> None:
    again = finished.make(pipeline="signs", source=str(finished.signs), approve="yes")

    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stdout.count("unchanged: ") == 5
    assert "Nothing new to approve" in again.stdout
    assert "recognize_signs(image) AS objects" in again.stdout
    assert finished.tables("signs") == tables
