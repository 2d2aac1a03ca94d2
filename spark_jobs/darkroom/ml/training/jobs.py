"""The Spark jobs of a training: find the classes, check the networks, write the rows, train.

One whole network is one Spark task, so that a search trains as many at once as there are cores.
Nothing heavy passes through the driver: it sends settings and receives paths and histories.
"""

from __future__ import annotations

import functools
import itertools
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.backbones.libraries import import_tensorflow
from darkroom.contract import ConfigError, DarkroomError
from darkroom.contract.names import near_matches
from darkroom.ml.engines import Engine
from darkroom.ml.training.fit_params import FIT_FIELD, FitParams, KerasObject
from darkroom.ml.training.folder import engines_beside
from darkroom.ml.training.labels import Classes, Label, find_classes, label_values
from darkroom.ml.training.rows import Examples, TrainingRows, write_rows
from darkroom.ml.training.tasks import Answer, Report, Work, run_tasks, this_task, train_in_tasks
from darkroom.ml.training.trial import (
    Fitted,
    Judge,
    ModelSource,
    Start,
    Trial,
    check_arguments,
    check_network,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from darkroom.ml.inference import Read
    from darkroom.ml.pictures.column import Loader


@dataclass(frozen=True)
class Recipe:
    """One parsed param map.

    Attributes:
        image_col: Column of images.
        label_col: Column of labels.
        loader: User's function that reads the images of a column of URIs, or None.
        classes: The labels, where the data may lack some; None for those of the data.
        drop_bad: Leave out rows that cannot be used.
        model_file: Keras file that the driver can read, or None.
        model_fn: Makes the network, or None.
        optimizer: See `darkroom.ml.training.fit_params`.
        loss: See `darkroom.ml.training.fit_params`.
        fit: See `darkroom.ml.training.fit_params`.
        engine: What the trained network is prepared for; None for nothing.
        fold_col: Column of fold numbers (int), or None.
        hold_out: The fold to validate on; None for what ``fit`` says.
        judge: Scores the trained network on what is held out, in the task.
        start: Gives the network its first weights, in the task.
        decay_epochs: Epochs in which the learning rate falls to 0; None: it stays as it is.
        report: Is told the outcome, in the task.
        checkpoint: File that outlives this process, to go on from; it stays for the caller to
            remove. None: one that only this process knows.
        keep: Whether the trained network is wanted.
    """

    image_col: str
    label_col: str
    loader: Loader | None
    classes: tuple[Label, ...] | None
    drop_bad: bool
    model_file: Path | None
    model_fn: Callable[[], Any] | None
    optimizer: KerasObject
    loss: KerasObject
    fit: FitParams
    engine: Engine | None
    fold_col: str | None = None
    hold_out: int | None = None
    judge: Judge | None = None
    start: Start | None = None
    decay_epochs: int | None = None
    report: Report | None = None
    checkpoint: Path | None = None
    keep: bool = True


@dataclass(frozen=True)
class Trained:
    """What came of one recipe.

    Attributes:
        classes: The labels in the order of the network's outputs.
        file: The trained network; None if it failed or was not wanted.
        fitted: How the training went, or None.
        error: Why it failed, one line.
    """

    classes: tuple[Label, ...]
    file: Path | None
    fitted: Fitted | None
    error: str | None = None


class Trainings:
    """Trainings on one data frame: its images are decoded once, however many there are."""

    def __init__(self, frame: DataFrame, folder: Path) -> None:
        """Does nothing yet.

        Args:
            frame: Has the recipes' columns.
            folder: A new folder that the driver and all workers see; trained networks stay in it.
        """
        self._frame = frame
        self._folder = folder
        self._made: dict[object, TrainingRows] = {}
        self._numbers = itertools.count()
        self._find = functools.cache(lambda column, given: find_classes(frame, column, given))
        self._copy = functools.cache(lambda file: _copied(file, folder / "sources"))

    def train(self, recipes: Sequence[Recipe]) -> list[Trained]:
        """Trains one network per recipe, each in a Spark task of its own.

        Args:
            recipes: At least one.

        Returns:
            One outcome per recipe, in order: a training that failed does not stop the others.

        Raises:
            ConfigError: A recipe cannot be trained; nothing was trained.
            DataError: The rows cannot be trained on; nothing was trained.
        """
        spark = self._frame.sparkSession
        classes = [self._find(recipe.label_col, recipe.classes) for recipe in recipes]
        trials = [self._trial(*pair) for pair in zip(recipes, classes, strict=True)]
        shapes = _check(spark, trials)
        works = []
        for recipe, found, trial, shape in zip(recipes, classes, trials, shapes, strict=True):
            rows = self._rows(recipe, found, shape)
            # Too few rows to hold any out is an error before any training starts, too.
            trial.parts(rows)
            works.append(self._work(recipe, trial, rows))
        outcomes = train_in_tasks(spark, works)
        return [
            _trained(found.labels, work.network, outcome)
            for found, work, outcome in zip(classes, works, outcomes, strict=True)
        ]

    def close(self) -> None:
        """Removes what only trainings need."""
        for name in ("rows", "sources", "checkpoints"):
            shutil.rmtree(self._folder / name, ignore_errors=True)

    def _trial(self, recipe: Recipe, found: Classes) -> Trial:
        if recipe.model_file is not None:
            file = self._copy(recipe.model_file)
            source = ModelSource(file=str(file), shown=str(recipe.model_file))
        else:
            name = getattr(recipe.model_fn, "__qualname__", repr(recipe.model_fn))
            source = ModelSource(function=recipe.model_fn, shown=name)
        return Trial(
            source=source,
            optimizer=recipe.optimizer,
            loss=recipe.loss,
            fit=recipe.fit,
            classes=len(found.labels),
            class_weight=_class_weight(recipe.fit, found.labels),
            hold_out=recipe.hold_out,
            judge=recipe.judge,
            start=recipe.start,
            decay_epochs=recipe.decay_epochs,
        )

    def _rows(self, recipe: Recipe, found: Classes, shape: tuple[int, int, int]) -> TrainingRows:
        """Writes the rows of a recipe; recipes that read the same ones share them."""
        from pyspark.sql import functions as F

        columns = (recipe.image_col, recipe.label_col, recipe.fold_col)
        key = (*columns, recipe.loader, found, recipe.drop_bad, shape)
        if key not in self._made:
            examples = Examples(_reader(recipe.loader, shape), shape, found.indexer())
            label = label_values(self._frame, recipe.label_col, found.kind)
            fold = F.lit(None) if recipe.fold_col is None else F.col(recipe.fold_col)
            chosen = self._frame.select(
                recipe.image_col,
                label.alias(f"{recipe.image_col}_label"),
                fold.cast("int").alias(f"{recipe.image_col}_fold"),
            )
            target = self._folder / "rows" / str(len(self._made))
            self._made[key] = write_rows(chosen, examples, target, found.rows, recipe.drop_bad)
        return self._made[key]

    def _work(self, recipe: Recipe, trial: Trial, rows: TrainingRows) -> Work:
        number = next(self._numbers)
        network = self._folder / "networks" / f"{number}.keras"
        for made in (engines_beside(network), network.parent):
            made.mkdir(parents=True, exist_ok=True)
        own = self._folder / "checkpoints" / f"{number}.npz"
        return Work(
            trial=trial,
            rows=rows,
            network=network if recipe.keep else None,
            engine=recipe.engine,
            answer=network.with_suffix(".json"),
            checkpoint=recipe.checkpoint or own,
            keep_checkpoint=recipe.checkpoint is not None,
            report=recipe.report,
        )


def train_all(frame: DataFrame, recipes: Sequence[Recipe], folder: Path) -> list[Trained]:
    """Trains one network per recipe; see `Trainings`."""
    trainings = Trainings(frame, folder)
    try:
        return trainings.train(recipes)
    finally:
        trainings.close()


def _copied(file: Path, folder: Path) -> Path:
    """Workers read the copy: they need not see the folder of the original."""
    folder.mkdir(exist_ok=True)
    copy = folder / f"{len(list(folder.iterdir()))}{file.suffix}"
    shutil.copyfile(file, copy)
    return copy


def _class_weight(fit: FitParams, labels: tuple[Label, ...]) -> dict[int, float] | None:
    if fit.class_weight is None:
        return None
    index = {str(label): n for n, label in enumerate(labels)}
    for key, weight in fit.class_weight.items():
        if key not in index:
            remedy = f"no such class, {near_matches(key, tuple(index))}"
            raise ConfigError(f"{FIT_FIELD}.class_weight.{key}", weight, remedy)
    return {index[key]: weight for key, weight in fit.class_weight.items()}


def _check(spark: SparkSession, trials: Sequence[Trial]) -> list[tuple[int, int, int]]:
    """Builds every network once, in one task; returns the shapes of their inputs."""
    known: dict[object, tuple[int, int, int]] = {}  # Of the worker, which gets a copy.

    def answer(n: int) -> Answer:
        import_tensorflow(this_task().cpus())
        trial = trials[n]
        network = (trial.source, trial.loss.name, trial.classes)
        try:
            check_arguments(trial)
            if network not in known:
                known[network] = check_network(*network)
        except ConfigError as error:
            problem = {"field": error.field, "value": error.value, "remedy": error.remedy}
            return Answer(None, json.dumps(problem, default=str))
        return Answer(json.dumps(known[network]), None)

    shapes = []
    for shape, problem in run_tasks(spark, len(trials), answer, tasks=1):
        if problem is not None:
            raise ConfigError(**json.loads(problem))
        height, width, channels = json.loads(shape or "")
        shapes.append((height, width, channels))
    return shapes


def _reader(loader: Loader | None, shape: tuple[int, int, int]) -> Read:
    from darkroom.ml.pictures.column import images_of, loaded_by

    return images_of if loader is None else functools.partial(loaded_by, loader, shape)


def _trained(labels: tuple[Label, ...], file: Path | None, outcome: Fitted | str) -> Trained:
    if isinstance(outcome, str):
        return Trained(labels, None, None, outcome)
    if file is not None and not file.is_file():
        raise DarkroomError(
            f"a worker wrote {file} and this machine does not see it: set DARKROOM_CACHE to a "
            "folder that all workers and the driver share"
        )
    return Trained(labels, file, outcome)
