"""What fine-tuning tries, and who goes on."""

from __future__ import annotations

from typing import Any

import pytest

from darkroom.contract import ConfigError, HeadKind, TuningConfig
from darkroom.contract.parsing import build
from darkroom.contract.tuning import FineTuneConfig, HalvingConfig, Range
from darkroom.tuning.adaptive import ROUND, adaptive_points
from darkroom.tuning.halving import rungs, survivors
from darkroom.tuning.points import Point, grid, random_points
from darkroom.tuning.results import FitResult

FINE_TUNE = HeadKind.FINE_TUNE.value


def point(rate: float, epochs: int = 9) -> Point:
    return Point(head=FINE_TUNE, last_layers=1, learning_rate=rate, batch_size=32, epochs=epochs)


def parsed(**own: Any) -> TuningConfig:
    return build(TuningConfig, {"heads": [FINE_TUNE], "fine_tune": own}, "tuning")


def test_a_grid_of_all_dimensions_beside_another_head() -> None:
    config = build(
        TuningConfig,
        {
            "heads": ["logistic_regression", FINE_TUNE],
            "reg_params": [0.1],
            "fine_tune": {"last_layers": [3, 1], "learning_rates": [0.1], "epochs": [4, 2]},
        },
        "tuning",
    )
    assert list(map(str, grid(config))) == [
        "regParam=0.1 l1=0",
        "fine_tune layers=1 rate=0.1 batch=32 epochs=2",
        "fine_tune layers=1 rate=0.1 batch=32 epochs=4",
        "fine_tune layers=3 rate=0.1 batch=32 epochs=2",
        "fine_tune layers=3 rate=0.1 batch=32 epochs=4",
    ]


@pytest.mark.parametrize("search", ["random", "adaptive"])
def test_points_are_drawn_from_the_space_beside_a_head_with_a_rate_of_its_own(search: str) -> None:
    config = TuningConfig(
        heads=("mlp", FINE_TUNE),
        learning_rates=(0.5, 0.6),
        fine_tune=FineTuneConfig(
            learning_rates=Range(min=1e-4, max=1e-2), last_layers=(1, 2), batch_sizes=(8, 16)
        ),
        search=search,
        trials=12,
        seed=1,
    )
    found: list[Point] = []
    if search == "random":
        found = random_points(config)
    while search == "adaptive" and len(found) < 2 * ROUND:
        found += adaptive_points(config, [(one, 1.0) for one in found])
    tuned = [one for one in found if one.head == FINE_TUNE]
    assert tuned
    assert len(tuned) < len(found)
    for one in tuned:
        assert 1e-4 <= one.learning_rate <= 1e-2
        assert (one.last_layers in (1, 2), one.batch_size in (8, 16), one.epochs) == (True, True, 8)
        assert (one.reg_param, one.hidden_units) == (0.0, 0)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"last_layers": []}, "tuning.fine_tune.last_layers = []: give at least one value to try"),
        ({"last_layers": [0]}, "tuning.fine_tune.last_layers = 0: must be at least 1"),
        ({"epochs": [2, 2]}, "tuning.fine_tune.epochs = 2: is given twice: remove one"),
        ({"patience": 0}, "tuning.fine_tune.patience = 0: must be at least 1"),
        (
            {"learning_rates": [0]},
            "tuning.fine_tune.learning_rates = 0.0: must be above 0, or nothing is learnt",
        ),
        (
            {"learning_rates": {"min": 0.1, "max": 1}},
            "tuning.fine_tune.learning_rates = '0.1..1': a grid needs a list of values: give one, "
            "or set tuning.search",
        ),
        (
            {"halving": {"factor": 1}},
            "tuning.fine_tune.halving.factor = 1: must be at least 2",
        ),
        (
            {"layers": [1]},
            "tuning.fine_tune.layers = [1]: there is no such field, did you mean last_layers?",
        ),
    ],
)
def test_what_cannot_be_tried_is_said_in_one_line(own: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parsed(**own)
    assert str(refused.value) == message


def test_a_space_without_its_head() -> None:
    with pytest.raises(ConfigError, match=r"only the head fine_tune has it: add fine_tune to "):
        TuningConfig(fine_tune=FineTuneConfig())


def test_rungs_grow_by_the_factor() -> None:
    assert list(rungs(HalvingConfig(min_epochs=2, factor=3), 20)) == [2, 6, 18]
    assert list(rungs(HalvingConfig(), 1)) == []


@pytest.mark.parametrize(
    ("metric", "expected"), [("accuracy", [0.3, 0.4]), ("log_loss", [0.1, 0.2])]
)
def test_one_of_three_goes_on_and_failed_ones_do_not(metric: str, expected: list[float]) -> None:
    scores = {0.1: 0.1, 0.2: 0.2, 0.3: 0.9, 0.4: 0.9, 0.5: None}
    points = [point(rate) for rate in scores]
    folds = {
        one: [
            FitResult(error="no") if score is None else FitResult(scores={metric: score}),
            FitResult(scores={metric: 0.5}),
        ]
        for one, score in zip(points, scores.values(), strict=True)
    }
    assert [one.learning_rate for one in survivors(points, folds, metric, 3)] == expected
