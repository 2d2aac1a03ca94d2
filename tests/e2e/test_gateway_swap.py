"""What ``make up`` serves: the first query over JDBC, and queries that see a champion change."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from local_stack import credentials
from local_stack.chain import Chain
from local_stack.client import AirflowClient
from local_stack.layout import Layout
from local_stack.pipeline_file import SourceFolder, existing_or_new
from local_stack.stack import Running, run_stack
from tests.e2e.conftest import SPARK_PYTHON, Place

pytestmark = [pytest.mark.e2e, pytest.mark.long]

ASK = Path(__file__).with_name("spark_env") / "ask_gateway.py"
PIPELINE = "signs"
FUNCTION = "my_object_recognition_function"
VIEW = "traffic_imgs"
FIRST_QUERY = f"SELECT image, {FUNCTION}(image) AS objects FROM {VIEW}"
LOOP_QUERY = (
    "SELECT d.model_version, count(*), count(d.error) FROM "
    f"(SELECT {FUNCTION}_detail(image) AS d FROM {VIEW}) GROUP BY d.model_version"
)
PATIENCE = 300.0


@dataclass
class Seen:
    """What the clients of a gateway have seen.

    Attributes:
        first: What beeline printed.
        loop: The answers of the loop of queries, in their order: rows (version, images, errors).
    """

    first: str = ""
    loop: list[list[list[Any]]] = field(default_factory=list)


@pytest.fixture
def place(new_place: Callable[[], Place], monkeypatch: pytest.MonkeyPatch) -> Place:
    """An empty workspace, and the pipeline of the photographs with the demo's SQL names."""
    made = new_place()
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    existing_or_new(made.pipelines, PIPELINE, SourceFolder.look_at(str(made.signs)))
    rewrite(made, function=FUNCTION, view=VIEW, tuning={"reg_params": [0.01]})
    return made


def rewrite(place: Place, **values: object) -> None:
    file = place.pipelines / f"{PIPELINE}.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | values))


def test_queries_see_the_old_and_the_new_champion_and_no_error(place: Place) -> None:
    layout, started, seen = Layout.from_environment(), datetime.now(UTC), Seen()

    def driver(running: Running) -> int:
        password = credentials.passwords(layout)[credentials.DEMO]
        url = running.ports.url(running.ports.airflow)
        with AirflowClient(url, credentials.DEMO, password) as client:
            chain = Chain(client, layout, PIPELINE)
            chain.wait_for_dags(started)
            promote(chain)
            wait_until(lambda: served(running) == "1")
            seen.first = beeline(running, FIRST_QUERY)
            # Other heads, so that there is another model to approve.
            rewrite(place, tuning={"reg_params": [0.02]})
            with asking(running, place.root / "answers.jsonl", seen):
                promote(chain)
                wait_until(lambda: served(running) == "2")
                # So that the loop asks the new version a few times.
                beeline(running, FIRST_QUERY)
        return 0

    assert run_stack(layout, driver, people=True) == 0

    images = len(place.tables(PIPELINE)["images"])
    assert seen.first.replace('"', "").count("[{label:") == images
    assert all(len(answer) == 1 for answer in seen.loop), "a query was answered by two versions"
    assert {tuple(answer[0][1:]) for answer in seen.loop} == {(images, 0)}
    versions = [answer[0][0] for answer in seen.loop]
    assert set(versions) == {"1", "2"}
    assert versions == sorted(versions)
    ledger = place.tables(PIPELINE)["ledger"]
    assert [version for _, _, version in ledger] == ["1", "2"]


def promote(chain: Chain) -> None:
    """Trains, approves and deploys, as people do in Airflow."""
    training_run, register = chain.train({}, lambda task: None)
    assert register.state == "success", register
    chain.approve(chain.promotion_of(training_run), "test", lambda task: None)


def served(running: Running) -> str | None:
    """The version that the gateway's health page names."""
    try:
        health = httpx.get(f"{running.ports.url(running.ports.sql_health)}/health", timeout=30)
    except httpx.TransportError:
        return None
    function = health.json()["functions"].get(FUNCTION, {})
    version: str | None = function.get("version")
    return version


def wait_until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, "the gateway does not answer as it should"
        time.sleep(0.2)


def beeline(running: Running, sql: str) -> str:
    """What beeline prints; pictures are no text."""
    url = f"jdbc:hive2://127.0.0.1:{running.ports.sql}"
    done = subprocess.run(
        ["beeline", "-u", url, "--silent=true", "--outputformat=csv2", "-e", sql],
        env=running.environment,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def asking(running: Running, answers: Path, seen: Seen) -> Iterator[None]:
    """Lets a client ask all the time; it has asked before the body begins."""
    command = [str(SPARK_PYTHON), str(ASK), str(running.ports.sql), LOOP_QUERY]
    with (
        answers.open("w") as stream,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=stream, stderr=subprocess.PIPE, text=True
        ) as client,
    ):
        wait_until(lambda: answers.stat().st_size > 0 or client.poll() is not None)
        yield
        # Its input ends here.
        _, said = client.communicate(timeout=PATIENCE)
    assert client.returncode == 0, said
    seen.loop += map(json.loads, answers.read_text().splitlines())
