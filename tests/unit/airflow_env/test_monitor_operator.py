"""The tasks of monitoring against a stand-in for spark-submit that is a real process."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowSkipException

from darkroom_airflow.forms import MONITORING_OPTIONS
from darkroom_airflow.operators.monitor import DriftAlarmOperator, MonitorOperator
from tests.unit.airflow_env.airflow_world import World, outside_airflow
from tests.unit.airflow_env.conftest import FakeSpark

# The provider leaves the pipe of a finished spark-submit to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

DRIFT = Asset("darkroom://signs/drift")
EVENT = {
    "reason": "brightness drifted",
    "report": "reports/signs/monitoring/run/index.html",
    "model_digest": "d1",
    "window_number": 7,
}


@pytest.fixture(autouse=True)
def _outside_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    outside_airflow(monkeypatch)


def monitor(context: Any) -> dict[str, Any]:
    operator = MonitorOperator(
        task_id="monitor", config="/x/signs.yaml", options=MONITORING_OPTIONS
    )
    operator.render_template_fields(context)
    return operator.execute(context)


def raise_alarm(alarm: bool, *history: dict[str, Any] | None) -> dict[str, Any]:
    """Lets the task end; returns the extra of the event."""
    event = SimpleNamespace(extra={})
    context: Any = {
        "outlet_events": {DRIFT: event},
        "inlet_events": {DRIFT: [SimpleNamespace(extra=extra) for extra in history]},
    }
    outputs = {name: EVENT[name] for name in ("reason", "model_digest", "window_number")}
    result = {"outputs": {**outputs, "alarm": alarm}, "report": EVENT["report"]}
    DriftAlarmOperator(task_id="alarm", result=result, drift=DRIFT).execute(context)
    said: dict[str, Any] = event.extra
    return said


def test_the_form_and_the_data_interval_become_options(spark: FakeSpark) -> None:
    interval = {"data_interval_end": datetime(2026, 2, 1, tzinfo=UTC)}

    result = monitor(World({"unfinished": True, "force": False}).context | interval)

    assert result["outputs"]["alarm"] is True
    (call,) = spark.calls("monitor")
    assert (
        call["options"].items()
        >= {
            "--unfinished": ["true"],
            "--until": ["2026-02-01 00:00:00+00:00"],
        }.items()
    )


@pytest.mark.parametrize(
    "left",
    [
        {"outputs": {"judged": 0}, "summary": "nothing new"},
        {"status": "unchanged", "summary": "nothing new"},
    ],
)
def test_a_run_that_judged_nothing_is_skipped_with_the_reason(
    spark: FakeSpark, left: dict[str, Any]
) -> None:
    spark.play({"monitor": left})

    with pytest.raises(AirflowSkipException, match=r"^nothing new$"):
        monitor(World({"unfinished": False}).context)


@pytest.mark.parametrize(
    "history",
    [[], [None], [{**EVENT, "window_number": 6}], [EVENT, {**EVENT, "model_digest": "d0"}]],
)
def test_the_event_of_an_alarm_says_why(history: list[dict[str, Any] | None]) -> None:
    assert raise_alarm(True, *history) == EVENT


def test_no_alarm_is_no_event() -> None:
    with pytest.raises(AirflowSkipException, match=r"^no alarm: brightness drifted$"):
        raise_alarm(False)


def test_the_same_alarm_is_not_raised_twice() -> None:
    said = r"^this alarm was raised before: brightness drifted$"
    with pytest.raises(AirflowSkipException, match=said):
        raise_alarm(True, {"model_digest": "d0"}, EVENT)
