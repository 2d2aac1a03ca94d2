"""The ingestion task: which runs end where there is nothing new to train on."""

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from darkroom_airflow.operators.ingest import IngestOperator
from tests.unit.airflow_env.airflow_world import World, outside_airflow
from tests.unit.airflow_env.conftest import FakeSpark

# The provider leaves the pipe of a finished spark-submit to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

NOTHING = "nothing new: images and configuration are those of run r1, which ended in evaluate"


def ingest(world: World, run_type: str) -> dict[str, Any]:
    operator = IngestOperator(task_id="ingest", config="/x/signs.yaml")
    world.context["dag_run"] = SimpleNamespace(run_type=run_type)
    return operator.execute(world.context)


@pytest.fixture(autouse=True)
def _outside_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    outside_airflow(monkeypatch)


@pytest.mark.parametrize(
    "run_type", ["scheduled", "asset_triggered", "backfill", "operator_triggered"]
)
def test_a_run_that_nobody_started_ends_with_the_reason(spark: FakeSpark, run_type: str) -> None:
    spark.play({"ingest": {"outputs": {"nothing_new": NOTHING}}})
    world = World()

    with pytest.raises(AirflowSkipException, match=f"^{NOTHING}$"):
        ingest(world, run_type)

    assert world.xcoms["summary"] == NOTHING


@pytest.mark.parametrize(
    ("run_type", "reason"), [("manual", NOTHING), ("scheduled", None), ("asset_triggered", None)]
)
def test_a_run_by_hand_or_with_something_new_goes_on(
    spark: FakeSpark, run_type: str, reason: str | None
) -> None:
    spark.play({"ingest": {"outputs": {"nothing_new": reason}}})
    world = World()

    assert ingest(world, run_type)["stage"] == "ingest"
    assert world.xcoms["summary"] == "ingest is done"
