"""The ledger tells changes of the champion from versions that could not answer."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from darkroom.contract import Workspace
from darkroom.lake import Lake
from darkroom.registry.ledger import Action, Entry, Ledger

PROMOTED = Entry(
    pipeline="signs",
    who="mia",
    at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    why="better",
    from_version=None,
    to_version="1",
    model_digest="d1",
    decision_digest="e1",
    run_id="r1",
)


def test_a_refusal_is_recorded_once_per_reason_and_is_no_promotion(tmp_path: Path) -> None:
    ledger = Ledger(Lake(Workspace(tmp_path)), "signs")
    ledger.append(PROMOTED, None)

    for reason in ("does not load", "does not load", "answers nonsense"):
        ledger.refuse(
            who="deploy", why=reason, serving="1", version="2", model_digest="d2", run_id="r2"
        )

    assert ledger.entries() == [PROMOTED]
    assert [
        (row.who, row.why, row.from_version, row.to_version, row.action)
        for row in ledger.refusals()
    ] == [
        ("deploy", "does not load", "1", "2", Action.REFUSE),
        ("deploy", "answers nonsense", "1", "2", Action.REFUSE),
    ]


def test_rows_from_before_there_were_actions_are_promotions(tmp_path: Path) -> None:
    lake = Lake(Workspace(tmp_path))
    ledger = Ledger(lake, "signs")
    ledger.append(PROMOTED, None)
    (row,) = lake.rows("signs", "ledger")
    old = {name: value for name, value in row.items() if name != "action"} | {"run_id": "r0"}
    lake.append_rows([old], "signs", "ledger", run_id="r0", stage="promote")

    assert [entry.run_id for entry in ledger.entries()] in (["r1", "r0"], ["r0", "r1"])
    assert {entry.action for entry in ledger.entries()} == {Action.PROMOTE}
