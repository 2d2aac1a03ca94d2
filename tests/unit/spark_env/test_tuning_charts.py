"""The charts of a search: their lines, what these are called and where they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from darkroom.contract import HeadKind
from darkroom.tuning.charts import MOST_LINES, NAMED_CURVES, plot_trials
from darkroom.tuning.points import Point
from darkroom.tuning.results import FitResult
from darkroom.tuning.search import Trial

FINE_TUNE = HeadKind.FINE_TUNE.value
CURVES = -1
"""The place of the learning curves among a figure's charts."""


def trial(point: Point, *scores: float, backbone: str = "a", metric: str = "accuracy") -> Trial:
    fits = tuple(FitResult(scores={metric: score}) for score in scores)
    return Trial(backbone=backbone, backbone_key="", point=point, metric=metric, fits=fits)


def failed() -> Trial:
    fits = (FitResult(error="no"),)
    return Trial(backbone="b", backbone_key="", point=Point(1.0), metric="accuracy", fits=fits)


def network(rate: float, *losses: list[float], score: float = 0.5, layers: int = 1) -> Trial:
    point = Point(head=FINE_TUNE, last_layers=layers, learning_rate=rate, batch_size=32, epochs=9)
    fits = tuple(FitResult(scores={"accuracy": score}, history={"val_loss": one}) for one in losses)
    return Trial(backbone="a", backbone_key="", point=point, metric="accuracy", fits=fits)


def names(axes: Any) -> list[str]:
    found: list[str] = axes.get_legend_handles_labels()[1]
    return found


def drawn(axes: Any) -> list[list[tuple[float, float]]]:
    """Of each series with bars: where its points are."""
    lines = [container.lines[0] for container in axes.containers]
    return [list(zip(*(line.get_xdata(), line.get_ydata()), strict=True)) for line in lines]


def test_a_line_per_backbone_without_failed_trials() -> None:
    trials = [
        trial(Point(0.5), 0.5, 0.7),
        trial(Point(0.1), 0.25),
        trial(Point(0.1), 0.4, backbone="b"),
        failed(),
    ]
    (axes,) = plot_trials(trials).axes
    assert names(axes) == ["a logistic_regression", "b logistic_regression"]
    assert drawn(axes) == [[(0.1, 0.25), (0.5, 0.6)], [(0.1, 0.4)]]
    assert axes.get_xlabel() == "regParam"
    assert axes.get_ylabel() == "mean accuracy of the folds (higher is better)"
    (axes,) = plot_trials([trial(Point(0.1), 0.5, metric="log_loss")]).axes
    assert axes.get_ylabel() == "mean log_loss of the folds (lower is better)"
    (axes,) = plot_trials([failed()]).axes
    assert axes.get_legend() is None


def test_what_else_a_grid_varies_has_a_line_each() -> None:
    trials = [trial(Point(reg, share), 0.5) for reg in (0.1, 1.0) for share in (0.0, 0.5)]
    (axes,) = plot_trials(trials).axes
    assert names(axes) == ["a logistic_regression l1=0", "a logistic_regression l1=0.5"]
    assert [len(line) for line in drawn(axes)] == [2, 2]


def test_what_is_drawn_from_ranges_is_one_cloud() -> None:
    points = [
        Point(10.0 ** (-n % 5), head=HeadKind.MLP.value, hidden_units=32, learning_rate=n / 100)
        for n in range(1, MOST_LINES + 2)
    ]
    trials = [trial(point, 0.5) for point in points]
    (axes,) = plot_trials([*trials, trial(Point(0.1), 0.4)]).axes
    assert names(axes) == ["a mlp rate=0.01..0.05", "a logistic_regression"]
    assert sorted(x for x, _ in drawn(axes)[0]) == sorted(point.reg_param for point in points)
    containers: list[Any] = axes.containers
    cloud, line = (container.lines[0].get_linestyle() for container in containers)
    assert (cloud, line) == ("None", "-")


def test_few_points_are_no_lines_of_one_point_each() -> None:
    points = [Point(0.1, 0.2), Point(0.3, 0.7)]
    (axes,) = plot_trials([trial(point, 0.5) for point in points]).axes
    assert names(axes) == ["a logistic_regression l1=0.2..0.7"]
    (axes,) = plot_trials([trial(point._replace(reg_param=0.1), 0.5) for point in points]).axes
    assert names(axes) == ["a logistic_regression l1=0.2", "a logistic_regression l1=0.7"]


def test_networks_have_the_metric_by_learning_rate_and_a_curve_each() -> None:
    head = trial(Point(0.1), 0.7)
    tuned = network(0.1, [3.0, 1.0], [1.0, 0.0, 2.0])
    heads, rates, curves = plot_trials([head, tuned, network(0.01, [2.0], score=0.75)]).axes
    assert names(heads) == ["a logistic_regression"]
    assert names(rates) == ["a fine_tune"]
    assert drawn(rates) == [[(0.01, 0.75), (0.1, 0.5)]]
    assert rates.get_xlabel() == "rate"
    assert names(curves) == [
        "a fine_tune layers=1 rate=0.01 batch=32 epochs=9: accuracy 0.7500",
        "a fine_tune layers=1 rate=0.1 batch=32 epochs=9: accuracy 0.5000",
    ]
    line = curves.lines[1]
    assert np.asarray(line.get_xdata()).tolist() == [1, 2, 3]
    # The first fold has stopped early and keeps its last loss.
    assert np.asarray(line.get_ydata()).tolist() == [2.0, 0.5, 1.5]
    assert len(plot_trials([tuned]).axes) == 2


def test_of_many_networks_the_best_are_named() -> None:
    many = [network(n / 100, [1.0], score=n / 100) for n in range(1, NAMED_CURVES + 3)]
    curves = plot_trials(many).axes[CURVES]
    assert len(curves.lines) == len(many)
    *named, others = names(curves)
    assert others == "2 others"
    assert [name.rpartition(" ")[2] for name in named] == [f"{one.mean:.4f}" for one in many[:1:-1]]
