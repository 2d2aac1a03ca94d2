"""The SQL gateway as people start it, seen by JDBC, DB-API and HTTP clients."""

from __future__ import annotations

import json
import math
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pyhive import hive

from darkroom.contract import Workspace
from darkroom.lake import Lake
from darkroom.registry.ledger import Ledger
from darkroom.registry.versions import MODEL_DIGEST_TAG
from tests.integration.spark_env.colour_model import (
    picture,
    probability_of_best,
    sharpness_of,
)
from tests.integration.spark_env.gateway_house import (
    beeline,
    deploy,
    deploy_broken,
    new_workspace,
    running_gateway,
    train,
)
from tests.integration.spark_env.gateway_process import Gateway, is_running
from tests.integration.spark_env.ports import free_port

pytestmark = pytest.mark.integration

CLIENTS = 8
SWAP_SECONDS = float(os.environ.get("DARKROOM_SWAP_SECONDS", "300"))
"""How long the clients of the long test ask."""
VIEWS = """\
name: colours
function: see
view: seen
source: {{path: unused}}
gate: {{thresholds: {{accuracy: 0.5}}}}
sql:
  views:
    holiday: {folder}
    nowhere: {folder}/nothing
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return new_workspace(tmp_path_factory.mktemp("workspace"))


@pytest.fixture(scope="module")
def registry_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def gateway(
    workspace: Workspace, registry_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """One for all tests, in their order; its registry is down at first."""
    folder = tmp_path_factory.mktemp("gateway")
    pictures = folder / "pictures" / "inner"
    pictures.mkdir(parents=True)
    (pictures / "green.png").write_bytes(picture("green", "PNG"))
    pipelines = folder / "pipelines"
    pipelines.mkdir()
    (pipelines / "broken.yaml").write_text("name: [")
    (pipelines / "colours.yaml").write_text(VIEWS.format(folder=pictures.parent))
    registry = f"http://127.0.0.1:{registry_port}"
    options = ("--pipelines", str(pipelines))
    with running_gateway(workspace, folder, *options, MLFLOW_TRACKING_URI=registry) as gateway:
        yield gateway


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], port: int = 0) -> Iterator[int]:
    """Serves HTTP on that port of loopback, or on a free one; yields which."""
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def dbapi(gateway: Gateway, sql: str) -> list[Any]:
    """Asks with a Python DB-API client."""
    connection = hive.connect("127.0.0.1", gateway.port)
    try:
        cursor = connection.cursor()
        cursor.execute(sql)
        return list(cursor.fetchall())
    finally:
        connection.close()


def test_the_gateway_serves_jdbc(gateway: Gateway) -> None:
    header, *rows = beeline(
        gateway,
        "SELECT path, see(image)[0].label AS label, see(image)[0].probability AS p "
        "FROM seen ORDER BY path",
    )

    assert header == "path,label,p"
    assert [row.rpartition(",")[0] for row in rows] == ["blue/1.jpg,blue", "red/1.jpg,red"]
    best = [float(row.rpartition(",")[2]) for row in rows]
    assert best == pytest.approx([probability_of_best(1)] * 2, abs=0.01)


def test_health_and_the_views_of_tables_and_folders(gateway: Gateway, workspace: Workspace) -> None:
    code, health = gateway.health()

    assert code == 200
    own = ["colours_predictions", "colours_shadow_predictions"]
    assert health["views"] == [*own, "holiday", "seen"]
    assert "nowhere" in health["broken_views"]["nowhere"]
    assert "broken.yaml: --config" in gateway.log.read_text()
    rows = dbapi(
        gateway, "SELECT regexp_extract(path, '[^/]+$', 0), see(image)[0].label FROM holiday"
    )
    assert rows == [("green.png", "green")]
    assert dbapi(gateway, "SELECT count(*) FROM colours_predictions") == [(0,)]


@pytest.mark.parametrize(
    ("swaps", "seconds"), [(1, 0.0), pytest.param(3, SWAP_SECONDS, marks=pytest.mark.long)]
)
def test_clients_see_swaps_and_no_failure(
    gateway: Gateway,
    workspace: Workspace,
    swaps: int,
    seconds: float,
    record_property: Callable[[str, object], None],
) -> None:
    """Eight clients ask all the time; one version alone answers each of their queries."""
    sql = (
        "SELECT d.model_version, d.objects[0].label, d.objects[1].probability "
        "FROM (SELECT see_detail(image) AS d FROM seen, range(8))"
    )
    stop = threading.Event()
    answers: list[str] = []

    def ask_again_and_again() -> None:
        while not stop.is_set():
            rows = dbapi(gateway, sql)
            assert sorted(label for _, label, _ in rows) == ["blue"] * 8 + ["red"] * 8
            (version,) = {version for version, _, _ in rows}
            # The version that is named is the one whose network answered.
            assert {version_of(second) for _, _, second in rows} == {version}
            answers.append(version)

    def wait_for_answers_of(version: str) -> None:
        gateway.wait_for(lambda: version in answers or any(each.done() for each in asking))

    with ThreadPoolExecutor(CLIENTS) as pool:
        asking = [pool.submit(ask_again_and_again) for _ in range(CLIENTS)]
        try:
            before = int(gateway.function("see")["version"])
            wait_for_answers_of(str(before))
            for version in range(before + 1, before + swaps + 1):
                time.sleep(seconds / (swaps + 1))
                deploy(workspace, version)
                wait_for_answers_of(str(version))
            time.sleep(seconds / (swaps + 1))
        finally:
            stop.set()
        for each in asking:
            each.result()

    assert len(set(answers)) == swaps + 1
    record_property("queries by version", dict(sorted(Counter(answers).items())))


def version_of(second_probability: float) -> str:
    """Which version gives the second-best label of a pure colour that probability."""
    return str(round(-math.log(second_probability) / (255 * sharpness_of(1))))


class SlowPicture(BaseHTTPRequestHandler):
    """Answers /0 with a picture that is not over before the test says so, all else at once."""

    asked = threading.Event()
    go_on = threading.Event()

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        data = picture("red")
        if self.path == "/0":
            self.asked.set()
            # A byte now and then: a server that keeps silent counts as out of reach.
            while len(data) > 1 and not self.go_on.wait(0.5):
                self.wfile.write(data[:1])
                data = data[1:]
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        del format, args


def test_a_query_that_runs_during_a_swap_ends_on_its_version(
    gateway: Gateway, workspace: Workspace
) -> None:
    before = gateway.function("see")["version"]
    after = int(before) + 1
    with serving(SlowPicture) as port, ThreadPoolExecutor(1) as pool:
        # Two tasks on one core: the second begins after the swap.
        sql = (
            "SELECT id, see_detail(image).model_version, see_detail(image).error FROM "
            f"(SELECT id, concat('http://127.0.0.1:{port}/', id) AS image FROM range(0, 2, 1, 2))"
        )
        running = pool.submit(dbapi, gateway, sql)
        assert SlowPicture.asked.wait(60)
        deploy(workspace, after)
        gateway.wait_for_version("see", str(after))
        assert not running.done()
        SlowPicture.go_on.set()

        assert sorted(running.result()) == [(0, before, None), (1, before, None)]
        assert {version for _, version, _ in dbapi(gateway, sql)} == {str(after)}


@pytest.mark.long
def test_a_killed_worker_is_a_task_tried_again(gateway: Gateway) -> None:
    sql = "SELECT count(see(image)) FROM seen, range(10000)"

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(dbapi, gateway, sql)
        while "exited unexpectedly" not in gateway.log.read_text():
            assert not answer.done(), "no worker could be killed while the query ran"
            # The oldest is the daemon, from which the workers are forked.
            for pid in sorted(gateway.below("pyspark.daemon"))[1:]:
                os.kill(pid, signal.SIGKILL)
            time.sleep(1)
        assert answer.result() == [(20000,)]

    assert gateway.health()[0] == 200


def test_a_version_that_does_not_load_is_refused_and_the_old_one_answers(
    gateway: Gateway, workspace: Workspace
) -> None:
    before = gateway.function("see")["version"]
    ledger = Ledger(Lake(workspace), "colours")
    page = workspace.ledger("colours")

    deploy_broken(workspace, 66)
    gateway.wait_for(lambda: ledger.refusals() and page.exists())

    assert gateway.health()[1]["status"] == "degraded"
    function = gateway.function("see")
    assert (function["version"], function["refused"]["version"]) == (before, "66")
    reason = function["refused"]["reason"]
    assert reason.startswith("colours version 66 fails its load check: ")
    (row,) = ledger.refusals()
    assert (row.who, row.why, row.from_version, row.to_version) == (
        "sql-gateway",
        reason,
        before,
        "66",
    )
    # What Airflow's page of all pipelines shows.
    assert json.loads(page.read_text())[0]["why"] == reason
    rows = dbapi(gateway, "SELECT see_detail(image).model_version FROM seen")
    assert rows == [(before,), (before,)]


@pytest.mark.long
def test_a_renamed_function_and_view_answer_by_their_new_names_alone(
    gateway: Gateway, workspace: Workspace
) -> None:
    old = "SELECT see(image)[0].label FROM seen"
    assert len(dbapi(gateway, old)) == 2

    deploy(workspace, 67, function="look", view="looked")
    gateway.wait_for(lambda: "looked" in gateway.health()[1]["views"])

    assert gateway.function("look")["version"] == "67"
    assert not gateway.function("see")
    assert "seen" not in gateway.health()[1]["views"]
    new = "SELECT look_detail(image).model_version FROM looked"
    assert dbapi(gateway, new) == [("67",), ("67",)]
    with pytest.raises(hive.OperationalError, match="UNRESOLVED_ROUTINE"):
        dbapi(gateway, "SELECT see(image) FROM looked")
    with pytest.raises(hive.OperationalError, match="TABLE_OR_VIEW_NOT_FOUND"):
        dbapi(gateway, "SELECT path FROM seen")

    deploy(workspace, 68)
    gateway.wait_for(lambda: "seen" in gateway.health()[1]["views"])
    assert len(dbapi(gateway, old)) == 2


class Registry(BaseHTTPRequestHandler):
    """Answers as an MLflow server whose alias challenger points to version 99, or to none."""

    digest = ""

    def do_GET(self) -> None:
        tags = [{"key": MODEL_DIGEST_TAG, "value": self.digest}]
        found = {"model_version": {"version": "99", "tags": tags}}
        absent = {"error_code": "RESOURCE_DOES_NOT_EXIST"}
        body = json.dumps(found if self.digest else absent).encode()
        self.send_response(200 if self.digest else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        del format, args


@pytest.mark.long
def test_without_its_registry_a_gateway_serves_and_warns(
    gateway: Gateway, workspace: Workspace, registry_port: int
) -> None:
    down = gateway.health()[1]
    assert "does not answer" in down["registry"]
    assert down["functions"]["see"]["version"]
    assert "see_challenger" not in down["functions"]
    assert gateway.log.read_text().count("; what is served stays") == 1

    sql = "SELECT DISTINCT see_challenger_detail(image).model_version FROM seen"
    Registry.digest = train(workspace, 1)
    with serving(Registry, registry_port):
        gateway.wait_for_version("see_challenger", "99")
        assert gateway.health()[1]["registry"] == "ok"

    gateway.wait_for(lambda: gateway.health()[1]["registry"] != "ok")
    assert dbapi(gateway, sql) == [("99",)]

    Registry.digest = ""
    with serving(Registry, registry_port):
        gateway.wait_for(lambda: not gateway.function("see_challenger"))
    with pytest.raises(hive.OperationalError, match="UNRESOLVED_ROUTINE"):
        dbapi(gateway, sql)


@pytest.mark.long
def test_a_killed_gateway_leaves_nothing_and_the_next_one_serves_the_last_good_version(
    gateway: Gateway, workspace: Workspace, tmp_path: Path
) -> None:
    before = gateway.function("see")["version"]
    deploy_broken(workspace, 77)
    gateway.wait_for(lambda: (gateway.function("see")["refused"] or {}).get("version") == "77")
    driver = gateway.driver()

    os.kill(gateway.process.pid, signal.SIGKILL)

    gateway.process.wait(60)
    deadline = time.monotonic() + 60
    while is_running(driver, "sql_gateway.py"):
        assert time.monotonic() < deadline, "the driver outlived its JVM"
        time.sleep(0.2)

    with running_gateway(workspace, tmp_path, "--pipelines", str(tmp_path)) as again:
        function = again.function("see")
        assert (function["version"], function["refused"]["version"]) == (before, "77")

        os.kill(again.driver(), signal.SIGTERM)

        assert again.process.wait(60) == 0, again.log.read_text()
        assert "SQL gateway: stopped" in again.log.read_text().splitlines()
