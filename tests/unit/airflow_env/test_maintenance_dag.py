"""The DAG that keeps the tables tidy, as Airflow reads it."""

from pathlib import Path
from typing import Any

import pendulum
import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import DataInterval, TimeRestriction

from tests.unit.airflow_env.conftest import PIPELINE
from tests.unit.airflow_env.test_dags import DAGS, edges


@pytest.fixture
def maintenance(pipelines: Path) -> DAG:
    return DagBag(DAGS).dags["signs_maintenance"]


def test_maintenance_tidies_up_once_a_week_and_compacts_last(maintenance: DAG) -> None:
    assert edges(maintenance) == {("expire", "vacuum"), ("vacuum", "compact")}
    assert maintenance.max_active_runs == 1
    assert maintenance.catchup is False
    assert maintenance.tags == {"signs", "maintenance"}
    tasks: dict[str, Any] = {task.task_id: task for task in maintenance.tasks}
    assert {(task.pipeline, task.owner, task.retries) for task in tasks.values()} == {
        ("signs", "darkroom", 3)
    }
    assert {name: task.options for name, task in tasks.items() if task.options} == {
        "expire": {"days": "{{ params.keep_days }}"}
    }
    assert maintenance.params.get_param("keep_days").resolve() == 30
    with pytest.raises(ParamValidationError):
        maintenance.params.get_param("keep_days").resolve(0)


def test_maintenance_waits_for_its_next_date_and_makes_up_for_a_missed_one(
    maintenance: DAG,
) -> None:
    timetable = DagSerialization.from_dict(DagSerialization.to_dict(maintenance)).timetable
    restriction = TimeRestriction(earliest=None, latest=None, catchup=False)
    now = pendulum.now("UTC")

    first = timetable.next_dagrun_info(last_automated_data_interval=None, restriction=restriction)
    assert first is not None
    assert now < first.run_after <= now.add(days=7)
    assert (first.run_after.day_of_week, first.run_after.hour) == (pendulum.SUNDAY, 4)

    long_ago = DataInterval.exact(first.run_after.subtract(days=28))
    missed = timetable.next_dagrun_info(
        last_automated_data_interval=long_ago, restriction=restriction
    )
    assert missed is not None
    assert missed.run_after == first.run_after.subtract(days=7)


def test_maintenance_is_as_the_file_says(pipelines: Path) -> None:
    text = PIPELINE + "owner: vision\nmaintenance: {schedule: null, keep_days: 7}\n"
    (pipelines / "signs.yaml").write_text(text)

    dag = DagBag(DAGS).dags["signs_maintenance"]

    assert dag.schedule is None
    assert dag.params.get_param("keep_days").resolve() == 7
    assert {task.owner for task in dag.tasks} == {"vision"}
