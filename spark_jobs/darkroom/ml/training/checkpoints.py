"""What a training goes on from after its process was killed: one file, replaced after each epoch.

Keras' own ``BackupAndRestore`` keeps weights and the number of the epoch. A training that went on
from these would end in other numbers: how patient early stopping still is, its best weights and
the state of random layers belong to it, and so does the history.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from darkroom.contract import DarkroomError
from darkroom.contract.workspace import replacing

History = dict[str, list[float]]
"""By metric one value per epoch."""

BEST_WEIGHTS: Final = "best_weights"
"""Attribute of Keras' EarlyStopping."""

_STATE: Final = "state"

_COUNTERS: Final = frozenset(
    {
        "best",
        "best_epoch",
        "cooldown_counter",
        "stopped_epoch",
        "wait",
        "_ema_weights_in_model",
    }
)
"""Attributes in which Keras' EarlyStopping, ReduceLROnPlateau and SwapEMAWeights remember."""


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    Attributes:
        epochs: Passes over the data that are done.
        history: Of these epochs.
        stopped: Whether early stopping has ended it.
    """

    epochs: int = 0
    history: History = field(default_factory=dict)
    stopped: bool = False


class Recorder:
    """Keeps the history of a training and, where it has a file, all that it goes on from.

    Attributes:
        progress: Epochs done, those of an earlier process included.
        epoch: The epoch that is under way, 0 for the first.
    """

    def __init__(
        self, model: Any, callbacks: Sequence[Any], file: Path | None, epochs: int
    ) -> None:
        """Reads the file.

        Args:
            model: The compiled network; `callback` restores its variables.
            callbacks: Those of Keras that the training has besides.
            file: Written after each epoch; it need not exist yet. None to keep nothing.
            epochs: How many there are to be in all. A file of more is of no use.
        """
        self._model = model
        self._callbacks = callbacks
        self._file = file
        self._arrays, self._state = _read(file)
        self.progress = Progress(**self._state["progress"]) if self._state else Progress()
        if self.progress.epochs > epochs:
            self._arrays, self._state, self.progress = {}, {}, Progress()
        self.epoch = self.progress.epochs

    def callback(self) -> Any:
        """The callback that restores and writes; it must be the last in the list."""
        import keras

        return keras.callbacks.LambdaCallback(
            on_train_begin=self._restore, on_epoch_begin=self._begin, on_epoch_end=self._end
        )

    def _begin(self, epoch: int, logs: object) -> None:
        del logs
        self.epoch = epoch

    def _end(self, epoch: int, logs: Mapping[str, Any]) -> None:
        numbers = {name: float(value) for name, value in logs.items()}
        if not math.isfinite(numbers["loss"]):
            raise DarkroomError(
                f"the loss is {numbers['loss']} after epoch {epoch + 1}: lower the learning rate, "
                "or check the range of the inputs"
            )
        for name, value in numbers.items():
            self.progress.history.setdefault(name, []).append(value)
        stopped = bool(self._model.stop_training)
        self.progress = Progress(epoch + 1, self.progress.history, stopped)
        if self._file is not None:
            self._write(self._file)

    def _write(self, file: Path) -> None:
        arrays: dict[str, Any] = {
            f"variable {n}": one.numpy() for n, one in enumerate(self._variables())
        }
        for n, callback in enumerate(self._callbacks):
            for k, best in enumerate(getattr(callback, BEST_WEIGHTS, None) or ()):
                arrays[f"{BEST_WEIGHTS} {n} {k}"] = best
        callbacks = [dict(_counters(callback)) for callback in self._callbacks]
        state = {"progress": vars(self.progress), "callbacks": callbacks}
        arrays[_STATE] = np.array(json.dumps(state))
        with replacing(file) as stream:
            np.savez(stream, **arrays)

    def _restore(self, logs: object) -> None:
        """Keras has reset the callbacks by now."""
        del logs
        if not self._state:
            return
        for n, variable in enumerate(self._variables()):
            variable.assign(self._arrays[f"variable {n}"])
        for n, (callback, counters) in enumerate(
            zip(self._callbacks, self._state["callbacks"], strict=True)
        ):
            vars(callback).update(counters)
            best = [name for name in self._arrays if name.startswith(f"{BEST_WEIGHTS} {n} ")]
            if best:
                weights = [self._arrays[f"{BEST_WEIGHTS} {n} {k}"] for k in range(len(best))]
                setattr(callback, BEST_WEIGHTS, weights)
        # Read again by nobody, and as large as the network thrice.
        self._arrays = {}

    def _variables(self) -> list[Any]:
        """Weights, the states of random layers, and what the optimizer remembers."""
        optimizer = self._model.optimizer
        if not optimizer.built:
            optimizer.build(self._model.trainable_variables)
        return [*self._model.variables, *optimizer.variables]


def _read(file: Path | None) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    if file is None or not file.exists():
        return {}, {}
    with np.load(file, allow_pickle=False) as stored:
        arrays = dict(stored)
    return arrays, json.loads(str(arrays.pop(_STATE)))


def _counters(callback: Any) -> Iterator[tuple[str, float | None]]:
    for name, value in vars(callback).items():
        if name in _COUNTERS:
            yield name, value.item() if isinstance(value, np.generic) else value
