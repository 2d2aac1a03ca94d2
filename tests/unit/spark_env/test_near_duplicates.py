"""The search for near-duplicates against comparing all with all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from darkroom.contract import SplitConfig
from darkroom.images import audit_image
from darkroom.ingestion import near_duplicates
from darkroom.ingestion.near_duplicates import DIFFERENCE_LIMIT, groups, near_pairs
from tests.unit.spark_env.pictures import encode

Hashes = NDArray[np.uint64]


def planted(seed: int, count: int, flips: int) -> Hashes:
    """Hashes, the second half of which are those of the first with up to so many bits changed."""
    random = np.random.default_rng(seed)
    first = random.integers(0, 2**64, count // 2, dtype=np.uint64)
    masks = np.zeros(count // 2, np.uint64)
    for _ in range(flips):
        masks ^= np.uint64(1) << random.integers(0, 64, count // 2, dtype=np.uint64)
    return np.concatenate([first, first ^ masks])


def all_with_all(perceptual: Hashes, difference: Hashes, distance: int) -> set[tuple[int, int]]:
    def bits(hashes: Hashes) -> NDArray[np.uint8]:
        counts: NDArray[np.uint8] = np.bitwise_count(hashes[:, None] ^ hashes[None, :])
        return counts

    near = (bits(perceptual) <= distance) & (bits(difference) <= DIFFERENCE_LIMIT)
    return set(zip(*(places.tolist() for places in np.nonzero(np.triu(near, 1))), strict=True))


def found(perceptual: Hashes, difference: Hashes, distance: int) -> set[tuple[int, int]]:
    pairs = near_pairs(perceptual, difference, distance)
    expected = np.bitwise_count(perceptual[pairs.left] ^ perceptual[pairs.right])
    assert pairs.distance.tolist() == expected.tolist()
    return set(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True))


@pytest.mark.parametrize("distance", range(12))
def test_every_pair_up_to_the_distance_is_found_and_no_other(distance: int) -> None:
    perceptual = planted(distance, 600, distance + 2)
    difference = planted(99, 600, DIFFERENCE_LIMIT + 4)
    expected = all_with_all(perceptual, difference, distance)
    assert found(perceptual, difference, distance) == expected
    assert distance == 0 or expected


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 2**64 - 1), max_size=4, min_size=1),
    st.lists(st.tuples(st.integers(0, 3), st.lists(st.integers(0, 63), max_size=12)), max_size=20),
    st.integers(0, 11),
)
def test_hashes_that_crowd_together_are_found_as_well(
    seeds: list[int], flipped: list[tuple[int, list[int]]], distance: int
) -> None:
    values = [*seeds, *(_flip(seeds[n % len(seeds)], bits) for n, bits in flipped)]
    hashes = np.array(sorted(set(values)), np.uint64)
    same = np.zeros(len(hashes), np.uint64)
    assert found(hashes, same, distance) == all_with_all(hashes, same, distance)


def _flip(value: int, bits: list[int]) -> int:
    for bit in bits:
        value ^= 1 << bit
    return value


def test_many_copies_of_one_picture_are_one_group_and_cost_one_pair_each() -> None:
    hashes = np.full(50_000, 7, np.uint64)
    pairs = near_pairs(hashes, hashes, 10)
    assert len(pairs.left) == 49_999
    assert set(groups(pairs, 50_000).tolist()) == {0}


def test_a_group_is_whatever_is_connected() -> None:
    # Each differs from the next in 5 bits, and the first from the last in 10.
    chain = np.array([0, 0b11111, 0b1111111111, 0xFFFF << 40], np.uint64)
    numbers = groups(near_pairs(chain, np.zeros(4, np.uint64), 5), 4).tolist()
    assert numbers[0] == numbers[1] == numbers[2] != numbers[3]


def test_copies_that_a_person_would_call_the_same_are_found() -> None:
    """Of 40 pictures each: encoded again, resized, cropped by 3 % and brightened by 15 %."""
    originals = [picture(number) for number in range(40)]
    width, height = originals[0].size
    inner = (2, 2, width - 2, height - 2)
    copies = {
        "encoded again": [(one, 40) for one in originals],
        "resized": [(one.resize((48, 48)), 90) for one in originals],
        "cropped": [(one.crop(inner), 90) for one in originals],
        "brightened": [(ImageEnhance.Brightness(one).enhance(1.15), 90) for one in originals],
    }
    pictures = [(one, 95) for one in originals]
    pictures += [one for made in copies.values() for one in made]
    facts = [audit_image(encode(one, "JPEG", quality=quality)) for one, quality in pictures]
    perceptual = np.array([int(one.perceptual_hash, 16) for one in facts], np.uint64)
    difference = np.array([int(one.difference_hash, 16) for one in facts], np.uint64)
    distance = SplitConfig().duplicate_distance
    pairs = found(perceptual, difference, distance)
    for number, name in enumerate(copies, start=1):
        recalled = sum((place, number * 40 + place) in pairs for place in range(40))
        assert recalled / 40 >= 0.95, name
    assert {one % 40 - other % 40 for one, other in pairs} == {0}


def picture(seed: int) -> Image.Image:
    """Shades of every size, 64 x 64 pixels; no other seed has a similar one."""
    random = np.random.default_rng(seed)
    layers = [
        Image.fromarray(random.integers(40, 200, (side, side, 3), dtype=np.uint8)).resize(
            (64, 64), Image.Resampling.BICUBIC
        )
        for side in (3, 6, 12)
    ]
    return Image.blend(Image.blend(layers[2], layers[1], 0.6), layers[0], 0.6)


def test_nothing_has_no_pairs() -> None:
    nothing = np.array([], np.uint64)
    assert len(near_pairs(nothing, nothing, 10).left) == 0
    one = np.array([1], np.uint64)
    assert groups(near_pairs(one, one, 10), 1).tolist() == [0]


def test_candidates_come_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "CHUNK", 10)
    perceptual = planted(1, 400, 4)
    zeros = np.zeros(400, np.uint64)
    assert found(perceptual, zeros, 4) == all_with_all(perceptual, zeros, 4)


def test_twice_the_pictures_are_less_than_three_times_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expand = near_duplicates._expand
    looked_up: list[int] = []

    def counting(asking: Any, begin: Any, length: Any, members: Any) -> Any:
        looked_up.append(len(asking) + int(length.sum()))
        return expand(asking, begin, length, members)

    def work(count: int) -> int:
        looked_up.clear()
        hashes = planted(3, count, 4)
        near_pairs(hashes, hashes, 10)
        return sum(looked_up)

    monkeypatch.setattr(near_duplicates, "_expand", counting)
    # Comparing all with all would be four times as much.
    assert work(20_000) < work(40_000) < 3 * work(20_000)
