"""How the results of the stages look on the console."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from darkroom.contract import GateDecision, Stage
from local_stack import console
from local_stack.chain import Ended
from local_stack.client import OpenRun

_SHOWN_OBJECTS = 3
_SHOWN_REJECTS = 15


def ended(task: Ended) -> None:
    """A stage's line, and what a person wants to know beyond it."""
    console.stage(task.task.task, task.task.seconds or 0.0, task.summary, task.task.state or "")
    if task.task.task == Stage.INGEST:
        _rejected(task.outputs)
    if task.task.task == Stage.EVALUATE and "decision" in task.outputs:
        _gate(GateDecision.from_json(task.outputs["decision"]))


def in_the_way(dag: str, run: OpenRun | None) -> None:
    """Why nothing seems to happen, if an interrupted stack has left a run of this DAG."""
    if run is None:
        return
    since = f"since {run.since:%Y-%m-%d %H:%M} UTC" if run.since else "not yet started"
    console.line(
        f"Waiting for an earlier run of {dag} to end: {run.run}, {since}. To drop it, press "
        "Ctrl-C, start `make up`, mark that run as failed on Airflow's page, and try again."
    )


def question(asked: Mapping[str, Any]) -> None:
    """What a person is asked before a model becomes champion."""
    console.verbatim(str(asked["subject"]))
    console.line()
    console.markdown(str(asked["body"]).rstrip())


def rows(query: str, found: Sequence[Mapping[str, Any]]) -> None:
    """The rows that the stage deploy has seen: path and the likeliest objects."""
    console.verbatim(query)
    console.line()
    listed = [(row["path"], _objects(row["objects"])) for row in found]
    console.table(("path", "objects"), listed)


def answer(query: str, text: str) -> None:
    """A query and its rows as Spark's own command shows them."""
    console.verbatim(query)
    console.line()
    console.verbatim(text)


def _objects(objects: Sequence[Mapping[str, Any]] | None) -> str:
    if objects is None:
        return "NULL"
    best = objects[:_SHOWN_OBJECTS]
    return ", ".join(f"{each['label']} {each['probability']:.3f}" for each in best)


def _rejected(outputs: Mapping[str, Any]) -> None:
    files = outputs.get("rejected_files", [])
    if not files:
        return
    console.line()
    console.line("Rejected:")
    for file in files[:_SHOWN_REJECTS]:
        console.finding(file["reason"], file["path"], file["detail"])
    if (more := outputs["rejected"] - _SHOWN_REJECTS) > 0:
        console.line(f"... and {more} more in the table rejected_images")
    console.line()


def _gate(decision: GateDecision) -> None:
    console.line()
    console.table(
        ("gate", "value", "needed", "verdict"), [check.cells for check in decision.checks]
    )
    console.line()
