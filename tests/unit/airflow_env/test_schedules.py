"""What starts a training run, as Airflow's scheduler reads it."""

from pathlib import Path
from typing import Any

import pendulum
import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import TimeRestriction

from darkroom_airflow.pipelines import PROJECT
from tests.unit.airflow_env.conftest import PIPELINE

DATA, DRIFT = "darkroom://signs/data", "darkroom://signs/drift"


@pytest.mark.parametrize(
    ("text", "cron", "assets"),
    [
        ("", None, [DATA, DRIFT]),
        ("schedule: '0 3 * * 1'", "0 3 * * 1", [DATA, DRIFT]),
        ("retrain: {on_drift: false}", None, [DATA]),
        ("schedule: '0 3 * * 1'\nretrain: {on_new_data: false}", "0 3 * * 1", [DRIFT]),
        (
            "schedule: '0 3 * * 1'\nretrain: {on_new_data: false, on_drift: false}",
            "0 3 * * 1",
            [],
        ),
        ("retrain: {on_new_data: false, on_drift: false}", None, []),
    ],
)
def test_training_starts_as_the_file_says(
    pipelines: Path, text: str, cron: str | None, assets: list[str]
) -> None:
    (pipelines / "signs.yaml").write_text(f"{PIPELINE}{text}\n")

    dag = DagBag(PROJECT / "dags").dags["signs_training"]

    timetable = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
    assert starts_of(timetable) == (cron, assets)
    doc = dag.doc_md or ""
    assert all(said in doc for said in [cron] if said)
    assert (DATA in doc, "when drift is found" in doc) == (DATA in assets, DRIFT in assets)


def test_a_new_pipeline_waits_for_its_next_date(pipelines: Path) -> None:
    """Airflow would make up for the last one: any after a start date, or else a recent one."""
    alone = "retrain: {on_new_data: false, on_drift: false}"
    (pipelines / "signs.yaml").write_text(f"{PIPELINE}schedule: '* * * * *'\n{alone}\n")
    dag = DagBag(PROJECT / "dags").dags["signs_training"]
    timetable = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
    now = pendulum.now("UTC")

    first = timetable.next_dagrun_info(
        last_automated_data_interval=None,
        restriction=TimeRestriction(earliest=None, latest=None, catchup=False),
    )

    assert dag.start_date is None
    assert first is not None
    assert now < first.run_after


def starts_of(timetable: Any) -> tuple[str | None, list[str]]:
    """A timetable's cron expression, and the assets of which any one starts a run."""
    clock = getattr(timetable, "timetable", timetable)
    condition = getattr(timetable, "asset_condition", None)
    assets = [asset.uri for asset in getattr(condition, "objects", ())]
    assert not assets or "Any" in type(condition).__name__
    return getattr(clock, "expression", None) or getattr(clock, "_expression", None), assets
