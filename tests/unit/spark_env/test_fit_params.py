"""Optimizers, losses and fit parameters: what is understood, and what is said of the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from darkroom.contract import ConfigError
from darkroom.ml.training.fit_params import (
    FitParams,
    KerasObject,
    parse_fit_params,
    parse_loss,
    parse_optimizer,
    plain,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("adam", KerasObject("adam")),
        ("AdamW", KerasObject("adamw")),
        ("RMSprop", KerasObject("rmsprop")),
        ("ScheduleFreeAdamW", KerasObject("schedule_free_adamw")),
        ({"name": "adam", "learning_rate": 1e-3}, KerasObject("adam", {"learning_rate": 1e-3})),
        (
            {"class_name": "SGD", "config": {"name": "SGD", "momentum": 0.9}},
            KerasObject("sgd", {"momentum": 0.9}),
        ),
    ],
)
def test_optimizers(value: Any, expected: KerasObject) -> None:
    assert parse_optimizer(value) == expected


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("categorical_crossentropy", "categorical_crossentropy"),
        ("SparseCategoricalCrossentropy", "sparse_categorical_crossentropy"),
        ("mse", "mean_squared_error"),
        ({"name": "binary_crossentropy"}, "binary_crossentropy"),
    ],
)
def test_losses(value: Any, name: str) -> None:
    assert parse_loss(value) == KerasObject(name)


@pytest.mark.parametrize(
    ("parse", "value", "message"),
    [
        (parse_optimizer, "adan", "kerasOptimizer = 'adan': unknown optimizer, did you mean adam"),
        (
            parse_optimizer,
            3,
            "kerasOptimizer = 3: give a name or a dict such as {'name': 'adadelta'}",
        ),
        (
            parse_loss,
            "categorical_crossentrophy",
            "kerasLoss = 'categorical_crossentrophy': unknown loss, did you mean "
            "categorical_crossentropy or categorical_focal_crossentropy or "
            "sparse_categorical_crossentropy?",
        ),
        (
            parse_loss,
            {"name": "binary_crossentropy", "from_logits": True},
            "kerasLoss.from_logits = True: the network must answer probabilities: end it in "
            "softmax or sigmoid and leave this out",
        ),
        (parse_fit_params, 5, "kerasFitParams = 5: give a dict such as {'batch_size': 32, "),
        (
            parse_fit_params,
            {"batchsize": 100},
            "kerasFitParams.batchsize = 100: unknown key, did you mean batch_size?",
        ),
        (
            parse_fit_params,
            {"batch_size": 0},
            "kerasFitParams.batch_size = 0: give a whole number of at least 1",
        ),
        (
            parse_fit_params,
            {"epochs": True},
            "kerasFitParams.epochs = True: give a whole number of at least 1",
        ),
        (
            parse_fit_params,
            {"validation_split": 1},
            "kerasFitParams.validation_split = 1: give a number of at least 0 and below 1",
        ),
        (parse_fit_params, {"verbose": 3}, "kerasFitParams.verbose = 3: give 0, 1, 2 or 'auto'"),
        (parse_fit_params, {"shuffle": 1}, "kerasFitParams.shuffle = 1: give True or False"),
        (
            parse_fit_params,
            {"class_weight": {"cat": -1}},
            "kerasFitParams.class_weight.cat = -1: give a number of at least 0",
        ),
        (
            parse_fit_params,
            {"early_stopping": {"patience": 2}},
            "kerasFitParams.EarlyStopping.monitor = 'val_loss': there is nothing to validate on: "
            "set validation_split above 0",
        ),
        (
            parse_fit_params,
            {"early_stopping": {"monitor": "val_acc"}, "validation_split": 0.5},
            "kerasFitParams.EarlyStopping.monitor = 'val_acc': unknown, did you mean val_accuracy",
        ),
        (
            parse_fit_params,
            {"callbacks": [{"name": "ModelCheckpoint"}]},
            "kerasFitParams.callbacks[0] = 'ModelCheckpoint': unknown callback, known are "
            "EarlyStopping, ReduceLROnPlateau, SwapEMAWeights, TerminateOnNaN",
        ),
    ],
)
def test_refusals(parse: Any, value: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(value)
    assert str(caught.value).startswith(message)


def test_fit_params_of_every_key() -> None:
    stopping = {"monitor": "loss", "patience": 2}
    parsed = parse_fit_params(
        {
            "batch_size": np.int64(100),
            "epochs": 3,
            "verbose": "auto",
            "shuffle": False,
            "seed": 7,
            "validation_split": 0.25,
            "early_stopping": stopping,
            "callbacks": ["TerminateOnNaN"],
            "class_weight": {0: 1, 1: 2.5},
        }
    )
    assert parsed == FitParams(
        batch_size=100,
        epochs=3,
        verbose="auto",
        shuffle=False,
        seed=7,
        validation_split=0.25,
        early_stopping=stopping,
        callbacks=(KerasObject("TerminateOnNaN"),),
        class_weight={"0": 1.0, "1": 2.5},
    )
    assert parsed.all_callbacks == (
        KerasObject("EarlyStopping", stopping),
        KerasObject("TerminateOnNaN"),
    )
    assert parse_fit_params({}) == FitParams()


def test_plain_values_survive_json() -> None:
    value = plain({"learning_rate": np.float32(0.5), "betas": (np.int64(1), [2])})
    assert value == {"learning_rate": 0.5, "betas": [1, [2]]}
    assert type(value["learning_rate"]) is float
    assert type(value["betas"][0]) is int
