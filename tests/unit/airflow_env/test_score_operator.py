"""The scoring task against a stand-in for spark-submit that is a real process."""

from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from darkroom_airflow.forms import SCORING_OPTIONS
from darkroom_airflow.operators.score import ScoreOperator, ShadowOperator
from tests.unit.airflow_env.airflow_world import World, outside_airflow
from tests.unit.airflow_env.conftest import FakeSpark

# The provider leaves the pipe of a finished spark-submit to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _outside_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    outside_airflow(monkeypatch)


def execute(context: Any) -> dict[str, Any]:
    operator = ScoreOperator(task_id="score", config="/x/signs.yaml", options=SCORING_OPTIONS)
    operator.render_template_fields(context)
    return operator.execute(context)


@pytest.mark.parametrize(
    ("backfill", "interval", "options"),
    [
        (False, {}, {"--backfill": ["false"], "--until": ["now"]}),
        (True, {"data_interval_end": None}, {"--backfill": ["true"], "--until": ["now"]}),
        (
            False,
            {"data_interval_end": datetime(2026, 2, 1, tzinfo=UTC)},
            {"--backfill": ["false"], "--until": ["2026-02-01 00:00:00+00:00"]},
        ),
    ],
)
def test_the_form_and_the_data_interval_become_options(
    spark: FakeSpark, backfill: bool, interval: dict[str, Any], options: dict[str, list[str]]
) -> None:
    context = World({"backfill": backfill, "force": True}).context | interval

    assert execute(context)["outputs"]["scored"] == 2

    (call,) = spark.calls("score")
    assert call["options"].items() >= options.items()
    assert call["force"] is True


@pytest.mark.parametrize(
    "left",
    [
        {"outputs": {"scored": 0}, "summary": "nothing new"},
        {"status": "unchanged", "outputs": {"scored": 9}, "summary": "nothing new"},
    ],
)
def test_a_run_that_scored_nothing_is_skipped_with_the_reason(
    spark: FakeSpark, left: dict[str, Any]
) -> None:
    spark.play({"score": left})

    with pytest.raises(AirflowSkipException, match=r"^nothing new$"):
        execute(World({"backfill": False}).context)


@pytest.mark.parametrize(
    "left",
    [
        {"outputs": {"compared": 0}, "summary": "no version waits"},
        {"status": "unchanged", "summary": "no version waits"},
    ],
)
def test_a_shadow_that_compared_nothing_new_is_skipped_with_the_reason(
    spark: FakeSpark, left: dict[str, Any]
) -> None:
    operator = ShadowOperator(task_id="shadow", config="/x/signs.yaml")
    assert operator.execute(World().context)["outputs"]["differing"] == 1

    spark.play({"shadow": left})

    with pytest.raises(AirflowSkipException, match=r"^no version waits$"):
        operator.execute(World().context)
