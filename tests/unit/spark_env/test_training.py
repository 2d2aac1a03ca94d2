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
    decayed,
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


def test_a_learning_rate_falls_along_half_a_cosine() -> None:
    import keras

    optimizer = decayed(KerasObject("adam", {"learning_rate": 0.2, "clipnorm": 1.0}), steps=8)
    check_arguments(trial(optimizer, KerasObject("dice")))
    assert (optimizer.name, optimizer.config["clipnorm"]) == ("adam", 1.0)
    rate = keras.optimizers.schedules.deserialize(optimizer.config["learning_rate"])
    # cos(pi / 4) is the root of a half; after the end nothing is learnt any more.
    cosine = [1.0, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5, 0.0, 0.0]
    assert [float(rate(step)) for step in (0, 2, 4, 6, 8, 9)] == pytest.approx(
        [0.2 * share for share in cosine], abs=1e-7
    )


def test_a_value_that_keras_refuses() -> None:
    bad = KerasObject("sgd", {"momentum": 7})
    with pytest.raises(ConfigError, match=r"^kerasOptimizer = \{'momentum': 7\}: Keras refuses it"):
        check_arguments(trial(bad, KerasObject(LOSSES[0])))
