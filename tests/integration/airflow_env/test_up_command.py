"""``make up``: a person's Airflow, seen through its public REST API."""

import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from local_stack.chain import ChainError
from tests.integration.airflow_env.conftest import Up, World

pytestmark = pytest.mark.integration

REGISTERED = {"register": {"outputs": {"version": "7"}}}


def wait_for(what: str, condition: object, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"no {what} within {seconds} s"
        time.sleep(0.3)


def states(up: Up, dag: str, run: str) -> dict[str, str | None]:
    return {task.task: task.state for task in up.client.tasks(dag, run)}


def test_every_server_listens_on_loopback_alone(world: World, up: Up) -> None:
    addresses = {
        connection.laddr.ip
        for process in world.processes()
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }

    assert addresses == {"127.0.0.1"}


def test_the_file_server_shows_reports_and_nothing_else(world: World, up: Up) -> None:
    page = world.workspace / "reports" / "signs" / "run" / "index.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("<p>0.93</p>")
    url = up.url("Reports")

    assert httpx.get(f"{url}/reports/signs/run/index.html").text == "<p>0.93</p>"
    assert 'href="/reports/signs/run/"' in httpx.get(url).text
    for path in ("airflow/passwords.json", "reports/../airflow/passwords.json", "stack.json"):
        with httpx.Client() as client:
            request = client.build_request("GET", url)
            request.url = request.url.copy_with(raw_path=f"/{path}".encode())
            assert client.send(request).status_code == httpx.codes.NOT_FOUND


def test_a_second_stack_on_the_workspace_is_one_line(world: World, up: Up) -> None:
    code, _, err = world.run("run", "--pipeline", "signs")

    assert code == 1
    assert err.startswith("error: a stack already runs on ")
    assert f"at {up.url('Airflow')} (pid {up.process.pid})" in err
    assert len(err.splitlines()) == 1


def test_an_approval_needs_a_reason_and_a_rejection_changes_nothing(world: World, up: Up) -> None:
    world.spark.play({**REGISTERED, "evaluate": {"report": "reports/signs/run/index.html"}})
    training_run, register = up.chain.train({"backbones": ["embedded"]}, lambda task: None)
    assert register.state == "success"
    run = up.chain.promotion_of(training_run)
    dag = up.chain.promotion
    question = up.chain.wait_for_question(run)
    assert f"[Report]({up.url('Reports')}/reports/signs/run/index.html)" in question["body"]

    time.sleep(8)  # Airflow takes an answer within its heartbeat for a crash of the asking task
    up.client.answer(dag, run, "approve", "Approve", "  ")
    wait_for("second question", lambda: up.client.tasks(dag, run)[0].state != "awaiting_input")
    up.chain.wait_for_question(run)
    time.sleep(8)
    up.client.answer(dag, run, "approve", "Reject", "")
    wait_for("end", lambda: up.client.run_state(dag, run) == "success")

    assert states(up, dag, run) == {"approve": "success", "promote": "skipped", "deploy": "skipped"}
    assert world.spark.calls("promote") == []


def test_a_rejected_model_can_be_asked_about_again_by_hand(world: World, up: Up) -> None:
    run = up.client.trigger(up.chain.promotion, {})
    question = up.chain.wait_for_question(run)
    assert "Model version 7" in question["body"]

    deploy = up.chain.approve(run, "second thoughts", lambda task: None)

    assert deploy.outputs["rows"][0]["path"] == "stop/1.jpg"
    (promote,) = world.spark.calls("promote")
    assert promote["options"]["--reason"] == ["second thoughts"]


def test_the_champion_is_registered_without_a_question(world: World, up: Up) -> None:
    world.spark.play({"register": {"outputs": {"version": "7", "already_champion": True}}})
    before = up.client.runs(up.chain.promotion)

    training_run, register = up.chain.train({"backbones": ["embedded"]}, lambda task: None)

    assert register.state == "skipped"
    assert up.client.run_state(up.chain.training, training_run) == "success"
    time.sleep(3)
    assert up.client.runs(up.chain.promotion) == before


def test_links_and_labels_are_shown(world: World, up: Up) -> None:
    run = up.client.runs(up.chain.training)[0]
    mapped = [task for task in up.client.tasks(up.chain.training, run) if task.map_index >= 0]

    assert [task.name for task in mapped] == ["featurize[embedded]"]


def test_a_failed_stage_ends_the_chain_with_its_line_and_its_log(world: World, up: Up) -> None:
    line = "class yield has 2 images, but folds = 3: add images or lower folds"
    world.spark.play({"validate": {"status": "failed", "permanent": True, "summary": line}})
    tried = len(world.spark.calls("validate"))
    ended: list[str] = []

    with pytest.raises(ChainError) as raised:
        up.chain.train({"backbones": ["embedded"]}, lambda task: ended.append(task.task.task))

    first, log = str(raised.value).splitlines()
    assert first == f"validate: {line}"
    assert line in Path(log.split()[-1]).read_text()
    assert ended == ["ingest", "validate"]
    assert len(world.spark.calls("validate")) == tried + 1


def test_maintenance_runs_by_hand_with_the_days_of_its_form(world: World, up: Up) -> None:
    (world.workspace / "warehouse" / "signs").mkdir(parents=True)
    before = len(world.spark.calls())

    run = up.client.trigger("signs_maintenance", {"keep_days": 7})
    wait_for("end", lambda: up.client.run_state("signs_maintenance", run) == "success")

    # Alone: a new pipeline's first date is yet to come.
    assert up.client.runs("signs_maintenance") == [run]
    calls = world.spark.calls()[before:]
    assert [call["stage"] for call in calls] == ["expire", "vacuum", "compact"]
    assert calls[0]["options"]["--days"] == ["7"]


def test_a_broken_pipeline_is_an_import_error_and_the_others_stay(world: World, up: Up) -> None:
    (world.pipelines / "broken.yaml").write_text("name: broken\nfolds: 3\n")

    wait_for("import error", lambda: up.client.import_errors(), seconds=90)

    (error,) = up.client.import_errors()
    assert "broken.yaml: folds = 3: there is no such field" in error
    known = up.client.dag("signs_training")
    assert known is not None
    assert known["has_import_errors"] is False
    (world.pipelines / "broken.yaml").unlink()


def test_stopping_amid_a_task_leaves_no_process(world: World, up: Up) -> None:
    world.spark.play({"ingest": {"sleep": 300}})
    pids = world.spark.scenario.with_suffix(".pids")
    assert up.chain.in_the_way() is None
    run = up.client.trigger(up.chain.training, {})
    wait_for("task at work", pids.exists)
    left = up.chain.in_the_way()
    assert left is not None
    assert left.run == run
    assert left.since is not None
    assert timedelta(0) < datetime.now(UTC) - left.since < timedelta(minutes=1)
    ours = [up.process.pid, *(int(pid) for pid in pids.read_text().split())]
    every = world.processes()
    assert len(every) > 6

    up.process.send_signal(signal.SIGTERM)

    assert up.process.wait(timeout=60) == 143
    assert world.processes() == []
    assert not [pid for pid in ours if psutil.pid_exists(pid)]
    assert not (world.workspace / "stack.json").exists()
