"""The promotion's steps, interrupted everywhere, against a registry in memory."""

from __future__ import annotations

import datetime as dt

import pytest

from darkroom.contract import ConfigError, GateFailedError
from darkroom.registry.ledger import Action, Entry
from darkroom.registry.promotion import Approval, promote
from tests.unit.spark_env.registry_memory import KilledError, Memory


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
        memory.registry,
        memory.ledger,
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
        "action": "promote",
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


@pytest.mark.parametrize("write", range(5))
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


def test_the_next_promotion_finishes_a_killed_one_before_it_is_worked_out() -> None:
    memory = Memory({"champion": "1", "challenger": "2"})
    memory.dies_before = 1
    with pytest.raises(KilledError):
        run(memory)
    memory.dies_before = None
    assert memory.aliases["champion"] == "1"

    with pytest.raises(GateFailedError, match=r"was version 1 .* and is version 2 now"):
        run(memory, version="3", judged_against="1", run_id="p2")

    assert memory.aliases == {"champion": "2", "previous": "1"}
    assert [row["to_version"] for row in memory.table] == ["2"]


def test_a_late_retry_does_not_undo_a_newer_promotion() -> None:
    memory = Memory({"champion": "1", "challenger": "2"})
    memory.dies_before = 2
    with pytest.raises(KilledError):
        run(memory)
    memory.dies_before = None
    run(memory, version="3", judged_against="2", run_id="p2")

    with pytest.raises(GateFailedError) as caught:
        run(memory)

    at = memory.table[1]["at"]
    assert str(caught.value) == (
        "run p1 made version 2 champion, but was overtaken: version 3 followed at "
        f"{at:%Y-%m-%d %H:%M} UTC; start a new run"
    )
    assert memory.aliases["champion"] == "3"
    assert [row["to_version"] for row in memory.table] == ["2", "3"]


def test_of_two_promotions_at_once_one_is_refused() -> None:
    memory = Memory({"champion": "1", "challenger": "2"})
    memory.before_put = lambda: run(memory, version="3", run_id="p2")

    with pytest.raises(GateFailedError) as caught:
        run(memory)

    assert str(caught.value) == (
        "the approval of version 2 has expired: the champion was version 1 when the model was "
        "judged and is version 3 now; train again"
    )
    assert [row["to_version"] for row in memory.table] == ["3"]
    assert memory.aliases == {"champion": "3", "previous": "1", "challenger": "2"}


def test_a_champion_that_somebody_moved_is_no_champion_to_follow() -> None:
    memory = Memory({"champion": "1"})
    run(memory)
    memory.aliases["champion"] = "7"
    at = memory.table[0]["at"]

    for version, judged_against in (("3", "7"), ("3", "2"), ("7", "2")):
        with pytest.raises(GateFailedError) as caught:
            run(memory, version=version, judged_against=judged_against, run_id="p2")
        assert str(caught.value) == (
            "the champion of signs is version 7, but by the ledger it is version 2 since "
            f"{at:%Y-%m-%d %H:%M} UTC: somebody moved the alias; put it back with: "
            "make rollback PIPELINE=signs VERSION=2 REASON=..."
        )

    assert memory.aliases == {"champion": "7", "previous": "1"}
    assert len(memory.table) == 1


def test_rows_are_in_order_whatever_the_clocks_say() -> None:
    memory = Memory({"champion": "1"})
    run(memory)
    ahead = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    memory.table[0]["at"] = ahead
    memory.entry = memory.ledger.entries()[0].key

    run(memory, version="3", judged_against="2", run_id="p2")

    assert memory.table[1]["at"] == ahead + dt.timedelta(microseconds=1)
    assert memory.aliases["champion"] == "3"


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
        memory.ledger.append(entry, memory.ledger.snapshot)

    assert [entry.to_version for entry in memory.ledger.entries()] == ["1", "2"]


def test_entries_of_an_earlier_version_are_promotions() -> None:
    memory = Memory({"champion": "1"})
    run(memory)
    memory.table[0]["action"] = None

    assert [entry.action for entry in memory.ledger.entries()] == [Action.PROMOTE]
