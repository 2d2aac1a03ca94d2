"""The stage operator against a stand-in for spark-submit that is a real process."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
)

from darkroom_airflow.links import MlflowLink, ReportLink
from darkroom_airflow.operators import progress
from darkroom_airflow.operators.register import RegisterOperator
from darkroom_airflow.operators.stage import StageOperator
from darkroom_airflow.pipelines import PROJECT
from tests.unit.airflow_env.airflow_world import RUN, SAFE_RUN, World, outside_airflow
from tests.unit.airflow_env.conftest import FakeSpark
from tests.unit.airflow_env.fake_spark_submit import DECISION

# The provider leaves the pipe of a finished spark-submit to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CONFIG = "/somewhere/signs.yaml"


@pytest.fixture(autouse=True)
def _outside_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    outside_airflow(monkeypatch)


def stage(task_id: str, **kwargs: Any) -> StageOperator:
    return StageOperator(task_id=task_id, config=CONFIG, **kwargs)


def test_the_command_line_is_the_one_that_every_entrypoint_understands(
    spark: FakeSpark, tmp_path: Path
) -> None:
    params = {"source": "a b", "backbones": ["embedded"], "folds": 4, "force": True, "other": 1}
    before = time.time()

    stage("ingest").execute(World(params).context)

    (call,) = spark.calls()
    assert call["spark"] == ["--master", "local[*]", "--name", "signs ingest"]
    assert call["options"] == {
        "--config": [CONFIG],
        "--workspace": [str(tmp_path / "workspace")],
        "--run-id": [RUN],
        "--set": ['source.path="a b"', 'features.backbones=["embedded"]', "tuning.folds=4"],
    }
    assert call["force"] is True
    assert before <= float(call["launched_at"]) <= time.time()
    assert call["cwd"] == str(PROJECT)


def test_the_result_is_the_return_value_and_its_summary_an_xcom(spark: FakeSpark) -> None:
    spark.play({"validate": {"summary": "all well", "report": "data_docs/a/index.html"}})
    world = World()

    value = stage("validate").execute(world.context)

    assert value["summary"] == "all well"
    assert value["status"] == "done"
    assert value["report"] == "data_docs/a/index.html"
    assert world.xcoms == {"summary": "all well"}


def test_how_far_a_running_stage_is_can_be_seen(
    spark: FakeSpark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PROGRESS_SECONDS", 0.05)
    old = tmp_path / "workspace/runs/signs" / SAFE_RUN / "tune.progress"
    old.parent.mkdir(parents=True)
    old.write_text("of an earlier try")
    spark.play({"tune": {"progress": ["1 of 6 fits done", "5 of 6 fits done"]}})
    world, seen = World(), []
    world.context["ti"].xcom_push = lambda key, value: seen.append((key, value))

    stage("tune").execute(world.context)

    assert seen == [
        ("progress", "1 of 6 fits done"),
        ("progress", "5 of 6 fits done"),
        ("summary", "tune is done"),
    ]


def test_progress_that_cannot_be_shown_stops_no_stage(
    spark: FakeSpark, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "PROGRESS_SECONDS", 0.05)
    spark.play({"tune": {"progress": ["1 of 6 fits done"]}})
    world = World()

    def push(key: str, value: str) -> None:
        if key == "progress":
            raise OSError("no API server")
        world.xcoms[key] = value

    world.context["ti"].xcom_push = push
    stage("tune").execute(world.context)

    assert world.xcoms == {"summary": "tune is done"}
    assert capsys.readouterr().out.count("progress is not shown: OSError: no API server") == 1


def test_mapped_tasks_of_one_stage_have_results_of_their_own(
    spark: FakeSpark, tmp_path: Path
) -> None:
    for backbone in ("embedded", "MobileNetV2"):
        options = {"backbone": backbone}
        value = stage("featurize", options=options, key_option="backbone").execute(World().context)
        assert value["outputs"] == {"backbone": backbone}

    files = sorted(f.name for f in (tmp_path / "workspace/runs/signs" / SAFE_RUN).iterdir())
    assert files == ["featurize.MobileNetV2.json", "featurize.embedded.json"]


def test_a_permanent_failure_is_not_tried_again_and_says_exactly_its_line(
    spark: FakeSpark,
) -> None:
    line = "source.path = 'x': there is no such folder: create it"
    spark.play({"ingest": {"status": "failed", "permanent": True, "summary": line}})
    world = World()

    with pytest.raises(AirflowFailException) as raised:
        stage("ingest").execute(world.context)

    assert str(raised.value) == line
    assert world.xcoms == {"summary": line}


def test_another_failure_may_be_tried_again(spark: FakeSpark) -> None:
    spark.play({"tune": {"status": "failed", "summary": "unexpected OSError: disk full"}})

    with pytest.raises(AirflowException, match=r"^unexpected OSError: disk full$") as raised:
        stage("tune").execute(World().context)

    assert not isinstance(raised.value, AirflowFailException)


def test_a_crash_is_a_failure_although_an_earlier_try_left_a_result(spark: FakeSpark) -> None:
    world = World()
    stage("tune").execute(world.context)
    spark.play({"tune": {"crash": 137}})
    world.xcoms.clear()

    with pytest.raises(AirflowException) as raised:
        stage("tune").execute(world.context)

    assert str(raised.value) == (
        "tune: spark-submit ended without a result (exit code 137: see the log above)"
    )
    assert not isinstance(raised.value, AirflowFailException)
    assert world.xcoms == {}


def test_a_good_result_of_a_process_that_failed_afterwards_is_a_failure(spark: FakeSpark) -> None:
    spark.play({"deploy": {"exit": 1}})

    with pytest.raises(AirflowException, match=r"^deploy: done, but then spark-submit failed"):
        stage("deploy").execute(World().context)


def test_a_missing_spark_submit_is_one_line(
    spark: FakeSpark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(AirflowFailException, match=r"^spark-submit was not found: PATH must name"):
        stage("ingest").execute(World().context)


def test_killing_the_task_kills_all_that_spark_submit_started(spark: FakeSpark) -> None:
    spark.play({"ingest": {"sleep": 60}})
    pids = spark.scenario.with_suffix(".pids")
    operator = stage("ingest")
    failures: list[BaseException] = []

    def run() -> None:
        try:
            operator.execute(World().context)
        except AirflowException as error:
            failures.append(error)

    task = threading.Thread(target=run)
    task.start()
    while not (pids.exists() and pids.read_text()):
        time.sleep(0.05)
    started = [psutil.Process(int(pid)) for pid in pids.read_text().split()]

    operator.on_kill()
    task.join(timeout=20)

    _, alive = psutil.wait_procs(started, timeout=60)
    for process in alive:
        if process.status() != psutil.STATUS_ZOMBIE:
            os.kill(process.pid, signal.SIGKILL)
            pytest.fail(f"{process} is still alive")
    assert len(failures) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"task_id": "ingset"},
            r"task_id = 'ingset': name a stage: ingest, validate, featurize, tune, evaluate, "
            r"register, promote, deploy, score, shadow, monitor, rollback, watch",
        ),
        ({"task_id": "tune", "config": ""}, r"config: name the pipeline's YAML file"),
        (
            {"task_id": "featurize", "options": {}, "key_option": "backbone"},
            r"key_option = 'backbone': must be one of the options",
        ),
    ],
)
def test_wrong_arguments_fail_when_the_dag_is_read(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        StageOperator(**{"config": CONFIG, **arguments})


def test_links_open_the_report_and_mlflow(
    spark: FakeSpark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_FILES_URL", "http://127.0.0.1:8090")
    monkeypatch.setenv("DARKROOM_MLFLOW_URL", "http://127.0.0.1:5000/")
    spark.play({"evaluate": {"report": "reports/signs/r/index.html"}})
    found = {}
    for name in ("evaluate", "tune", "register"):
        operator = stage(name)
        operator.execute(World().context)
        links = [
            link.get_link(operator, ti_key=None)  # type: ignore[arg-type]  # neither link needs it
            for link in (ReportLink(), MlflowLink())
        ]
        found[name] = links

    assert found == {
        "evaluate": ["http://127.0.0.1:8090/reports/signs/r/index.html", ""],
        "tune": ["", "http://127.0.0.1:5000/#/runs/run1"],
        "register": ["", "http://127.0.0.1:5000/#/models/signs/versions/1"],
    }


def register(world: World) -> RegisterOperator:
    return RegisterOperator(task_id="register", config=CONFIG, challenger=world.asset)


def test_a_new_challenger_is_described_in_the_event(spark: FakeSpark) -> None:
    spark.play({"evaluate": {"report": "reports/r/index.html"}})
    world = World(triggered_by="eve")
    stage("evaluate").execute(world.context)

    register(world).execute(world.context)

    assert world.event.extra == {
        "version": "1",
        "model_digest": "d1",
        "decision_digest": DECISION.digest,
        "verdict": "PASS",
        "decision": DECISION.to_json(),
        "test_images": 200,
        "champion_version": None,
        "report": "reports/r/index.html",
        "training_run_id": RUN,
        "requested_by": "eve",
    }


def test_the_champion_itself_is_no_news(spark: FakeSpark) -> None:
    spark.play({"register": {"outputs": {"already_champion": True}}})
    world = World()

    with pytest.raises(AirflowSkipException, match=r"^version 1 already is champion: nothing to"):
        register(world).execute(world.context)

    assert world.event.extra == {}


def test_people_are_not_asked_twice_about_one_model(spark: FakeSpark) -> None:
    asked = {"version": "1", "model_digest": "d1", "decision_digest": DECISION.digest}
    world = World(history=[{"version": "0"}, asked])

    with pytest.raises(AirflowSkipException, match=r"^people were asked about version 1 before"):
        register(world).execute(world.context)

    assert world.event.extra == {}
