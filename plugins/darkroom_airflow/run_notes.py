"""Writes into a training run's note why it runs.

A task may read the note of its run and not write it, and Airflow's REST API would need a user's
password. The scheduler tells listeners of every run that starts, inside the transaction that starts
it: a note that is set there is there as soon as the run is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from airflow.listeners import hookimpl

from darkroom.contract import one_line
from darkroom_airflow.links import file_url
from darkroom_airflow.run_types import BY_ASSETS, BY_CLOCK, BY_HAND

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from airflow.models.dagrun import DagRun

TRAINING: Final = "training"
"""Tag of the DAGs whose runs get a note, and the end of their ids."""

KINDS: Final = {"data": "new data", "drift": "drift"}
"""What an event of ``darkroom://<pipeline>/<...>`` means."""

LONGEST_REASON: Final = 300
LONGEST_NOTE: Final = 1000
"""Characters; Airflow's database keeps no longer one."""


@hookimpl
def on_dag_run_running(dag_run: DagRun, msg: str) -> None:
    """Notes why a training run runs, unless whoever started it has written a note."""
    del msg
    if _is_training(dag_run) and not dag_run.note:
        dag_run.note = why(dag_run)


def why(run: DagRun) -> str:
    """Why a run runs, in one line: ``drift: ...``, ``new data: ...``, ``schedule``, ``by hand``.

    Args:
        run: As the scheduler has it, with the events that started it.
    """
    if run.run_type == BY_HAND:
        who = run.triggering_user_name
        return f"by hand: {who}" if who else "by hand"
    if run.run_type != BY_ASSETS:
        return "schedule" if run.run_type == BY_CLOCK else str(run.run_type)
    events = run.consumed_asset_events
    reasons = dict.fromkeys(_reason(event.asset.uri, event.extra or {}) for event in events)
    return one_line("; ".join(reasons) or "an event", LONGEST_NOTE)


def _is_training(run: DagRun) -> bool:
    dag = run.dag
    tags = set(dag.tags) if dag else set()
    return {TRAINING, run.dag_id.removesuffix(f"_{TRAINING}")} <= tags


def _reason(uri: str, extra: Mapping[str, Any]) -> str:
    """What an event says; its extra may be anybody's who may send one."""
    name = uri.rpartition("/")[2]
    kind = KINDS.get(name, name)
    given = extra.get("reason")
    text = f"{kind}: {one_line(given, LONGEST_REASON)}" if given else kind
    report = extra.get("report")
    page = file_url(quote(report)) if isinstance(report, str) else ""
    return f"{text} ([report]({page}))" if page else text
