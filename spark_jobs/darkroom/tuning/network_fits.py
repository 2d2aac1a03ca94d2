"""Fine-tuning: the backbone's last layers and a head, trained together, one network per task."""

from __future__ import annotations

import functools
import logging
import os
import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from darkroom.contract import DarkroomError, TuningConfig
from darkroom.contract import columns as c
from darkroom.contract.tuning import FineTuneConfig, HalvingConfig
from darkroom.ml.training.fit_params import FitParams, KerasObject
from darkroom.ml.training.jobs import Recipe, Trainings
from darkroom.ml.training.trial import Fitted
from darkroom.tuning.fine_tuning import FIRST_HEAD, fine_tune_network, set_first_head
from darkroom.tuning.fits import Fit, Kept, Results, checked
from darkroom.tuning.folds import FOLD, TRUTH
from darkroom.tuning.halving import rungs, survivors
from darkroom.tuning.head import TunedNetwork
from darkroom.tuning.head_fits import HeadFit
from darkroom.tuning.points import Point
from darkroom.tuning.results import FitResult, ResultStore
from darkroom.tuning.rows import Pictures, TrainRows
from darkroom.tuning.scoring import scores_of

LOSS: Final = "sparse_categorical_crossentropy"

log = logging.getLogger(__name__)


class NetworkFits:
    """`Fits` of points of `HeadKind.FINE_TUNE`, on the pictures themselves."""

    def __init__(
        self, rows: TrainRows, config: TuningConfig, store: ResultStore, pictures: Pictures
    ) -> None:
        """Args: rows: labels and folds; config: folds, seed; store: results; pictures: the images.

        Nothing is read before something has to be trained.
        """
        own = config.fine_tune or FineTuneConfig()
        self._patience, self._halving = own.patience, own.halving
        way = f"networks, cosine decay, patience {own.patience}"
        self.kept = self._stored = Kept(store, rows, config, way)
        self._rung: list[Fit] = []
        self._halved: Results = {}
        if own.halving is not None:
            self.kept = _Halved(store, rows, config, self._stored.way, self._halved, self._rung)
        self._rows = rows
        self._config = config
        self._pictures = pictures
        self._networks: dict[int, Callable[[], Any]] = {}

    @property
    def images(self) -> int:
        """Number of rows: a picture without features is trained on as well."""
        return self._rows.images

    def run(self, fits: Sequence[Fit]) -> Results:
        """Fits and stores; a fit that fails has a result that says why."""
        if self._halving is None:
            return self._train(fits)
        results = self._run_halved(fits, self._halving)
        self._halved.update(results)
        self._rung.clear()
        for fit in fits:
            self._stored.store.checkpoint(self._stored.key(*fit)).unlink(missing_ok=True)
        return results

    def _run_halved(self, fits: Sequence[Fit], halving: HalvingConfig) -> Results:
        results: Results = {}
        points = list(dict.fromkeys(fit.point for fit in fits))
        folds = range(self._config.folds)
        for rung in rungs(halving, max(point.epochs for point in points)):
            results |= self._train_until(points, rung)
            so_far = {point: [results[Fit(point, fold)] for fold in folds] for point in points}
            best = survivors(points, so_far, self._config.metric, halving.factor)
            log.info(
                "%s: %d of %d trials go on after epoch %d",
                self._rows.backbone,
                len(best),
                len(points),
                rung,
            )
            points = best
        return results | self._train_until(points)

    def _train_until(self, points: Sequence[Point], rung: int = 0) -> Results:
        """Trains to so many epochs, or to all."""
        folds = range(self._config.folds)
        fits = [
            Fit(point, fold, rung if rung < point.epochs else 0)
            for point in points
            for fold in folds
        ]
        self._rung[:] = fits
        self._stored.forget_failures(fits)
        known = self._stored.results(fits)
        missing = [fit for fit in fits if fit not in known]
        known |= self._train(missing) if missing else {}
        return {fit._replace(until=0): replace(known[fit], stopped=bool(fit.until)) for fit in fits}

    def _train(self, fits: Sequence[Fit]) -> Results:
        trained = self._trainings.train([self._of_fold(fit) for fit in fits])
        for fit, outcome in zip(fits, trained, strict=True):
            if outcome.error is not None:
                # Whoever killed its worker did not store anything.
                self._stored.store.put(self._stored.key(*fit), FitResult(error=outcome.error))
        return self._stored.results(fits)

    def refit(self, point: Point) -> TunedNetwork:
        """Trains on all rows, for as many epochs as were best on the folds in the mean."""
        folds = [Fit(point, fold) for fold in range(self._config.folds)]
        results = self._stored.results(folds) | self._halved
        epochs = round(statistics.fmean(results[fit].epochs for fit in folds))
        key, store = self._stored.key(point, None, epochs), self._stored.store
        file = store.network(key)
        if not file.exists():
            recipe = self._recipe(point, epochs, store.checkpoint(key))
            (trained,) = self._trainings.train([recipe])
            if trained.file is None:
                raise DarkroomError(f"the winner, {point}, could not be refitted: {trained.error}")
            file.parent.mkdir(parents=True, exist_ok=True)
            os.replace(trained.file, file)
            store.checkpoint(key).unlink(missing_ok=True)
        return TunedNetwork(file)

    def vectors(self, image_ids: Sequence[str]) -> Mapping[str, NDArray[np.float32]]:
        """None: what it trains on are pictures."""
        del image_ids
        return {}

    def close(self) -> None:
        """Removes the decoded pictures."""
        trainings = self.__dict__.pop("_trainings", None)
        if trainings is not None:
            trainings.close()

    @cached_property
    def _trainings(self) -> Trainings:
        return Trainings(self._pictures.frame, self._pictures.folder)

    def _of_fold(self, fit: Fit) -> Recipe:
        key, store = self._stored.key(*fit), self._stored.store
        checkpoint = store.checkpoint(self._stored.key(fit.point, fit.fold))
        whole = self._recipe(fit.point, fit.epochs, checkpoint)
        stopping = {
            "monitor": "val_loss",
            "patience": self._patience,
            "restore_best_weights": True,
        }
        return replace(
            whole,
            fit=replace(whole.fit, early_stopping=stopping if self._patience else None),
            hold_out=fit.fold,
            judge=scores_of,
            report=functools.partial(_store, store, key, checkpoint, self._halving is not None),
            keep=False,
        )

    def _network(self, last_layers: int) -> Callable[[], Any]:
        """The same function for the same network, which is then checked once."""
        if last_layers not in self._networks:
            self._networks[last_layers] = functools.partial(
                fine_tune_network, self._pictures.backbone_file, len(self._rows.labels), last_layers
            )
        return self._networks[last_layers]

    def _recipe(self, point: Point, epochs: int, checkpoint: Path) -> Recipe:
        """How a network is trained on all rows.

        Its learning rate falls over all epochs of the point, wherever it stops: what goes on from
        a checkpoint, and the refit, are the training that was compared with others.
        """
        classes, seed = len(self._rows.labels), self._config.seed
        head = HeadFit(
            classes=classes,
            point=FIRST_HEAD,
            max_iterations=self._config.max_iterations,
            seed=seed,
        )
        return Recipe(
            image_col=c.IMAGE,
            label_col=TRUTH,
            fold_col=FOLD,
            loader=None,
            classes=tuple(range(classes)),
            drop_bad=False,
            model_file=None,
            model_fn=self._network(point.last_layers),
            optimizer=KerasObject("adam", {"learning_rate": point.learning_rate}),
            loss=KerasObject(LOSS),
            fit=FitParams(batch_size=point.batch_size, epochs=epochs, seed=seed),
            engine=None,
            start=functools.partial(set_first_head, head),
            decay_epochs=point.epochs,
            checkpoint=checkpoint,
        )


@dataclass(frozen=True)
class _Halved(Kept):
    """Of halved trials nothing is known before all have been compared; `run` finds its rungs.

    Attributes:
        decided: Results of those that have been compared to the end.
        rung: Fits that are under way, each until its trial is compared with the others.
    """

    decided: Mapping[Fit, FitResult]
    rung: Sequence[Fit]

    def results(self, fits: Collection[Fit]) -> Results:
        """What has been decided."""
        return {fit: self.decided[fit] for fit in fits if fit in self.decided}

    def note(self) -> str:
        """How many of the rung's fits have come to it."""
        rung = list(self.rung)
        if not rung:
            return ""
        done, epochs = len(super().results(rung)), max(fit.epochs for fit in rung)
        trials = len({fit.point for fit in rung})
        return f"{done} of {len(rung)} fits of {trials} trials have come to epoch {epochs}"


def _store(
    store: ResultStore, key: str, checkpoint: Path, goes_on: bool, outcome: Fitted | str
) -> None:
    """What a worker does with a result when it has it."""
    if isinstance(outcome, str):
        store.put(key, FitResult(error=outcome))
        return
    result = FitResult(
        scores=outcome.scores,
        seconds=outcome.seconds,
        history=outcome.history,
        epochs=outcome.epochs,
    )
    store.put(key, checked(result))
    if not goes_on:
        checkpoint.unlink(missing_ok=True)
