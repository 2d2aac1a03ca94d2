"""The promotion's steps, interrupted everywhere, against a registry in memory."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any, cast

import pytest

from darkroom.contract import ConfigError, GateFailedError, Stage
from darkroom.registry.ledger import Entry, Ledger
from darkroom.registry.promotion import Approval, promote
from darkroom.registry.versions import Registry


class KilledError(Exception):
    """Stands for kill -9 between two steps."""


class Memory:
    """Aliases and tables in memory that die before or after the n-th write."""

    def __init__(self, aliases: dict[str, str]) -> None:
        self.name = "signs"
        self.aliases = aliases
        self.table: list[dict[str, Any]] = []
        self.writes = 0
        self.dies_before: int | None = None

    def _write(self) -> None:
        if self.writes == self.dies_before:
            raise KilledError
        self.writes += 1

    def at(self, alias: str) -> SimpleNamespace | None:
        return SimpleNamespace(version=self.aliases[alias]) if alias in self.aliases else None

    def point(self, alias: str, version: str) -> None:
        self._write()
        self.aliases[alias] = version

    def clear(self, alias: str, version: str) -> None:
        self._write()
        if self.aliases.get(alias) == version:
            del self.aliases[alias]

    def rows(self, namespace: str, table: str) -> list[dict[str, Any]]:
        assert (namespace, table) == ("signs", "ledger")
        return list(self.table)

    def append_rows(
        self,
        rows: list[dict[str, Any]],
        namespace: str,
        table: str,
        *,
        run_id: str,
        stage: Stage,
    ) -> None:
        assert (namespace, table, stage) == ("signs", "ledger", Stage.PROMOTE)
        assert all(row["run_id"] == run_id for row in rows)
        self._write()
        self.table += rows


def approval(version: str = "2", **changes: str) -> Approval:
    values = {
        "version": version,
        "model_digest": version * 64,
        "decision_digest": "d" * 64,
        "approved_by": "demo",
        "reason": "looks good",
    }
    return Approval(**(values | changes))


def run(
    memory: Memory, version: str = "2", judged_against: str | None = "1", run_id: str = "p1"
) -> str | None:
    return promote(
        cast(Registry, memory),
        Ledger(memory, "signs"),
        approval(version),
        pipeline="signs",
        judged_against=judged_against,
        run_id=run_id,
    )


def test_a_promotion_moves_the_aliases_and_writes_one_row() -> None:
    memory = Memory({"champion": "1", "challenger": "2"})
    before = dt.datetime.now(dt.UTC)

    assert run(memory) == "1"

    assert memory.aliases == {"champion": "2", "previous": "1"}
    (row,) = memory.table
    assert before <= row.pop("at") <= dt.datetime.now(dt.UTC)
    assert row == {
        "pipeline": "signs",
        "who": "demo",
        "why": "looks good",
        "from_version": "1",
        "to_version": "2",
        "model_digest": "2" * 64,
        "decision_digest": "d" * 64,
        "run_id": "p1",
    }


def test_the_first_champion_has_no_previous() -> None:
    memory = Memory({"challenger": "1"})

    assert run(memory, version="1", judged_against=None) is None

    assert memory.aliases == {"champion": "1"}
    assert [row["from_version"] for row in memory.table] == [None]


def test_a_newer_challenger_stays() -> None:
    memory = Memory({"champion": "1", "challenger": "3"})

    run(memory)

    assert memory.aliases == {"champion": "2", "previous": "1", "challenger": "3"}


@pytest.mark.parametrize("write", range(4))
@pytest.mark.parametrize("champion", ["1", None])
def test_a_retry_after_a_crash_ends_as_an_undisturbed_promotion(
    write: int, champion: str | None
) -> None:
    start = {"challenger": "2"} | ({"champion": champion} if champion else {})
    undisturbed, crashed = Memory(dict(start)), Memory(dict(start))
    run(undisturbed, judged_against=champion)
    crashed.dies_before = min(write, undisturbed.writes - 1)

    with pytest.raises(KilledError):
        run(crashed, judged_against=champion)
    crashed.dies_before = None

    assert run(crashed, judged_against=champion) == champion
    assert crashed.aliases == undisturbed.aliases
    assert len(crashed.table) == len(undisturbed.table) == 1
    assert crashed.table[0]["from_version"] == champion


def test_repeating_a_promotion_changes_nothing() -> None:
    memory = Memory({"champion": "1", "challenger": "2"})
    run(memory)
    aliases, table = dict(memory.aliases), list(memory.table)

    assert run(memory) == "1"

    assert (memory.aliases, memory.table) == (aliases, table)


def test_promoting_the_champion_again_in_another_run_writes_no_row() -> None:
    memory = Memory({"champion": "1", "challenger": "2"})
    run(memory)

    assert run(memory, run_id="p2") == "1"

    assert len(memory.table) == 1
    assert memory.aliases == {"champion": "2", "previous": "1"}


def test_an_approval_expires_when_the_champion_has_moved() -> None:
    memory = Memory({"champion": "3", "challenger": "2"})

    with pytest.raises(GateFailedError) as caught:
        run(memory)

    assert str(caught.value) == (
        "the approval of version 2 has expired: the champion was version 1 when the model was "
        "judged and is version 3 now; train again"
    )
    assert memory.aliases == {"champion": "3", "challenger": "2"}
    assert memory.table == []


def test_a_late_retry_does_not_undo_a_newer_promotion() -> None:
    memory = Memory({"champion": "1", "challenger": "2"})
    memory.dies_before = 2
    with pytest.raises(KilledError):
        run(memory)
    memory.dies_before = None
    run(memory, version="3", judged_against="1", run_id="p2")

    with pytest.raises(GateFailedError, match=r"version 2 in run p1 was overtaken: version 3 "):
        run(memory)

    assert memory.aliases["champion"] == "3"
    assert [row["to_version"] for row in memory.table] == ["2", "3"]


def test_a_version_can_become_champion_twice() -> None:
    memory = Memory({"champion": "1"})
    run(memory, version="2", judged_against="1", run_id="p1")
    run(memory, version="1", judged_against="2", run_id="rollback")

    assert run(memory, version="2", judged_against="1", run_id="p2") == "1"

    assert [row["to_version"] for row in memory.table] == ["2", "1", "2"]
    assert memory.aliases == {"champion": "2", "previous": "1"}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"reason": " "}, "--reason = ' ': say in a few words why this model may become champion"),
        ({"approved_by": ""}, "--approved-by = '': name the person who approved"),
        ({"version": ""}, "--version = '': give the number of the version to promote"),
        (
            {"model_digest": ""},
            "--model-digest = '': give the SHA-256 of the model file that was approved",
        ),
        (
            {"decision_digest": ""},
            "--decision-digest = '': give the SHA-256 of the gate decision that was approved",
        ),
    ],
)
def test_an_approval_needs_every_part(changes: dict[str, str], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        approval(**changes)

    assert str(caught.value) == text


def test_entries_come_oldest_first_whatever_the_order_of_the_files() -> None:
    memory = Memory({})
    times = [dt.datetime(2026, 1, day, tzinfo=dt.UTC) for day in (2, 1)]
    for at in times:
        entry = Entry(
            pipeline="signs",
            who="demo",
            at=at,
            why="why",
            from_version=None,
            to_version=str(at.day),
            model_digest="m",
            decision_digest="d",
            run_id="r",
        )
        Ledger(memory, "signs").append(entry)

    assert [entry.to_version for entry in Ledger(memory, "signs").entries()] == ["1", "2"]
