"""What test images are sliced by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from darkroom.contract import ConfigError
from darkroom.evaluation.facets import MOST_SLICES, OTHER, facets

FACTS: dict[str, Sequence[Any]] = {
    "root": ["north", "south", None, "north", "north", "south"],
    "width": [10, 20, 30, 40, 50, 60],
    "height": [10, 10, 10, 10, 10, None],
    "brightness": [7.0, 7.0, 7.0, 7.0, 200.4, 200.0],
    "metadata": [{"sky": "grey"}, None, [("sky", "blue")], {"sky": None}, {}, {"sky": "blue"}],
}


def test_images_are_sliced_by_source_and_by_a_column_of_their_manifest() -> None:
    made = facets(("source", "metadata.sky"), FACTS)
    assert made == {
        "source": ("north", "south", "unknown", "north", "north", "south"),
        "metadata.sky": ("grey", "unknown", "blue", "unknown", "unknown", "blue"),
    }


def test_numbers_are_cut_into_thirds_and_equal_ones_stay_together() -> None:
    made = facets(("size", "brightness"), FACTS)
    assert made["size"] == (
        "small: 100 to 200 pixels",
        "small: 100 to 200 pixels",
        "medium: 300 pixels",
        "large: 400 to 500 pixels",
        "large: 400 to 500 pixels",
        "unknown",
    )
    assert made["brightness"] == (*["dark: 7 of 255"] * 4, *["bright: 200 of 255"] * 2)


def test_where_all_are_alike_there_is_one_slice() -> None:
    same = {**FACTS, "brightness": [7.0] * 6}
    assert set(facets(("brightness",), same)["brightness"]) == {"medium: 7 of 255"}
    assert facets(("brightness", "source"), {name: [] for name in FACTS}) == {
        "brightness": (),
        "source": (),
    }


@pytest.mark.parametrize(
    ("column", "metadata", "remedy"),
    [
        ("skies", FACTS["metadata"], "no test image has this column, did you mean sky?"),
        (
            "sky",
            [None] * 6,
            "no test image comes from a manifest with further columns: leave it out",
        ),
    ],
)
def test_a_column_that_no_image_has_is_refused(
    column: str, metadata: Sequence[Any], remedy: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        facets((f"metadata.{column}",), {**FACTS, "metadata": metadata})
    assert str(refused.value) == f"gate.slices = 'metadata.{column}': {remedy}"


def test_of_very_many_values_the_commonest_are_slices() -> None:
    many = [f"camera {n:03}" for n in range(MOST_SLICES)]
    assert set(facets(("source",), {"root": many})["source"]) == set(many)
    made = facets(("source",), {"root": [*many, "rare", "rare"]})["source"]
    assert made[-2:] == ("rare", "rare")
    assert made[:98] == tuple(many[:98])
    assert made[98:100] == (OTHER, OTHER)
