"""The whole chain through Airflow, MLflow and Spark, on 160 photographs."""

from __future__ import annotations

import pytest

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


def test_the_next_run_finds_nothing_to_do_and_asks_in_sql(finished: Place) -> None:
    before = finished.tables("signs")

    again = finished.make(pipeline="signs", source=str(finished.signs), approve="yes")

    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stdout.count("unchanged: ") == 5
    assert "Nothing new to approve" in again.stdout
    assert "recognize_signs(image) AS objects" in again.stdout
    assert finished.tables("signs") == before
