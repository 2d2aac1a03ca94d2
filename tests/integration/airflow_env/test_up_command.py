"""``make up``: a person's Airflow, seen through its public REST API."""

import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from local_stack import credentials
from local_stack.chain import Chain, ChainError
from local_stack.client import AirflowClient, ApiError
from tests.browser import WIDTHS, browsing, look
from tests.integration.airflow_env import viewing
from tests.integration.airflow_env.conftest import World
from tests.standing import ASKING_SECONDS, Up
from tests.unit.airflow_env.fake_spark_submit import DECISION

pytestmark = pytest.mark.integration

PIPELINE_GROUPS = "scoring: {after_deploy: true}\n"
REGISTERED = {"register": {"outputs": {"version": "7"}}}
VALIDATION = "data_docs/signs/runs/r1/index.html"


def a_viewer_sees_all_and_changes_nothing(up: Up, run: str) -> None:
    """Looks at a question that is open, and tries what only others may do."""
    viewing.register(up, "signs", "challenger")
    viewer = viewing.Visitor(up, credentials.VIEWER)

    page = viewer.page()

    assert f'href="{viewing.question_page(up.chain.promotion, run)}"' in page
    assert "version 1</span>" in page
    assert f"{up.url('MLflow')}/#/models/signs/versions/1" in page
    answer = {"chosen_options": ["Approve"], "params_input": {"reason": "mine"}}
    attempts = (
        ("PATCH", viewing.answer_path(up.chain.promotion, run), answer),
        ("POST", f"dags/{up.chain.promotion}/dagRuns", {"logical_date": None}),
        ("POST", f"dags/{up.chain.training}/dagRuns", {"logical_date": None}),
    )
    for method, path, body in attempts:
        assert viewer.call(method, path, body) == httpx.codes.FORBIDDEN
    question = up.chain.wait_for_question(run)
    assert question is not None
    assert question["responded_at"] is None


def wait_for(what: str, condition: object, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"no {what} within {seconds} s"
        time.sleep(0.3)


def states(up: Up, dag: str, run: str) -> dict[str, str | None]:
    return {task.task: task.state for task in up.client.tasks(dag, run)}


def challenge(up: Up, pipeline: str) -> tuple[Chain, str]:
    """Says that a challenger was registered; returns the promotion run that this starts."""
    challenger = {
        "version": "1",
        "model_digest": DECISION.candidate,
        "decision_digest": DECISION.digest,
        "decision": DECISION.to_json(),
        "test_images": 200,
        "report": None,
        "training_run_id": "t1",
        "requested_by": None,
    }
    chain = Chain(up.client, up.chain.layout, pipeline)
    viewing.Visitor(up, credentials.ADMIN).create_event(
        f"darkroom://{pipeline}/challenger", challenger
    )
    wait_for("promotion", lambda: up.client.runs(chain.promotion))
    return chain, up.client.runs(chain.promotion)[0]


@pytest.fixture(scope="module", autouse=True)
def unanswered(up: Up) -> tuple[Chain, str]:
    """A promotion run whose question nobody answers; its time passes beside the other tests."""
    return challenge(up, "dogs")


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
    assert question is not None
    assert f"[Report]({up.url('Reports')}/reports/signs/run/index.html)" in question["body"]

    password = credentials.passwords(up.chain.layout)[credentials.ADMIN]
    with (
        AirflowClient(up.url("Airflow"), credentials.ADMIN, password) as other,
        pytest.raises(ApiError, match=r"answered 403: .* is not a respondent for the task"),
    ):
        other.answer(dag, run, "approve", "Approve", "I am no approver")
    time.sleep(ASKING_SECONDS)
    up.client.answer(dag, run, "approve", "Approve", "  ")
    wait_for("second question", lambda: up.client.tasks(dag, run)[0].state != "awaiting_input")
    up.chain.wait_for_question(run)
    time.sleep(ASKING_SECONDS)
    up.client.answer(dag, run, "approve", "Reject", "")
    wait_for("end", lambda: up.client.run_state(dag, run) == "success")

    assert states(up, dag, run) == {"approve": "success", "promote": "skipped", "deploy": "skipped"}
    assert world.spark.calls("promote") == []


def test_the_page_of_pipelines_asks_who_is_there(up: Up) -> None:
    address = f"{up.url('Airflow')}{viewing.PAGE}"

    assert httpx.get(address).status_code == httpx.codes.UNAUTHORIZED
    for cookies in ({}, {"_token": "made up"}):
        sent_on = httpx.get(address, headers=viewing.BROWSER, cookies=cookies)
        assert sent_on.status_code == httpx.codes.TEMPORARY_REDIRECT
        login = f"/api/v2/auth/login?next={quote(address, safe='')}"
        assert sent_on.headers["location"] == login
    assert httpx.post(address).status_code == httpx.codes.METHOD_NOT_ALLOWED


def test_a_rejected_model_can_be_asked_about_again_by_hand(world: World, up: Up) -> None:
    run = up.client.trigger(up.chain.promotion, {})
    question = up.chain.wait_for_question(run)
    assert question is not None
    assert "Model version 7" in question["body"]
    a_viewer_sees_all_and_changes_nothing(up, run)

    deploy = up.chain.approve(run, "second thoughts", lambda task: None)

    assert deploy.outputs["rows"][0]["path"] == "stop/1.jpg"
    (promote,) = world.spark.calls("promote")
    assert promote["options"]["--reason"] == ["second thoughts"]


def test_the_deployment_has_started_scoring_and_nothing_new_is_skipped(
    world: World, up: Up
) -> None:
    dag = "signs_scoring"
    wait_for("scoring run", lambda: up.client.runs(dag))
    (run,) = up.client.runs(dag)
    wait_for("end", lambda: up.client.run_state(dag, run) == "success")
    assert states(up, dag, run) == {"score": "success"}

    world.spark.play({"score": {"outputs": {"scored": 0}, "summary": "nothing new"}})
    by_hand = up.client.trigger(dag, {"backfill": True})
    wait_for("end", lambda: up.client.run_state(dag, by_hand) == "success")
    assert states(up, dag, by_hand) == {"score": "skipped"}

    options = [call["options"] for call in world.spark.calls("score")]
    assert [(each["--backfill"], each["--until"]) for each in options] == [
        (["false"], ["now"]),
        (["true"], ["now"]),
    ]


def test_an_answer_in_mlflow_is_as_good_as_one_in_airflow(world: World, up: Up) -> None:
    mlflow = f"{up.url('MLflow')}/api/2.0/mlflow"
    version = {"name": "cats", "version": "1"}
    for path, content in (
        ("registered-models/create", {"name": "cats"}),
        ("model-versions/create", {"name": "cats", "source": "s3://bucket/model"}),
    ):
        httpx.post(f"{mlflow}/{path}", json=content).raise_for_status()
    chain, run = challenge(up, "cats")
    question = chain.wait_for_question(run)
    assert question is not None
    assert "Or answer in MLflow" in question["body"]

    for key, value in (("approval_reason", "seen it in MLflow"), ("approval", "approved")):
        tag = {**version, "key": key, "value": value}
        httpx.post(f"{mlflow}/model-versions/set-tag", json=tag).raise_for_status()
    wait_for("end", lambda: up.client.run_state(chain.promotion, run) == "success")

    options = world.spark.calls("promote")[-1]["options"]
    assert options["--approved-by"] == ["MLflow"]
    assert options["--reason"] == ["seen it in MLflow"]
    assert up.client.question(chain.promotion, run, "approve")["chosen_options"] == ["Approve"]
    with pytest.raises(ApiError, match="answered 409"):
        up.client.answer(chain.promotion, run, "approve", "Reject", "too late")


def test_no_answer_in_time_is_a_rejection(unanswered: tuple[Chain, str], up: Up) -> None:
    chain, run = unanswered

    wait_for("end", lambda: up.client.run_state(chain.promotion, run) == "success", seconds=90)

    ended = {"approve": "success", "promote": "skipped", "deploy": "skipped"}
    assert states(up, chain.promotion, run) == ended
    question = up.client.question(chain.promotion, run, "approve")
    assert (question["chosen_options"], question["responded_by_user"]) == (["Reject"], None)


def test_the_champion_is_registered_without_a_question(world: World, up: Up) -> None:
    champion = {"outputs": {"version": "7", "already_champion": True}}
    world.spark.play({"register": champion, "validate": {"report": VALIDATION}})
    before = up.client.runs(up.chain.promotion)

    training_run, register = up.chain.train({"backbones": ["embedded"]}, lambda task: None)

    assert register.state == "skipped"
    assert up.client.run_state(up.chain.training, training_run) == "success"
    time.sleep(3)
    assert up.client.runs(up.chain.promotion) == before


def test_labels_of_mapped_tasks_are_shown(up: Up) -> None:
    run = up.client.runs(up.chain.training)[0]
    mapped = [task for task in up.client.tasks(up.chain.training, run) if task.map_index >= 0]

    assert [task.name for task in mapped] == ["featurize[embedded]"]


def test_the_link_of_a_validation_opens_its_page(world: World, up: Up) -> None:
    page = world.workspace / VALIDATION
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("<p>met</p>")
    run = up.client.runs(up.chain.training)[0]

    links = viewing.Visitor(up, credentials.VIEWER).links(up.chain.training, run, "validate")

    assert links == {"Report": f"{up.url('Reports')}/{VALIDATION}", "MLflow": None}
    assert httpx.get(str(links["Report"])).text == "<p>met</p>"


@pytest.mark.long
@pytest.mark.usefixtures("validation_pages")
def test_all_links_of_a_validation_lead_somewhere(up: Up) -> None:
    page = httpx.get(f"{up.url('Reports')}/{VALIDATION}").raise_for_status()

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert len(viewing.links_of(page)) == 2
    assert viewing.dead_links(page) == []


@pytest.mark.long
@pytest.mark.usefixtures("validation_pages")
def test_the_pages_of_a_validation_fit_a_desk_and_a_phone(up: Up) -> None:
    report = f"{up.url('Reports')}/{VALIDATION}"
    (docs,) = [link for link in viewing.links_of(httpx.get(report)) if "/validations/" in link]
    with browsing() as browser:
        for url, pictures in ((report, 14), (docs, 0)):
            for width in WIDTHS:
                seen = look(browser, url, width)
                assert (seen.overflow, seen.pictures, seen.broken) == (0, pictures, 0)
                assert seen.loaded == []
                assert "no pair of near-duplicates in different splits" in seen.text


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


def test_a_rollback_runs_in_the_stack_that_is_up(world: World, up: Up) -> None:
    world.spark.play({})

    code, out, err = world.run(
        "rollback", "--pipeline", "signs", "--reason", "wrong at {{ night }}", "--version", "3"
    )

    assert (code, err) == (0, "")
    assert f"Airflow {up.url('Airflow')}" in out
    assert "rollback is done" in out
    assert "stop/1.jpg  stop 0.987" in out
    options = world.spark.calls("rollback")[-1]["options"]
    asked = {name: options[name][0] for name in ("--version", "--requested-by", "--reason")}
    assert asked == {
        "--version": "3",
        "--requested-by": "demo",
        "--reason": "wrong at {{ night }}",
    }
    with pytest.raises(ApiError, match="answered 400"):
        up.client.trigger("signs_rollback", {})


def test_the_watcher_runs_by_hand(world: World, up: Up) -> None:
    line = "the champion of signs is version 3, but by the ledger it is version 2"
    world.spark.play({"watch": {"status": "failed", "permanent": True, "summary": line}})

    run = up.client.trigger("signs_watch", {})
    wait_for("end", lambda: up.client.run_state("signs_watch", run) == "failed")

    (task,) = up.client.tasks("signs_watch", run)
    assert task.attempt == 1
    assert up.client.xcom("signs_watch", run, task, "summary") == line


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
