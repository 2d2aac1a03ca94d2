"""Airflow's scheduler is killed while approvals wait: each is decided once, as if it had not been.

No triggerer runs: a question that is asked in Airflow alone waits in the database.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from local_stack import credentials
from local_stack.chain import Chain
from local_stack.client import AirflowClient
from local_stack.environment import airflow_environment
from local_stack.layout import Layout
from local_stack.ports import choose_ports
from local_stack.services import Service, prepare, services
from tests.integration.airflow_env.conftest import World
from tests.integration.airflow_env.post import PostOffice, post_office
from tests.integration.airflow_env.test_up_command import challenge, states, wait_for
from tests.standing import START_SECONDS, Up

pytestmark = [pytest.mark.integration, pytest.mark.long]

SHORT = 20
"""Seconds in which nobody answers the question of ``dogs``."""

SMTP = "airflow.providers.smtp.notifications.smtp.SmtpNotifier"
MAIL = (
    f"{{notifier: {SMTP}, arguments: {{smtp_conn_id: mail, from_email: a@example.org, "
    "to: [ada@example.org], subject: '{{ task.subject }}', "
    "html_content: '{{ task.generate_link_to_ui(task_instance=ti) }}'}}"
)
APPROVALS = {
    "signs": f"{{notifiers: [{MAIL}]}}",
    "cats": "{timeout_hours: 1}",
    "dogs": f"{{timeout_hours: {SHORT / 3600}}}",
}
NEEDED = ("api-server", "scheduler", "dag-processor")


@dataclass
class Parts:
    """The processes of an Airflow, each of which can be killed and started by itself."""

    listed: dict[str, Service]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str) -> None:
        service = self.listed[name]
        command = ["bash", "-c", service.shell_command]
        environment = dict(service.environment)
        self.running[name] = subprocess.Popen(command, env=environment, start_new_session=True)

    def end(self, name: str, how: signal.Signals) -> None:
        process = self.running.pop(name)
        os.killpg(process.pid, how)
        process.wait(timeout=60)

    def end_all(self) -> None:
        for name in tuple(self.running):
            self.end(name, signal.SIGTERM)


@pytest.fixture(scope="module")
def office() -> Iterator[PostOffice]:
    with post_office() as opened:
        yield opened


@pytest.fixture(scope="module")
def layout(world: World, office: PostOffice) -> Iterator[Layout]:
    """The workspace, with its environment around: what the stack's own code looks at."""
    mail = {
        "conn_type": "smtp",
        "host": "127.0.0.1",
        "port": office.port,
        "extra": {"disable_ssl": True, "disable_tls": True},
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in world.environment.items():
            patch.setenv(name, value)
        patch.setenv("AIRFLOW_CONN_MAIL", json.dumps(mail))
        patch.delenv("AIRFLOW_HOME", raising=False)
        yield Layout.from_environment()


@pytest.fixture(scope="module")
def parts(layout: Layout) -> Iterator[Parts]:
    ports = choose_ports()
    environment = airflow_environment(layout, ports, quick=False)
    prepare(layout, environment)
    every = services(layout, ports, environment, people=False)
    parts = Parts({service.name: service for service in every if service.name in NEEDED})
    try:
        for name in NEEDED:
            parts.start(name)
        yield parts
    finally:
        parts.end_all()


@pytest.fixture(scope="module")
def up(parts: Parts, layout: Layout) -> Iterator[Up]:
    started = datetime.now(UTC)
    health = parts.listed["api-server"].health
    assert health is not None
    url = health.removesuffix("/execution/health")
    wait_for("API server", lambda: answers(health), START_SECONDS)
    password = credentials.passwords(layout)[credentials.DEMO]
    with AirflowClient(url, credentials.DEMO, password) as client:
        chain = Chain(client, layout, "signs")
        chain.wait_for_dags(started, [f"{name}_promotion" for name in APPROVALS])
        process: Any = parts.running["api-server"]
        yield Up(process, f"Airflow    {url}\n", client, chain, layout)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=30).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def approvals(up: Up, asked: dict[str, tuple[Chain, str]]) -> dict[str, str | None]:
    """State of the task that asks, per pipeline."""
    return {
        name: states(up, chain.promotion, run)["approve"] for name, (chain, run) in asked.items()
    }


def wait_for_end(up: Up, chain: Chain, run: str) -> None:
    wait_for("end", lambda: up.client.run_state(chain.promotion, run) == "success", 120)


def test_each_question_is_decided_once(
    up: Up, parts: Parts, world: World, office: PostOffice
) -> None:
    asked = {name: challenge(up, name) for name in APPROVALS}
    for chain, run in asked.values():
        assert chain.wait_for_question(run) is not None
    last = time.monotonic()
    time.sleep(5)  # as a person would, who reads first

    parts.end("scheduler", signal.SIGKILL)
    # While it is dead one question is answered, and the time of another one passes.
    cats, while_dead = asked["cats"]
    up.client.answer(cats.promotion, while_dead, "approve", "Approve", "nobody schedules")
    time.sleep(max(0.0, last + SHORT + 2 - time.monotonic()))
    assert approvals(up, asked) == {
        "signs": "awaiting_input",
        "cats": "scheduled",
        "dogs": "awaiting_input",
    }

    parts.start("scheduler")
    wait_for_end(up, cats, while_dead)
    signs, afterwards = asked["signs"]
    assert states(up, signs.promotion, afterwards)["approve"] == "awaiting_input"
    up.client.answer(signs.promotion, afterwards, "approve", "Approve", "it is back")
    for chain, run in asked.values():
        wait_for_end(up, chain, run)

    promoted = [Path(call["options"]["--config"][0]).stem for call in world.spark.calls("promote")]
    reasons = [call["options"]["--reason"] for call in world.spark.calls("promote")]
    assert (promoted, reasons) == (["cats", "signs"], [["nobody schedules"], ["it is back"]])
    dogs, unanswered = asked["dogs"]
    ended = {"approve": "success", "promote": "skipped", "deploy": "skipped"}
    assert states(up, dogs.promotion, unanswered) == ended
    question = up.client.question(dogs.promotion, unanswered, "approve")
    assert (question["chosen_options"], question["responded_by_user"]) == (["Reject"], None)
    (letter,) = office.letters
    assert letter["subject"] == "May version 1 of signs become champion?"
    assert "/dags/signs_promotion/runs/" in letter.get_body().get_content()  # type: ignore[union-attr]
