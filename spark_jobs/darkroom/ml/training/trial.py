"""Checks and trains one Keras model; runs in Python workers, where it imports TensorFlow."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from darkroom.backbones.libraries import import_tensorflow
from darkroom.contract import ConfigError, DarkroomError, class_and_text
from darkroom.contract.names import near_matches
from darkroom.ml.training.checkpoints import BEST_WEIGHTS, History, Recorder
from darkroom.ml.training.fit_params import (
    BINARY_LOSSES,
    CLASS_LOSSES,
    LOSS_FIELD,
    OPTIMIZER_FIELD,
    SPARSE_LOSS,
    FitParams,
    KerasObject,
    decayed,
)
from darkroom.ml.training.rows import Batch, Part, TrainingRows, dataset

Scores = Mapping[str, float]
Judge = Callable[[NDArray[np.intp], NDArray[np.float64]], Scores]
"""From class indices (n,) and probabilities (n, classes) of the rows held out to scores."""

Start = Callable[[Any, Iterator[Batch]], None]
"""Gives an untrained network its first weights: the network, and the rows that it is to learn from
(images float32 in 0-255 or as the loader left them), each once."""

METRICS: Final = ("accuracy",)


@dataclass(frozen=True)
class ModelSource:
    """Where an untrained, or pre-trained, network comes from: exactly one of the two.

    Attributes:
        file: A ``.keras`` or ``.h5`` file that every worker can read.
        function: Returns an uncompiled ``keras.Model``.
        shown: What a message calls it.
    """

    file: str | None = None
    function: Callable[[], Any] | None = None
    shown: str = ""

    @property
    def field(self) -> str:
        """The Param that named it."""
        return "modelFile" if self.function is None else "modelFn"

    def build(self, seed: int) -> Any:
        """Loads or makes the network; a function's random weights follow from the seed.

        Raises:
            ConfigError: That failed.
        """
        import keras

        keras.utils.set_random_seed(seed)
        try:
            if self.function is None:
                model = keras.saving.load_model(self.file, compile=False)
            else:
                model = self.function()
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(self.field, self.shown, f"it cannot be had: {said(error)}") from None
        if not isinstance(model, keras.Model):
            kind = type(model).__name__
            raise ConfigError(self.field, self.shown, f"give a keras.Model, this is a {kind}")
        return model


@dataclass(frozen=True)
class Trial:
    """One network to train in one way.

    Attributes:
        source: The network.
        optimizer: See `darkroom.ml.training.fit_params`.
        loss: See `darkroom.ml.training.fit_params`.
        fit: See `darkroom.ml.training.fit_params`.
        classes: Number of classes.
        class_weight: Weight in the loss by class index, or None.
        hold_out: The fold to validate on and not to train on; None for ``fit.validation_split``.
        judge: Scores the trained network on the rows held out, or None.
        start: Gives the network its first weights, or None.
        decay_epochs: Epochs in which the learning rate falls to 0; None: it stays as it is.
    """

    source: ModelSource
    optimizer: KerasObject
    loss: KerasObject
    fit: FitParams
    classes: int
    class_weight: Mapping[int, float] | None = None
    hold_out: int | None = None
    judge: Judge | None = None
    start: Start | None = None
    decay_epochs: int | None = None

    def parts(self, rows: TrainingRows) -> tuple[Part, Part]:
        """What to train on, and what to hold out.

        Raises:
            DataError: One of them would be empty though both are wanted.
        """
        if self.hold_out is not None:
            return rows.without(self.hold_out)
        return rows.split(self.fit.validation_split)


@dataclass(frozen=True)
class Fitted:
    """What came of a training.

    Attributes:
        history: Loss and accuracy per epoch, ``val_`` before the name for the rows held out.
        epochs: Epochs that the trained weights are of: with early stopping those of the best.
        scores: What `Trial.judge` said; empty without one.
        seconds: How long it took, in this process.
    """

    history: History
    epochs: int
    scores: Scores
    seconds: float


def check_arguments(trial: Trial) -> None:
    """Makes the optimizer, the loss and the callbacks of a trial.

    Raises:
        ConfigError: Keras refuses an argument.
    """
    _make_optimizer(trial.optimizer)
    _make_loss(trial.loss)
    for callback in trial.fit.all_callbacks:
        _make_callback(callback)


def check_network(source: ModelSource, loss: str, classes: int) -> tuple[int, int, int]:
    """Builds a network and trains nothing.

    Args:
        source: The network.
        loss: Name of the loss.
        classes: Number of classes.

    Returns:
        Shape of the network's input, (height, width, channels).

    Raises:
        ConfigError: The network cannot be had, or does not fit images, the classes or the loss.
    """
    model = source.build(seed=0)
    shape = _input_shape(model, source)
    _check_outputs(model, source, loss, classes)
    _check_probabilities(model, source, shape)
    return shape


def train(
    trial: Trial,
    rows: TrainingRows,
    target: Path | None,
    threads: int,
    checkpoint: Path | None = None,
) -> Fitted:
    """Trains a network and writes it.

    The same trial on the same rows gives the same weights, on the same number of threads, and
    also if it was killed and goes on from its checkpoint.

    Args:
        trial: What to train.
        rows: What to train on.
        target: Keras file to write: the network without the optimizer's state. None to write none.
        threads: Cores that belong to this task.
        checkpoint: File to go on from if it exists, and to write after each epoch.

    Returns:
        How it went.

    Raises:
        DarkroomError: The loss is not a number any more.
        Exception: Whatever Keras and the network raise.
    """
    begun = time.perf_counter()
    tf = import_tensorflow(threads)
    import keras

    keras.utils.clear_session()
    tf.config.experimental.enable_op_determinism()
    fit = trial.fit
    model = trial.source.build(fit.seed)
    # Some weights, and all of dropout, are drawn after the network is made.
    keras.utils.set_random_seed(fit.seed)
    training, held_out = trial.parts(rows)
    optimizer = trial.optimizer
    if trial.decay_epochs is not None:
        steps = -(-training.rows // fit.batch_size) * trial.decay_epochs
        optimizer = decayed(optimizer, steps)
    model.compile(
        optimizer=_make_optimizer(optimizer),
        loss=_make_loss(trial.loss),
        metrics=list(METRICS),
    )
    callbacks = [_make_callback(callback) for callback in fit.all_callbacks]
    recorder = Recorder(model, callbacks, checkpoint, fit.epochs)
    if trial.start is not None and not recorder.progress.epochs:
        trial.start(model, rows.batches(training, fit.batch_size))
    part = functools.partial(
        dataset,
        rows,
        batch_size=fit.batch_size,
        targets=_targets(trial.loss.name, _units(model), trial.classes),
        threads=threads,
    )
    done = recorder.progress
    model.fit(
        part(training, seed=lambda: (fit.seed, recorder.epoch) if fit.shuffle else None),
        validation_data=part(held_out) if held_out.rows else None,
        initial_epoch=done.epochs,
        epochs=done.epochs if done.stopped else fit.epochs,
        shuffle=False,  # The dataset does it.
        verbose=fit.verbose,
        callbacks=[*callbacks, recorder.callback()],
        class_weight=dict(trial.class_weight) if trial.class_weight else None,
    )
    scores = _judged(trial.judge, model, rows, held_out, fit.batch_size)
    if target is not None:
        _without_optimizer(model).save(target)
    return Fitted(
        history=recorder.progress.history,
        epochs=_epochs_of_weights(callbacks, recorder.progress.epochs),
        scores=scores,
        seconds=time.perf_counter() - begun,
    )


def _judged(
    judge: Judge | None, model: Any, rows: TrainingRows, held_out: Part, batch_size: int
) -> Scores:
    if judge is None or not held_out.rows:
        return {}
    truths, answers = [], []
    for images, labels in rows.batches(held_out, batch_size):
        truths.append(labels)
        answers.append(np.asarray(model.predict_on_batch(images.astype(np.float32)), np.float64))
    found = np.concatenate(answers)
    if found.shape[1] == 1:
        found = np.hstack([1 - found, found])
    return judge(np.concatenate(truths), found)


def _epochs_of_weights(callbacks: Sequence[Any], done: int) -> int:
    """How many epochs the weights have seen that a training ends with."""
    for callback in callbacks:
        if getattr(callback, BEST_WEIGHTS, None) is not None:
            return int(callback.best_epoch) + 1
    return done


def said(error: BaseException) -> str:
    """An error as one line: its class and what it says."""
    return str(error) if isinstance(error, DarkroomError) else class_and_text(error)


def _input_shape(model: Any, source: ModelSource) -> tuple[int, int, int]:
    shape = getattr(model, "input_shape", None)
    if isinstance(shape, tuple) and len(shape) == 4:
        _, height, width, channels = shape
        if isinstance(height, int) and isinstance(width, int) and channels == 3:
            return height, width, channels
    raise ConfigError(
        source.field, source.shown, f"its input is {shape}: it must be (None, height, width, 3)"
    )


def _units(model: Any) -> int:
    """Width of the output; 0 for one that is not (batch, units)."""
    shape = getattr(model, "output_shape", None)
    flat = isinstance(shape, tuple) and len(shape) == 2 and isinstance(shape[1], int)
    return int(shape[1]) if flat else 0  # type: ignore[index]


def _check_outputs(model: Any, source: ModelSource, loss: str, classes: int) -> None:
    units = _units(model)
    if not units:
        shape = getattr(model, "output_shape", None)
        raise ConfigError(
            source.field, source.shown, f"its output is {shape}: it must be (None, {classes})"
        )
    if units != classes and (units, classes) != (1, 2):
        raise ConfigError(
            source.field,
            source.shown,
            f"it answers {units} values and the labels have {classes} classes: end it in "
            f"{classes} units",
        )
    if units == 1 and loss in CLASS_LOSSES:
        raise ConfigError(
            LOSS_FIELD, loss, f"a network with one unit needs {BINARY_LOSSES[0]}, or two units"
        )


def _check_probabilities(model: Any, source: ModelSource, shape: tuple[int, int, int]) -> None:
    pixels = np.random.default_rng(0).uniform(0, 255, (2, *shape)).astype(np.float32)
    answer = np.asarray(model(pixels, training=False))
    if not (np.all(answer >= 0) and np.all(answer <= 1 + 1e-5)):
        worst = float(answer.ravel()[np.abs(answer - 0.5).argmax()])
        raise ConfigError(
            source.field,
            source.shown,
            f"it does not answer probabilities but, for example, {worst:.3g}: end it in softmax "
            "(or in sigmoid, with one unit)",
        )


def _make_optimizer(optimizer: KerasObject) -> Any:
    import keras

    names = {item.lower(): item for item in dir(keras.optimizers)}
    kind = getattr(keras.optimizers, names[optimizer.name.replace("_", "")])
    return _make(OPTIMIZER_FIELD, kind, optimizer.config)


def _make_loss(loss: KerasObject) -> Any:
    import keras

    names = {item.lower(): item for item in dir(keras.losses) if item[0].isupper()}
    kind = getattr(keras.losses, names[loss.name.replace("_", "")])
    return _make(LOSS_FIELD, kind, loss.config)


def _make_callback(callback: KerasObject) -> Any:
    import keras

    kind = getattr(keras.callbacks, callback.name)
    return _make(f"kerasFitParams.{callback.name}", kind, callback.config)


def _make(where: str, kind: Any, config: Mapping[str, Any]) -> Any:
    """An instance of one of Keras' classes; a learning rate may be the config of a schedule."""
    import keras

    known = tuple(name for name in inspect.signature(kind).parameters if name != "kwargs")
    for key in config:
        if key not in known:
            remedy = f"{kind.__name__} has no such argument, {near_matches(key, known)}"
            raise ConfigError(f"{where}.{key}", config[key], remedy)
    try:
        made = {
            key: keras.optimizers.schedules.deserialize(value) if _is_object(value) else value
            for key, value in config.items()
        }
        return kind(**made)
    except Exception as error:
        raise ConfigError(where, dict(config), f"Keras refuses it: {said(error)}") from None


def _is_object(value: object) -> bool:
    return isinstance(value, Mapping) and "class_name" in value


def _targets(loss: str, units: int, classes: int) -> Callable[[Any], Any]:
    """From class indices (batch,) to what a loss takes for a network of so many units."""
    import tensorflow as tf

    if units == 1:
        return lambda index: tf.cast(index, "float32")[:, None]
    if loss == SPARSE_LOSS:
        return lambda index: index
    return lambda index: tf.one_hot(index, classes)


def _without_optimizer(model: Any) -> Any:
    """The same layers, uncompiled: an optimizer's state would triple the file."""
    import keras

    try:
        return keras.Model(model.inputs, model.outputs, name=model.name)
    except (AttributeError, ValueError, TypeError):
        return model  # A subclassed model has no graph to take.
