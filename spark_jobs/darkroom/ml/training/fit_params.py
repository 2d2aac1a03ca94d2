"""The three Params of a training, parsed: optimizer, loss and fit parameters.

Nothing here imports Keras: a wrong name is refused on the driver before any worker starts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from numbers import Integral
from typing import Any, Final

from darkroom.contract import ConfigError
from darkroom.contract.names import near_matches

OPTIMIZER_FIELD: Final = "kerasOptimizer"
LOSS_FIELD: Final = "kerasLoss"
FIT_FIELD: Final = "kerasFitParams"

OPTIMIZERS: Final = (
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "ftrl",
    "lion",
    "muon",
    "nadam",
    "rmsprop",
    "schedule_free_adamw",
    "sgd",
)
"""Keras' optimizers; upper case and underscores do not matter."""

SPARSE_LOSS: Final = "sparse_categorical_crossentropy"
BINARY_LOSSES: Final = ("binary_crossentropy", "binary_focal_crossentropy")
CLASS_LOSSES: Final = (
    "categorical_crossentropy",
    SPARSE_LOSS,
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "dice",
    "tversky",
)
"""Losses over one probability per class: a network with one unit cannot have them."""

LOSSES: Final = (
    *BINARY_LOSSES,
    *CLASS_LOSSES,
    "cosine_similarity",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "squared_hinge",
)
"""Keras' losses that fit a classifier; upper case and underscores do not matter."""

_LOSS_ALIASES: Final = {
    "bce": "binary_crossentropy",
    "kld": "kl_divergence",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "mse": "mean_squared_error",
    "msle": "mean_squared_logarithmic_error",
}

CALLBACKS: Final = ("EarlyStopping", "ReduceLROnPlateau", "SwapEMAWeights", "TerminateOnNaN")
"""Keras' callbacks that write no files and take no functions."""

MONITORS: Final = ("loss", "accuracy", "val_loss", "val_accuracy")


@dataclass(frozen=True)
class KerasObject:
    """Something of Keras by name, with the arguments of its constructor.

    Attributes:
        name: As Keras spells it: an entry of `OPTIMIZERS`, `LOSSES` or `CALLBACKS`.
        config: Keyword arguments; JSON values.
    """

    name: str
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FitParams:
    """What ``kerasFitParams`` may say; the defaults are Keras' own, but for silence and the seed.

    Attributes:
        batch_size: Images per step, at least 1.
        epochs: Passes over the data, at least 1.
        verbose: 0, 1, 2 or "auto", as in ``keras.Model.fit``; it prints in the worker's log.
        shuffle: Whether each epoch sees the images in another order.
        seed: Of initial weights, order and dropout; same data and seed, same weights.
        validation_split: Share of the images to validate on instead of training, 0 <= x < 1.
        early_stopping: Arguments of ``keras.callbacks.EarlyStopping``; None for none.
        callbacks: More of `CALLBACKS`.
        class_weight: Weight of a class in the loss, by label.
    """

    batch_size: int = 32
    epochs: int = 1
    verbose: int | str = 0
    shuffle: bool = True
    seed: int = 0
    validation_split: float = 0.0
    early_stopping: Mapping[str, Any] | None = None
    callbacks: tuple[KerasObject, ...] = ()
    class_weight: Mapping[str, float] | None = None

    @property
    def all_callbacks(self) -> tuple[KerasObject, ...]:
        """The callbacks, early stopping first."""
        if self.early_stopping is None:
            return self.callbacks
        return (KerasObject("EarlyStopping", self.early_stopping), *self.callbacks)


FIT_KEYS: Final = tuple(item.name for item in fields(FitParams))


def parse_optimizer(value: object) -> KerasObject:
    """Reads ``kerasOptimizer``.

    Args:
        value: A name, ``{"name": "adam", "learning_rate": 1e-3}``, or Keras' own
            ``{"class_name": "Adam", "config": {"learning_rate": 1e-3}}``.

    Returns:
        The optimizer, its name an entry of `OPTIMIZERS`.

    Raises:
        ConfigError: The name is unknown or the value has another form.
    """
    return _keras_object(OPTIMIZER_FIELD, value, "optimizer", OPTIMIZERS, {})


def decayed(optimizer: KerasObject, steps: int) -> KerasObject:
    """The optimizer with a learning rate that falls to 0 along half a cosine.

    Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2017), without
    the restarts.

    Args:
        optimizer: Has a ``learning_rate``, a number.
        steps: Number of batches until it is 0.
    """
    start = {"initial_learning_rate": optimizer.config["learning_rate"], "decay_steps": steps}
    rate = {"class_name": "CosineDecay", "config": start}
    return KerasObject(optimizer.name, {**optimizer.config, "learning_rate": rate})


def parse_loss(value: object) -> KerasObject:
    """Reads ``kerasLoss``.

    Args:
        value: A name, ``{"name": "categorical_crossentropy", "label_smoothing": 0.1}``, or
            Keras' own ``{"class_name": ..., "config": ...}``.

    Returns:
        The loss, its name an entry of `LOSSES`.

    Raises:
        ConfigError: The name is unknown, the value has another form or asks for logits.
    """
    loss = _keras_object(LOSS_FIELD, value, "loss", LOSSES, _LOSS_ALIASES)
    if loss.config.get("from_logits"):
        raise ConfigError(
            f"{LOSS_FIELD}.from_logits",
            loss.config["from_logits"],
            "the network must answer probabilities: end it in softmax or sigmoid and leave this "
            "out",
        )
    return loss


def parse_fit_params(value: object) -> FitParams:
    """Reads ``kerasFitParams``; see `FitParams` for its keys.

    Raises:
        ConfigError: A key is unknown or its value cannot be used; the message names both.
    """
    if not isinstance(value, Mapping):
        raise ConfigError(FIT_FIELD, value, "give a dict such as {'batch_size': 32, 'epochs': 5}")
    for key in value:
        if key not in FIT_KEYS:
            remedy = f"unknown key, {near_matches(str(key), FIT_KEYS)}"
            raise ConfigError(f"{FIT_FIELD}.{key}", value[key], remedy)
    params = FitParams(
        **{key: _FIT_PARSERS[key](f"{FIT_FIELD}.{key}", item) for key, item in value.items()}
    )
    for callback in params.all_callbacks:
        _check_monitor(callback, params.validation_split)
    return params


def _check_monitor(callback: KerasObject, validation_split: float) -> None:
    if callback.name not in {"EarlyStopping", "ReduceLROnPlateau"}:
        return
    where = f"{FIT_FIELD}.{callback.name}.monitor"
    monitor = callback.config.get("monitor", "val_loss")
    if monitor not in MONITORS:
        raise ConfigError(where, monitor, f"unknown, {near_matches(str(monitor), MONITORS)}")
    if monitor.startswith("val_") and not validation_split:
        raise ConfigError(
            where, monitor, "there is nothing to validate on: set validation_split above 0"
        )


def _keras_object(
    where: str, value: object, kind: str, known: tuple[str, ...], aliases: Mapping[str, str]
) -> KerasObject:
    name, config = _name_and_config(where, value, known)
    names = {_flat(item): item for item in known} | dict(aliases)
    if _flat(name) not in names:
        raise ConfigError(where, name, f"unknown {kind}, {near_matches(name, known)}")
    return KerasObject(names[_flat(name)], config)


def _name_and_config(
    where: str, value: object, known: tuple[str, ...]
) -> tuple[str, dict[str, Any]]:
    if isinstance(value, str):
        return value, {}
    if isinstance(value, Mapping):
        if isinstance(value.get("name"), str):
            return value["name"], {key: item for key, item in value.items() if key != "name"}
        own, config = value.get("class_name"), value.get("config", {})
        if isinstance(own, str) and isinstance(config, Mapping):
            # Keras' configurations repeat the name of the instance, which nobody needs here.
            return own, {key: item for key, item in config.items() if key != "name"}
    raise ConfigError(where, value, f"give a name or a dict such as {{'name': {known[0]!r}}}")


def _flat(name: str) -> str:
    return name.lower().replace("_", "")


def _whole(low: int) -> Callable[[str, object], int]:
    def parse(where: str, value: object) -> int:
        # NumPy's integers come out of searches.
        if not isinstance(value, Integral) or isinstance(value, bool) or value < low:
            raise ConfigError(where, value, f"give a whole number of at least {low}")
        return int(value)

    return parse


def _truth(where: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(where, value, "give True or False")
    return value


def _verbose(where: str, value: object) -> int | str:
    if value == "auto" or (type(value) is int and value in (0, 1, 2)):
        return value
    raise ConfigError(where, value, "give 0, 1, 2 or 'auto'")


def _share(where: str, value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1:
        return float(value)
    raise ConfigError(where, value, "give a number of at least 0 and below 1")


def _early_stopping(where: str, value: object) -> Mapping[str, Any] | None:
    if value is None or isinstance(value, Mapping):
        return value
    raise ConfigError(where, value, "give a dict such as {'monitor': 'val_loss', 'patience': 3}")


def _callbacks(where: str, value: object) -> tuple[KerasObject, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ConfigError(where, value, "give a list such as [{'name': 'ReduceLROnPlateau'}]")
    return tuple(
        _keras_object(f"{where}[{n}]", item, "callback", CALLBACKS, {})
        for n, item in enumerate(value)
    )


def _class_weight(where: str, value: object) -> Mapping[str, float] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) or not value:
        raise ConfigError(where, value, "give a dict such as {'cat': 1.0, 'dog': 2.5}")
    for key, weight in value.items():
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not math.isfinite(weight) or weight < 0:
            raise ConfigError(f"{where}.{key}", weight, "give a number of at least 0")
    return {str(key): float(weight) for key, weight in value.items()}


_FIT_PARSERS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "batch_size": _whole(1),
    "epochs": _whole(1),
    "verbose": _verbose,
    "shuffle": _truth,
    "seed": _whole(0),
    "validation_split": _share,
    "early_stopping": _early_stopping,
    "callbacks": _callbacks,
    "class_weight": _class_weight,
}


def plain(value: Any) -> Any:
    """A value as JSON knows it: dicts, lists, and Python's numbers in place of NumPy's."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    # A NumPy scalar, without importing NumPy.
    return value.item() if hasattr(value, "item") and hasattr(value, "dtype") else value
