"""Back to an earlier champion, by a person or by the ledger, against a registry in memory."""

from __future__ import annotations

import pytest

from darkroom.contract import ConfigError, DarkroomError, GateFailedError, MissingInputError
from darkroom.registry.promotion import promote
from darkroom.registry.rollback import put_back, roll_back
from tests.unit.spark_env.registry_memory import KilledError, Memory
from tests.unit.spark_env.test_promotion import approval


def with_champions(*versions: str) -> Memory:
    """A registry in which these versions were promoted, one after the other."""
    memory = Memory({})
    champion = None
    for version in versions:
        promote(
            memory.registry,
            memory.ledger,
            approval(version),
            pipeline="signs",
            judged_against=champion,
            run_id=f"p{version}",
        )
        champion = version
    memory.writes = 0
    return memory


def back(memory: Memory, version: str | None = None, run_id: str = "r1") -> str:
    entry = roll_back(
        memory.registry,
        memory.ledger,
        pipeline="signs",
        version=version,
        who="ann",
        why="wrong at night",
        run_id=run_id,
    )
    return entry.to_version


def test_a_rollback_restores_the_champion_before_and_writes_one_row() -> None:
    memory = with_champions("1", "2")

    assert back(memory) == "1"

    assert memory.aliases == {"champion": "1", "previous": "2"}
    row = memory.table[-1]
    assert row["at"] > memory.table[-2]["at"]
    assert {name: row[name] for name in row if name != "at"} == {
        "pipeline": "signs",
        "who": "ann",
        "why": "wrong at night",
        "from_version": "2",
        "to_version": "1",
        "model_digest": "1" * 64,
        "decision_digest": "d" * 64,
        "run_id": "r1",
        "action": "rollback",
    }
    assert memory.verified == ["1"]


def test_rollbacks_one_after_the_other_go_further_back() -> None:
    memory = with_champions("1", "2", "3")

    assert [back(memory, run_id="r1"), back(memory, run_id="r2")] == ["2", "1"]

    with pytest.raises(MissingInputError) as caught:
        back(memory, run_id="r3")
    assert str(caught.value) == (
        "signs has had no champion before this one: there is nothing to go back to"
    )


def test_after_a_rollback_the_next_promotion_counts_from_there() -> None:
    memory = with_champions("1", "2")
    back(memory)
    promote(
        memory.registry,
        memory.ledger,
        approval("3"),
        pipeline="signs",
        judged_against="1",
        run_id="p3",
    )

    assert back(memory, run_id="r2") == "1"


def test_a_named_version_can_be_any_earlier_champion() -> None:
    memory = with_champions("1", "2", "3")

    assert back(memory, "1") == "1"
    assert back(memory, "3", run_id="r2") == "3"
    assert back(memory, run_id="r3") == "1"


def test_the_champion_that_was_there_before_the_ledger_can_come_back() -> None:
    memory = Memory({"champion": "4"})
    promote(
        memory.registry,
        memory.ledger,
        approval("5"),
        pipeline="signs",
        judged_against="4",
        run_id="p5",
    )

    assert back(memory) == "4"


@pytest.mark.parametrize("write", range(5))
def test_a_retry_after_a_crash_ends_as_an_undisturbed_rollback(write: int) -> None:
    undisturbed, crashed = with_champions("1", "2", "3"), with_champions("1", "2", "3")
    back(undisturbed)
    assert undisturbed.writes == 5
    crashed.dies_before = write

    with pytest.raises(KilledError):
        back(crashed)
    crashed.dies_before = None

    assert back(crashed) == "2"
    assert crashed.aliases == undisturbed.aliases
    assert [row["to_version"] for row in crashed.table] == ["1", "2", "3", "2"]


@pytest.mark.parametrize(
    ("version", "text"),
    [
        ("2", "version 2 of signs is champion already: name another version"),
        ("3", "version 3 of signs never was champion: it needs an approval, run signs_promotion"),
        ("99", "the registry has no version '99'"),
    ],
)
def test_a_version_that_was_never_approved_stays_where_it_is(version: str, text: str) -> None:
    memory = with_champions("1", "2")

    with pytest.raises(DarkroomError) as caught:
        back(memory, version)

    assert caught.value.permanent
    assert str(caught.value) == text
    assert memory.aliases["champion"] == "2"
    assert len(memory.table) == 2


def test_a_version_that_holds_another_model_now_is_refused() -> None:
    memory = with_champions("1", "2")
    memory.table[0]["model_digest"] = "e" * 64

    with pytest.raises(GateFailedError) as caught:
        back(memory)

    assert str(caught.value) == (
        "version 1 of signs is model 111111111111, but eeeeeeeeeeee was champion: choose another "
        "version"
    )


@pytest.mark.parametrize(
    ("who", "why", "text"),
    [
        (" ", "why", "--requested-by = ' ': name the person who asks for it"),
        ("ann", "", "--reason = '': say in a few words why the champion has to go"),
    ],
)
def test_a_rollback_needs_a_person_and_a_reason(who: str, why: str, text: str) -> None:
    memory = with_champions("1", "2")

    with pytest.raises(ConfigError) as caught:
        roll_back(
            memory.registry,
            memory.ledger,
            pipeline="signs",
            version=None,
            who=who,
            why=why,
            run_id="r1",
        )

    assert str(caught.value) == text


def test_an_alias_that_was_moved_goes_back_to_the_ledgers_champion() -> None:
    memory = with_champions("1", "2")
    memory.aliases["champion"] = "7"

    assert back(memory) == "2"

    assert memory.aliases == {"champion": "2", "previous": "1"}
    row = memory.table[-1]
    assert (row["from_version"], row["to_version"]) == ("7", "2")
    assert back(memory, run_id="r2") == "1"


def test_an_alias_moved_to_an_earlier_champion_can_be_put_on_the_record() -> None:
    memory = with_champions("1", "2")
    memory.aliases["champion"] = "1"

    assert back(memory, "1") == "1"

    row = memory.table[-1]
    assert (row["from_version"], row["to_version"]) == ("2", "1")
    assert memory.aliases == {"champion": "1", "previous": "2"}


@pytest.mark.parametrize("moved_to", ["7", "1", None])
def test_putting_back_leaves_a_row_and_repeats_without_another(moved_to: str | None) -> None:
    memory = with_champions("1", "2")
    del memory.aliases["champion"]
    if moved_to:
        memory.aliases["champion"] = moved_to

    entry = put_back(memory.registry, memory.ledger, pipeline="signs", run_id="w1")
    again = put_back(memory.registry, memory.ledger, pipeline="signs", run_id="w1")
    later = put_back(memory.registry, memory.ledger, pipeline="signs", run_id="w2")

    assert entry is not None
    assert again == entry
    assert later is None
    assert memory.aliases == {"champion": "2", "previous": "1"}
    found = f"version {moved_to}" if moved_to else "no version"
    row = memory.table[-1]
    assert (row["who"], row["action"], row["from_version"]) == ("darkroom", "revert", moved_to)
    assert row["why"] == f"the alias pointed to {found}, which no entry of the ledger says"
    assert len(memory.table) == 3
