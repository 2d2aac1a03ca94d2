"""``python -m local_stack demo``: the whole chain on generated photographs of traffic signs."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from darkroom.contract import Stage
from darkroom_airflow.pipelines import read_pipeline
from local_stack import console, credentials, show
from local_stack.chain import Chain, ChainError, Ended
from local_stack.drive import drive
from local_stack.layout import PROJECT, Layout
from local_stack.question import Question
from local_stack.stack import Running

PIPELINE = "traffic_signs"
REASON = "demo"


def run_demo(layout: Layout) -> int:
    """Runs the demo; returns the exit code."""
    begun = time.monotonic()
    console.title("Darkroom: from a folder of photographs to a SQL answer")
    folder = layout.workspace.root / "demo" / PIPELINE
    console.step(0, "Photographs of traffic signs, with planted defects, are made")
    console.line(f"in {layout.shown(folder)}")
    console.step(1, "Meanwhile Airflow, MLflow and the report server start on loopback")
    generator = _generate(layout, folder)

    def work(running: Running, chain: Chain) -> int:
        console.line(f"Airflow {chain.client.url}, up after {time.monotonic() - begun:.0f} s")
        _await_photographs(generator)
        _chain(running, chain, str(folder))
        console.line()
        console.line(f"Total: {time.monotonic() - begun:.0f} s. To go on:")
        console.verbatim("make up                                       pages and approvals")
        console.verbatim("make run PIPELINE=my_signs SOURCE=/my/folder  your own images")
        return 0

    try:
        return drive(layout, PIPELINE, work)
    finally:
        generator.kill()


def _generate(layout: Layout, folder: Path) -> subprocess.Popen[str]:
    command = [str(layout.spark_venv / "bin" / "python"), "-m", "demo", "--output", str(folder)]
    path = os.pathsep.join((str(PROJECT), str(PROJECT / "spark_jobs")))
    return subprocess.Popen(
        command,
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _await_photographs(generator: subprocess.Popen[str]) -> None:
    said, _ = generator.communicate()
    last = said.strip().rpartition("\n")[2]
    if generator.returncode:
        raise ChainError(f"the generator of the photographs failed: {last}")
    console.line(f"Photographs {last.partition(': ')[2]}")


def _chain(running: Running, chain: Chain, source: str) -> None:
    console.step(2, f"{chain.training}, started through Airflow's REST API")
    console.line("Seconds are Airflow's: from the start of a task to its end.")
    show.in_the_way(chain.training, chain.in_the_way())
    report: list[str] = []
    config = read_pipeline(running.layout.pipelines / f"{PIPELINE}.yaml")
    question = Question(running, chain, config)

    def on_end(task: Ended) -> None:
        show.ended(task)
        question.foresee(task)
        if task.task.task == Stage.EVALUATE and task.result.get("report"):
            report.append(task.result["report"])

    training_run, register = chain.train({"source": source}, on_end)
    promotion = (
        chain.unanswered() if register.state == "skipped" else chain.promotion_of(training_run)
    )
    if promotion:
        _promote(chain, promotion)
    else:
        _ask(question)
    console.step(5, "Where things are")
    for page in report:
        console.verbatim(f"report   {running.layout.shown(running.layout.workspace.root / page)}")
    console.verbatim(f"logs     {running.layout.shown(running.layout.logs)}")


def _promote(chain: Chain, run: str) -> None:
    console.step(3, f"{chain.promotion} asks a person")
    asked = chain.wait_for_question(run)
    if asked:
        show.question(asked)
        console.line()
        console.line(
            f'Answered "Approve" as user {credentials.DEMO} with the reason "{REASON}", through '
            "Airflow's public REST API, as an operator would."
        )
    console.line()
    deploy = chain.approve(run, REASON, show.ended)
    console.step(4, "The answer from SQL")
    show.rows(deploy.outputs["query"], deploy.outputs["rows"])


def _ask(question: Question) -> None:
    console.step(3, "Nothing to approve: this model already is champion")
    console.step(4, "The answer from SQL, in a fresh Spark process")
    show.answer(question.sql, question.answer())
