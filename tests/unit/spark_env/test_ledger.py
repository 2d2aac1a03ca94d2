"""The ledger tells changes of the champion from versions that could not answer."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from darkroom.contract import Workspace
from darkroom.lake import Lake
from darkroom.registry.ledger import Action, Entry, Ledger
from darkroom.registry.ledger_copy import copy_ledger

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


def test_the_copy_for_the_pages_has_refusals_too_newest_first(tmp_path: Path) -> None:
    ledger = Ledger(Lake(Workspace(tmp_path)), "signs")
    ledger.append(PROMOTED, None)
    ledger.refuse(
        who="deploy", why="does not load", serving="1", version="2", model_digest="d2", run_id="r2"
    )

    copy_ledger(ledger, tmp_path / "copy.json")

    refusal, promotion = json.loads((tmp_path / "copy.json").read_text())
    assert promotion["action"] == "promote"
    told = (refusal["action"], refusal["from_version"], refusal["to_version"], refusal["why"])
    assert told == ("refuse", "1", "2", "does not load")


def test_a_row_that_comes_while_the_copy_is_written_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(Lake(Workspace(tmp_path)), "signs")
    ledger.append(PROMOTED, None)
    later = replace(PROMOTED, to_version="2", at=PROMOTED.at + dt.timedelta(days=1))
    read = Ledger.rows
    meanwhile = iter([later])

    def and_then_another_writes(own: Ledger) -> Any:
        rows = read(own)
        for entry in meanwhile:
            own.append(entry, own.snapshot)
        return rows

    monkeypatch.setattr(Ledger, "rows", and_then_another_writes)

    copy_ledger(ledger, tmp_path / "copy.json")

    copied = json.loads((tmp_path / "copy.json").read_text())
    assert [row["to_version"] for row in copied] == ["2", "1"]
