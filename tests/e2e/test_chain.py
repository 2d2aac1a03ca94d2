"""The whole chain through Airflow, MLflow and Spark, on 240 photographs."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Place

pytestmark = pytest.mark.e2e

REJECTED = {
    "DUPLICATE": 1,
    "EMPTY": 1,
    "LABEL_CONFLICT": 2,
    "NOT_AN_IMAGE": 1,
    "TRUNCATED": 1,
}


def test_without_approval_it_stops_at_the_question(finished: Place) -> None:
    output = (finished.root / "first_output.txt").read_text()
    assert "May the new model" in output
    assert "make run PIPELINE=signs" in output
    assert "APPROVE=yes" in output
    assert finished.tables("signs")["ledger"] == []


def test_every_file_is_accepted_or_rejected_with_a_reason(finished: Place) -> None:
    tables = finished.tables("signs")
    reasons = [reason for _, reason in tables["rejected_images"]]
    assert {reason: reasons.count(reason) for reason in set(reasons)} == REJECTED
    assert len(tables["images"]) + len(reasons) == 240 + 11
    assert len(tables["splits"]) == len(tables["images"])
    assert len(tables["features"]) == len(tables["images"])


def test_approval_makes_the_model_answer_in_sql_and_the_next_run_finds_nothing_to_do(
    finished: Place,
) -> None:
    approved = finished.make(pipeline="signs", source=str(finished.signs), approve="yes")
    assert approved.returncode == 0, approved.stdout + approved.stderr
    assert "SELECT path, `recognize_signs`(image) AS objects FROM" in approved.stdout
    assert [who for who, _, _ in finished.tables("signs")["ledger"]] == ["demo"]

    again = finished.make(pipeline="signs", source=str(finished.signs), approve="yes")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "Nothing new to approve" in again.stdout
    assert len(finished.tables("signs")["ledger"]) == 1
