"""Who goes into which split, and that nobody is moved later."""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darkroom.contract import ConfigError, SplitConfig
from darkroom.ingestion.splits import Division, divide, split_at

CONFIG = SplitConfig(test_share=0.3, validation_share=0.2, duplicate_distance=4)
FAR = 0xFFFF << 40
COLUMNS = ("image_id", "group_id", "split", "perceptual_hash", "difference_hash", "run_id")
NONE = pa.schema([(name, pa.string()) for name in COLUMNS]).empty_table()


def images(hashes: dict[str, int], given: dict[str, str] | None = None) -> pa.Table:
    ids = list(hashes)
    texts = [f"{value:016x}" for value in hashes.values()]
    columns = {
        "image_id": ids,
        "perceptual_hash": texts,
        "difference_hash": ["0" * 16] * len(ids),
        "given": [(given or {}).get(one) for one in ids],
    }
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


def chosen(division: Division) -> dict[str, str]:
    rows = division.splits.to_pylist()
    return {row["image_id"]: row["split"] for row in rows}


def group_of(division: Division) -> dict[str, str]:
    return {row["image_id"]: row["group_id"] for row in division.splits.to_pylist()}


def expected(group_id: str) -> str:
    position = int(hashlib.sha256(group_id.encode()).hexdigest()[:13], 16) / 16**13
    return "test" if position < 0.3 else "validation" if position < 0.5 else "train"


def random_hashes(count: int, seed: int = 0) -> dict[str, int]:
    values = np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64)
    return {f"{seed}-{n:05}": int(value) for n, value in enumerate(values)}


def test_an_image_that_resembles_no_other_goes_where_its_hash_says() -> None:
    hashes = random_hashes(2000)
    division = divide(images(hashes), NONE, CONFIG)
    assert (division.added, division.moved, division.merged) == (2000, 0, 0)
    groups = group_of(division)
    for one, split in chosen(division).items():
        name = f"{hashes[one]:016x}"
        assert groups[one] == name
        assert split == split_at(name, CONFIG) == expected(name)


def test_every_class_gets_about_its_share() -> None:
    splits = list(chosen(divide(images(random_hashes(4000)), NONE, CONFIG)).values())
    # Four standard deviations of a share of 4,000 images.
    for split, share in (("test", 0.3), ("validation", 0.2), ("train", 0.5)):
        assert abs(splits.count(split) / 4000 - share) < 4 * (share * (1 - share) / 4000) ** 0.5


def test_without_a_validation_share_there_is_none() -> None:
    division = divide(images(random_hashes(500)), NONE, SplitConfig())
    assert set(chosen(division).values()) == {"train", "test"}


def test_a_validation_share_takes_from_the_training_images_alone() -> None:
    hashes = images(random_hashes(1000))
    before = chosen(divide(hashes, NONE, SplitConfig()))
    after = chosen(divide(hashes, NONE, SplitConfig(validation_share=0.3)))
    assert {(before[one], after[one]) for one in before} == {
        ("test", "test"),
        ("train", "train"),
        ("train", "validation"),
    }


def test_near_duplicates_share_a_group_and_a_split_by_way_of_others() -> None:
    division = divide(images({"a": 0b0, "b": 0b1111, "c": 0b11111111, "d": FAR}), NONE, CONFIG)
    groups = group_of(division)
    assert groups["a"] == groups["b"] == groups["c"] == "0" * 16
    assert groups["d"] == f"{FAR:016x}"
    assert len(division.leaks) == 0


def test_a_new_image_joins_the_split_of_what_it_resembles() -> None:
    hashes = random_hashes(300)
    before = divide(images(hashes), NONE, CONFIG)
    copies = {f"copy {one}": value ^ 0b101 for one, value in hashes.items()}
    after = divide(images({**hashes, **copies}), before.splits, CONFIG)
    splits, groups = chosen(after), group_of(after)
    assert after.added == 300
    for one in hashes:
        assert splits[f"copy {one}"] == splits[one]
        assert groups[f"copy {one}"] == groups[one] == group_of(before)[one]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 255), min_size=1, max_size=6), min_size=1, max_size=6))
def test_adding_images_never_moves_an_old_one_and_no_pair_is_torn_apart(
    arrivals: list[list[int]],
) -> None:
    """Values below 256 crowd together: most of them are near-duplicates of some others."""
    table = NONE
    hashes: dict[str, int] = {}
    earlier: dict[str, str] = {}
    for number, values in enumerate(arrivals):
        hashes |= {f"{number}.{place}": value << 8 for place, value in enumerate(values)}
        division = divide(images(hashes), table, CONFIG)
        splits, groups = chosen(division), group_of(division)
        used = {one: split for one, split in splits.items() if split != "excluded"}
        assert {one: split for one, split in earlier.items() if split != "excluded"} == {
            one: splits[one] for one, split in earlier.items() if split != "excluded"
        }
        assert not [
            (one, other)
            for one, other in itertools.combinations(used, 2)
            if (hashes[one] ^ hashes[other]).bit_count() <= 4 and used[one] != used[other]
        ]
        assert len(division.leaks) == 0
        assert division.excluded == len(splits) - len(used)
        of_groups = {(group, splits[one]) for one, group in groups.items()}
        assert len(of_groups) == len(set(groups.values()))
        again = divide(images(hashes), division.splits, CONFIG)
        assert (chosen(again), group_of(again)) == (splits, groups)
        earlier, table = splits, division.splits


def test_a_given_split_is_taken_and_its_near_duplicates_follow() -> None:
    hashes = {"a": 0, "b": 1, "c": FAR}
    division = divide(images(hashes, {"a": "validation"}), NONE, CONFIG)
    assert chosen(division)["a"] == chosen(division)["b"] == "validation"
    assert chosen(division)["c"] == expected(f"{FAR:016x}")


def test_given_splits_that_tear_near_duplicates_apart_are_leaks() -> None:
    division = divide(images({"a": 0, "b": 0b111}, {"a": "train", "b": "test"}), NONE, CONFIG)
    assert chosen(division) == {"a": "train", "b": "test"}
    assert division.leaks.to_pylist() == [
        {
            "image_id": "a",
            "split": "train",
            "other_image_id": "b",
            "other_split": "test",
            "distance": 3,
        }
    ]


def test_a_manifest_that_names_another_split_later_moves_its_image() -> None:
    before = divide(images({"a": 0, "b": FAR}, {"a": "train"}), NONE, CONFIG)
    after = divide(images({"a": 0, "b": FAR}, {"a": "test"}), before.splits, CONFIG)
    assert (chosen(after)["a"], after.moved, after.added) == ("test", 1, 0)
    assert chosen(after)["b"] == chosen(before)["b"]


def test_a_new_image_that_joins_two_groups_of_a_split_makes_them_one() -> None:
    old = {"a": 0, "z": 0b11111111}
    given = {"a": "train", "z": "train"}
    before = divide(images(old, given), NONE, CONFIG)
    assert len(set(group_of(before).values())) == 2
    after = divide(images({**old, "m": 0b1111}, given), before.splits, CONFIG)
    assert set(group_of(after).values()) == {"0" * 16}
    assert (after.added, after.merged, after.moved) == (1, 1, 0)


TORN = {"a": 0, "z": 0b1111111}
GIVEN = {"a": "train", "z": "test"}
BETWEEN = {"m": 0b1111}
"""Near-duplicate of both, which are none of each other."""


def test_a_new_image_that_looks_like_images_of_two_splits_is_in_none() -> None:
    before = divide(images(TORN, GIVEN), NONE, CONFIG)
    after = divide(images(TORN | BETWEEN, GIVEN), before.splits, CONFIG)
    assert chosen(after) == {"a": "train", "z": "test", "m": "excluded"}
    assert (after.added, after.excluded, after.moved, len(after.leaks)) == (1, 1, 0, 0)
    assert len(set(group_of(after).values())) == 3


def test_a_copy_of_an_excluded_image_is_excluded_too_and_what_only_resembles_it_is_not() -> None:
    before = divide(images(TORN | BETWEEN, GIVEN), NONE, CONFIG)
    more = {"copy": 0b1111, "like": 0b1111 | 0xF << 60}
    after = divide(images({**TORN, **BETWEEN, **more}, GIVEN), before.splits, CONFIG)
    splits = chosen(after)
    assert (splits["m"], splits["copy"], after.excluded) == ("excluded", "excluded", 2)
    assert splits["like"] == expected(f"{0b1111 | 0xF << 60:016x}")
    assert len(after.leaks) == 0


def test_an_excluded_image_is_decided_anew_once_one_side_is_forgotten() -> None:
    before = divide(images(TORN | BETWEEN, GIVEN), NONE, CONFIG)
    kept = before.splits.filter(pc.not_equal(before.splits["image_id"], "z"))
    after = divide(images({"a": 0, **BETWEEN}, GIVEN), kept, CONFIG)
    assert chosen(after) == {"a": "train", "m": "train"}
    assert (after.added, after.moved, after.excluded) == (0, 1, 0)
    assert set(group_of(after).values()) == {"0" * 16}


def test_a_manifest_can_place_an_excluded_image() -> None:
    before = divide(images(TORN | BETWEEN, GIVEN), NONE, CONFIG)
    after = divide(images(TORN | BETWEEN, GIVEN | {"m": "train"}), before.splits, CONFIG)
    assert (chosen(after)["m"], after.moved, after.excluded) == ("train", 1, 0)
    [leak] = after.leaks.to_pylist()
    assert {leak["image_id"], leak["other_image_id"]} == {"m", "z"}


def test_images_that_come_together_do_not_leak_by_way_of_each_other() -> None:
    # A chain from one split to the other: one image is enough to cut it.
    chain = {f"{n}": (1 << 4 * n) - 1 for n in range(1, 6)}
    ends, given = {"a": 0, "z": (1 << 24) - 1}, {"a": "train", "z": "test"}
    after = divide(images({**ends, **chain}, given), NONE, CONFIG)
    splits = [chosen(after)[one] for one in chain]
    assert splits == ["train", "train", "train", "train", "excluded"]
    assert len(after.leaks) == 0


def test_an_image_that_is_gone_keeps_its_place_but_leaks_no_more() -> None:
    before = divide(images({"a": 0, "b": 1}, {"a": "train", "b": "test"}), NONE, CONFIG)
    assert len(before.leaks) == 1
    after = divide(images({"a": 0, "c": 1}), before.splits, CONFIG)
    # It may come back: a copy of it can be no training image either.
    assert chosen(after) == {"a": "train", "b": "test", "c": "excluded"}
    assert (after.excluded, len(after.leaks)) == (1, 0)


def test_a_table_of_before_there_were_hashes_stands() -> None:
    names = {"image_id": ["a", "b"], "group_id": ["0" * 16, "f" * 16], "split": ["test", "train"]}
    old = pa.table({name: pa.array(names.get(name, [None, None]), pa.string()) for name in COLUMNS})
    now = images({"a": 0, "b": 2**64 - 1, "c": 1, "d": 2**64 - 2})
    after = divide(now, old, CONFIG)
    assert chosen(after) == {"a": "test", "b": "train", "c": "test", "d": "train"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"validation_share": 0.8},
            "split.validation_share = 0.8: give 0 or more, and less than the 0.8 that "
            "split.test_share leaves",
        ),
        ({"duplicate_distance": 12}, "split.duplicate_distance = 12: give a number of bits from"),
        ({"test_share": 0}, "split.test_share = 0: give a number between 0 and 1"),
    ],
)
def test_impossible_shares_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SplitConfig(**values)
    assert str(caught.value).startswith(message)
