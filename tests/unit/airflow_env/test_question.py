"""The question to the deployed function, with a stand-in for spark-submit."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from darkroom.contract import GateConfig, PipelineConfig, SourceConfig, Workspace
from local_stack import run as run_module
from local_stack.chain import ChainError, Ended, OnEnd
from local_stack.client import TaskState
from local_stack.layout import Layout
from local_stack.ports import choose_ports
from local_stack.question import Question
from local_stack.run import run_pipeline
from local_stack.stack import Running

CONFIG = PipelineConfig(
    name="signs",
    function="recognize_signs",
    view="signs_imgs",
    source=SourceConfig(path="photographs"),
    gate=GateConfig(thresholds={"accuracy": 0.5}),
)
SQL = "SELECT path, recognize_signs(image) AS objects FROM signs_imgs"


def ended(stage: str, status: str) -> Ended:
    return Ended(TaskState(stage, -1, None, "success", 1, 1.0), {"status": status}, "")


class House:
    """A stack whose spark-submit is a shell script that leaves a mark for each start."""

    def __init__(self, folder: Path) -> None:
        self.marks = folder / "marks"
        self.layout = Layout(Workspace(folder), folder, folder, folder)
        self.layout.logs.mkdir()
        self.bin = folder / "bin"
        self.bin.mkdir()

    def running(self, script: str) -> Running:
        command = self.bin / "spark-submit"
        command.write_text(f'#!/bin/sh\necho "$@" >> {self.marks}\n{script}\n')
        command.chmod(0o755)
        environment = {"PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}"}
        return Running(self.layout, choose_ports(), environment)

    def question(self, script: str, unanswered: str | None = None) -> Question:
        chain: Any = SimpleNamespace(unanswered=lambda: unanswered)
        return Question(self.running(script), chain, CONFIG)

    def starts(self) -> list[str]:
        return self.marks.read_text().splitlines() if self.marks.exists() else []


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_an_unchanged_evaluation_starts_spark_before_the_answer_is_wanted(house: House) -> None:
    question = house.question("echo rows")

    question.foresee(ended("tune", "unchanged"))
    assert house.starts() == []
    question.foresee(ended("evaluate", "unchanged"))

    deadline = time.monotonic() + 30
    while not house.starts():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert question.answer() == "rows"
    (start,) = house.starts()
    assert start.endswith(f"/spark_jobs/query.py --sql {SQL} --limit 5")


@pytest.mark.parametrize(
    ("status", "unanswered"), [("done", None), ("unchanged", "a promotion run")]
)
def test_where_a_person_may_be_asked_first_spark_waits(
    house: House, status: str, unanswered: str | None
) -> None:
    question = house.question("echo rows", unanswered)

    question.foresee(ended("evaluate", status))

    assert question._process is None
    assert question.answer() == "rows"
    assert len(house.starts()) == 1


def test_a_failed_query_is_its_own_line_and_its_log(house: House) -> None:
    question = house.question("echo noise >&2; echo 'error: SQL: unknown view'; exit 2")

    with pytest.raises(ChainError) as raised:
        question.answer()

    log = house.layout.logs / "query.log"
    assert str(raised.value) == f"the query failed: SQL: unknown view\n  log: {log}"
    assert log.read_text() == "error: SQL: unknown view\nnoise\n"


def test_a_run_that_finds_nothing_new_asks_the_deployed_model(
    house: House,
    layout: Layout,
    photographs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def train(params: Any, on_end: OnEnd) -> tuple[str, TaskState]:
        on_end(ended("evaluate", "unchanged"))
        return "r2", TaskState("register", -1, None, "skipped", 1, 1.0)

    chain = SimpleNamespace(
        training="signs_training", in_the_way=lambda: None, unanswered=lambda: None, train=train
    )
    running = house.running("echo '1.jpg  stop 0.987'")
    monkeypatch.setattr(run_module, "drive", lambda *given: given[-1](running, chain))

    assert run_pipeline(layout, "signs", str(photographs), approve="yes") == 0

    out, err = capsys.readouterr()
    assert err == ""
    assert "Nothing new to approve; the deployed model answers" in out
    assert out.endswith(f"  {SQL}\n\n  1.jpg  stop 0.987\n")
    assert len(house.starts()) == 1
