"""A maintenance run through Airflow and Spark, on tables that need it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from local_stack.chain import Chain
from local_stack.client import AirflowClient
from local_stack.layout import Layout
from tests.e2e.conftest import Place

pytestmark = [pytest.mark.e2e, pytest.mark.long]

DAG = "signs_maintenance"
PIPELINE = """\
name: signs
description: Recognises signs
function: recognize_signs
view: signs_imgs
source: {path: not there}
gate: {thresholds: {accuracy: 0.85}}
"""


def test_a_maintenance_run_tidies_up_and_loses_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path, tmp_path / "not there")
    place.pipelines.mkdir()
    (place.pipelines / "signs.yaml").write_text(PIPELINE)
    before = place.ask("untidy_tables.py", "make", str(place.workspace), "signs")
    *_, current = before["snapshots"]
    [tagged] = before["tags"].values()
    started = datetime.now(UTC)
    said: dict[tuple[str, str | None], str] = {}

    def work(client: AirflowClient, layout: Layout) -> None:
        chain = Chain(client, layout, "signs")
        chain.wait_for_dags(started, [DAG])
        run = client.trigger(DAG, {"keep_days": 1})
        for task in chain.follow(DAG, run, lambda _: None):
            log = layout.task_log(DAG, run, task.task, task.map_index, task.attempt)
            said[task.task, task.state] = log.read_text()

    place.beside_airflow(work)

    after = place.ask("untidy_tables.py", "show", str(place.workspace), "signs")
    assert after["rows"] == before["rows"]
    assert len(after["rows"]) == len(before["read"]) == 10
    # What the run started from stays for a day, what trained a model for ever.
    assert after["snapshots"][:-1] == [tagged, current]
    assert after["tags"] == before["tags"]
    [large] = after["read"]
    # Gone are the file of the row that came and went, and the dead writer's.
    assert len(before["files"]) == 12
    assert sorted(after["files"]) == sorted([*before["read"], large])
    assert "10 snapshots expired, " in said["expire", "success"]
    assert "deleted 1 of splits" in said["vacuum", "success"]
    assert "splits: 10 small files became 1" in said["compact", "success"]
