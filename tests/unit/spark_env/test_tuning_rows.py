"""The order of the grid, which decides between equals, and who must fit a point."""

from __future__ import annotations

import pytest

from darkroom.contract import TuningConfig
from darkroom.tuning.heads import Head
from darkroom.tuning.rows import Point, grid
from darkroom.tuning.search import Found, Trial, best_of


def test_the_grid_goes_from_the_smallest_values_upwards() -> None:
    tuning = TuningConfig(reg_params=(0.1, 0.001), elastic_net_params=(0.5, 0.0))
    assert grid(tuning) == [(0.001, 0.0), (0.001, 0.5), (0.1, 0.0), (0.1, 0.5)]


@pytest.mark.parametrize(
    ("reg_param", "elastic_net_param", "has_l1"),
    [(0.1, 0.5, True), (0.1, 0.0, False), (0.0, 0.5, False)],
)
def test_without_regularisation_there_is_no_l1(
    reg_param: float, elastic_net_param: float, has_l1: bool
) -> None:
    assert Point(reg_param, elastic_net_param).has_l1 is has_l1


def found(name: str, *scores: float) -> Found:
    trial = Trial(
        backbone=name, backbone_key="", reg_param=0.1, elastic_net_param=0.0, scores=scores
    )
    return Found(trials=(trial,), best=trial, head=Head([], []), fits=None)  # type: ignore[arg-type]


def test_of_backbones_the_higher_mean_wins_and_of_equals_the_first() -> None:
    first, equal, better = found("a", 0.5, 0.75), found("b", 0.75, 0.5), found("c", 0.75, 0.75)
    assert best_of([first, equal]) is first
    assert best_of([first, better, equal]) is better
