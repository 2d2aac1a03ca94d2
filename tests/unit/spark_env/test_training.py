"""What a training asks Keras for by name exists there."""

from __future__ import annotations

import pytest

from darkroom.contract import ConfigError
from darkroom.ml.training.fit_params import (
    CALLBACKS,
    CLASS_LOSSES,
    LOSSES,
    OPTIMIZERS,
    FitParams,
    KerasObject,
)
from darkroom.ml.training.trial import ModelSource, Trial, check_arguments


def trial(optimizer: KerasObject, loss: KerasObject) -> Trial:
    callbacks = tuple(KerasObject(name) for name in CALLBACKS)
    return Trial(ModelSource(), optimizer, loss, FitParams(callbacks=callbacks), classes=2)


def test_every_known_name_is_keras_own() -> None:
    for name in OPTIMIZERS:
        check_arguments(trial(KerasObject(name), KerasObject(LOSSES[0])))
    for name in LOSSES:
        check_arguments(trial(KerasObject("adam"), KerasObject(name)))
    assert set(CLASS_LOSSES) <= set(LOSSES)


def test_a_schedule_by_its_configuration() -> None:
    schedule = {
        "class_name": "ExponentialDecay",
        "config": {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5},
    }
    check_arguments(trial(KerasObject("sgd", {"learning_rate": schedule}), KerasObject("dice")))


def test_a_value_that_keras_refuses() -> None:
    bad = KerasObject("sgd", {"momentum": 7})
    with pytest.raises(ConfigError, match=r"^kerasOptimizer = \{'momentum': 7\}: Keras refuses it"):
        check_arguments(trial(bad, KerasObject(LOSSES[0])))
