"""What a search tries, in which order, and which of its trials wins."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest

from darkroom.contract import DarkroomError, HeadKind, Range, TuningConfig
from darkroom.tuning.adaptive import adaptive_points
from darkroom.tuning.head import Head
from darkroom.tuning.points import Point, grid, planned, random_points
from darkroom.tuning.results import FitResult
from darkroom.tuning.search import Found, Trial, best_of

MLP, SVM = HeadKind.MLP.value, HeadKind.LINEAR_SVM.value


def test_the_grid_goes_from_the_smallest_values_upwards() -> None:
    tuning = TuningConfig(reg_params=(0.1, 0.001), elastic_net_params=(0.5, 0.0))
    assert [point[:2] for point in grid(tuning)] == [
        (0.001, 0.0),
        (0.001, 0.5),
        (0.1, 0.0),
        (0.1, 0.5),
    ]


def test_every_head_has_its_own_params_alone() -> None:
    tuning = TuningConfig(
        heads=("mlp", "linear_svm", "logistic_regression"),
        reg_params=(0.1,),
        elastic_net_params=(0.5, 0.0),
        hidden_units=(16, 8),
        learning_rates=(0.01,),
    )
    assert grid(tuning) == [
        Point(0.1, 0.0, MLP, 8, 0.01),
        Point(0.1, 0.0, MLP, 16, 0.01),
        Point(0.1, 0.0, SVM),
        Point(0.1, 0.0),
        Point(0.1, 0.5),
    ]
    assert [str(point) for point in grid(tuning)[1:4]] == [
        "mlp regParam=0.1 units=16 rate=0.01",
        "linear_svm regParam=0.1",
        "regParam=0.1 l1=0",
    ]


def test_the_number_of_trials_is_known_beforehand() -> None:
    lists = TuningConfig(heads=("logistic_regression", "mlp"), hidden_units=(8, 16))
    assert planned(lists) == len(grid(lists)) == 3 + 6
    space = Range(min=0.1, max=1.0)
    assert planned(TuningConfig(reg_params=space, search="random", trials=20)) == 20
    assert planned(TuningConfig(reg_params=(0.1, 0.2), search="adaptive", trials=9)) == 2


def test_a_seed_draws_the_same_points_from_the_space() -> None:
    heads, space = ("logistic_regression", "mlp"), Range(min=1e-4, max=1.0)

    def drawn(**changes: Any) -> list[Point]:
        given = {"heads": heads, "reg_params": space, "search": "random", **changes}
        return random_points(TuningConfig(**given))

    points = drawn(trials=40)
    assert points == drawn(trials=40)
    assert points[:10] == drawn(trials=10)
    assert points != drawn(trials=40, seed=8)
    assert len(set(points)) == 40
    assert all(1e-4 <= point.reg_param <= 1 for point in points)
    # By order of magnitude: about half of them are below the root of the product of the bounds.
    assert 10 <= sum(point.reg_param < 1e-2 for point in points) <= 30
    assert {point.head for point in points} == {"logistic_regression", "mlp"}


def test_a_small_space_is_exhausted_and_no_point_drawn_twice() -> None:
    tuning = TuningConfig(reg_params=(0.1, 0.2), search="random", trials=9)
    assert sorted(random_points(tuning)) == [Point(0.1), Point(0.2)]
    level = TuningConfig(reg_params=Range(min=0, max=1, log=False), search="random", trials=50)
    assert 15 <= sum(point.reg_param < 0.5 for point in random_points(level)) <= 35


def test_the_next_points_follow_from_the_trials_so_far() -> None:
    pytest.importorskip("optuna")
    tuning = TuningConfig(
        heads=("logistic_regression", "mlp"),
        reg_params=Range(min=1e-6, max=1e3),
        hidden_units=(4, 8),
        search="adaptive",
        trials=42,
    )

    def worth(point: Point) -> float:
        if point.head == "mlp" and point.hidden_units == 8:
            return -math.inf
        return -abs(math.log10(point.reg_param) + 1) - (point.head == "mlp")

    def run(stop: int) -> list[tuple[Point, float]]:
        tried: list[tuple[Point, float]] = []
        while len(tried) < stop and (points := adaptive_points(tuning, tried)):
            tried += [(point, worth(point)) for point in points]
        return tried

    tried = run(99)
    assert len(tried) == len({point for point, _ in tried}) == 42
    assert tried[:8] == run(8)
    assert max(value for _, value in tried) > -0.2
    assert all(point.elastic_net_param == 0 for point, _ in tried if point.head == "mlp")


def test_later_points_lie_nearer_to_the_best() -> None:
    pytest.importorskip("optuna")
    tuning = TuningConfig(reg_params=Range(min=1e-6, max=1e3), search="adaptive", trials=40)
    tried: list[tuple[Point, float]] = []
    while points := adaptive_points(tuning, tried):
        tried += [(point, -abs(math.log10(point.reg_param) + 1)) for point in points]
    gaps = [-worth for _, worth in tried]
    assert min(gaps) < 0.1
    assert statistics.median(gaps[12:]) < statistics.median(gaps[:12]) / 2


def test_an_adaptive_search_ends_when_the_space_is_exhausted() -> None:
    pytest.importorskip("optuna")
    tuning = TuningConfig(reg_params=(0.1, 0.2, 0.3), search="adaptive", trials=9)
    points = adaptive_points(tuning, [])
    assert sorted(points) == [Point(0.1), Point(0.2), Point(0.3)]
    assert adaptive_points(tuning, [(point, 1.0) for point in points]) == []


@pytest.mark.parametrize(
    ("reg_param", "elastic_net_param", "has_l1"),
    [(0.1, 0.5, True), (0.1, 0.0, False), (0.0, 0.5, False)],
)
def test_without_regularisation_there_is_no_l1(
    reg_param: float, elastic_net_param: float, has_l1: bool
) -> None:
    assert Point(reg_param, elastic_net_param).has_l1 is has_l1


def trial(name: str, *scores: float, metric: str = "accuracy", error: str | None = None) -> Trial:
    fits = [FitResult(scores={metric: score}, seconds=1.5) for score in scores]
    if error:
        fits[-1] = FitResult(error=error)
    return Trial(backbone=name, backbone_key="", point=Point(0.1), metric=metric, fits=tuple(fits))


def found(name: str, *scores: float, **more: str) -> Found:
    one = trial(name, *scores, **more)
    return Found(trials=(one,), best=one, head=Head([], []), fits=None)  # type: ignore[arg-type]


def test_of_backbones_the_higher_mean_wins_and_of_equals_the_first() -> None:
    first, equal, better = found("a", 0.5, 0.75), found("b", 0.75, 0.5), found("c", 0.75, 0.75)
    assert best_of([first, equal]) is first
    assert best_of([first, better, equal]) is better
    assert (better.best.mean, better.best.std, better.best.seconds) == (0.75, 0.0, 3.0)


def test_the_lower_log_loss_wins() -> None:
    worse, better = (found("ab"[n], 1.0 - n / 2, metric="log_loss") for n in range(2))
    assert best_of([worse, better]) is better


def test_a_failed_trial_never_wins_and_all_of_them_are_an_error() -> None:
    failed, poor = found("a", 1.0, 1.0, error="MemoryError"), found("b", 0.0, 0.1)
    assert best_of([failed, poor]) is poor
    assert failed.best.error == "fold 1: MemoryError"
    assert failed.best.scores == ()
    assert math.isnan(failed.best.mean)
    with pytest.raises(DarkroomError) as refused:
        best_of([failed, failed])
    assert str(refused.value) == (
        "all 2 trials failed, the first (a regParam=0.1 l1=0): fold 1: MemoryError"
    )


def test_a_metric_that_a_fold_does_not_define_fails_the_trial() -> None:
    one = trial("a", 0.5)
    assert (
        Trial(**{**vars(one), "metric": "auc"}).error == "fold 0: auc is not defined for its images"
    )
