"""The housekeeping operator against a stand-in for spark-submit that is a real process."""

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from darkroom_airflow.operators.housekeeping import HousekeepingOperator
from darkroom_airflow.pipelines import PROJECT
from tests.unit.airflow_env.airflow_world import World, outside_airflow
from tests.unit.airflow_env.conftest import FakeSpark

# The provider leaves the pipe of a finished spark-submit to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _outside_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    outside_airflow(monkeypatch)


@pytest.fixture
def workspace(tmp_path: Path, spark: FakeSpark) -> Path:
    """That of the stand-in, with tables of the pipeline ``signs``."""
    (tmp_path / "workspace" / "warehouse" / "signs").mkdir(parents=True)
    return tmp_path / "workspace"


def tidy(task_id: str, pipeline: str = "signs", **options: Any) -> HousekeepingOperator:
    return HousekeepingOperator(task_id=task_id, pipeline=pipeline, options=options)


def test_a_task_is_one_command_of_the_entrypoint(spark: FakeSpark, workspace: Path) -> None:
    tidy("expire", days=30).execute(World().context)
    tidy("compact").execute(World().context)

    expire, compact = spark.calls()
    assert expire["stage"] == "expire"
    assert expire["spark"] == ["--master", "local[*]", "--name", "signs expire"]
    shared = {"--pipeline": ["signs"], "--workspace": [str(workspace)]}
    assert expire["options"] == {**shared, "--days": ["30"]}
    assert (compact["stage"], compact["options"]) == ("compact", shared)
    assert compact["cwd"] == str(PROJECT)


def test_a_pipeline_without_tables_is_skipped(spark: FakeSpark, workspace: Path) -> None:
    with pytest.raises(AirflowSkipException) as raised:
        tidy("expire", "cats").execute(World().context)

    assert str(raised.value) == "pipeline cats has no tables yet: nothing to expire"
    assert spark.calls() == []


@pytest.mark.parametrize(("code", "again"), [(1, True), (2, False), (3, False), (137, True)])
def test_a_conflict_is_tried_again_and_a_wrong_setting_is_not(
    spark: FakeSpark, workspace: Path, code: int, again: bool
) -> None:
    spark.play({"compact": {"crash": code}})

    with pytest.raises(AirflowException) as raised:
        tidy("compact").execute(World().context)

    assert str(raised.value) == (
        f"compact: spark-submit failed (exit code {code}: see the log above)"
    )
    assert isinstance(raised.value, AirflowFailException) is not again


def test_an_unknown_task_fails_when_the_dag_is_read() -> None:
    with pytest.raises(ValueError, match=r"^task_id = 'compct': give expire, vacuum, compact$"):
        tidy("compct")
