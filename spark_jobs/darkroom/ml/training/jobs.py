"""The Spark jobs of a training: find the classes, check the networks, write the rows, train.

One whole network is one Spark task, so that a search trains as many at once as there are cores.
Nothing heavy passes through the driver: it sends settings and receives paths and histories.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from darkroom.backbones.libraries import import_tensorflow
from darkroom.contract import ConfigError, DarkroomError
from darkroom.contract.names import near_matches
from darkroom.contract.workspace import write_atomically
from darkroom.ml.attempts import run_all
from darkroom.ml.engines import Engine, prepare
from darkroom.ml.training.fit_params import FIT_FIELD, FitParams, KerasObject
from darkroom.ml.training.folder import engines_beside
from darkroom.ml.training.labels import Classes, Label, find_classes, label_values
from darkroom.ml.training.rows import Examples, TrainingRows, write_rows
from darkroom.ml.training.trial import (
    History,
    ModelSource,
    Trial,
    check_arguments,
    check_network,
    said,
    train,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark import TaskContext
    from pyspark.sql import DataFrame, SparkSession

    from darkroom.ml.inference import Read
    from darkroom.ml.pictures.column import Loader

_ANSWER: Final = "trial long, value string, error string"


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
        engine: What the trained network is prepared for.
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
    engine: Engine


@dataclass(frozen=True)
class Trained:
    """What came of one recipe.

    Attributes:
        classes: The labels in the order of the network's outputs.
        file: The trained network, or None.
        history: By metric one value per epoch.
        error: Why there is no network, one line.
    """

    classes: tuple[Label, ...]
    file: Path | None
    history: History
    error: str | None = None


def train_all(frame: DataFrame, recipes: Sequence[Recipe], folder: Path) -> list[Trained]:
    """Trains one network per recipe, each in a Spark task of its own.

    Args:
        frame: Has the recipes' columns.
        recipes: At least one.
        folder: A new folder that the driver and all workers see; the trained networks stay in it.

    Returns:
        One outcome per recipe, in order: a training that failed does not stop the others.

    Raises:
        ConfigError: A recipe cannot be trained; nothing was trained.
        DataError: The rows cannot be trained on; nothing was trained.
    """
    spark = frame.sparkSession
    try:
        classes = _classes(frame, recipes)
        trials = _trials(recipes, classes, folder)
        shapes = _check(spark, trials)
        rows = _rows(frame, recipes, classes, shapes, folder)
        engines = [recipe.engine for recipe in recipes]
        answers = _train(spark, trials, rows, engines, folder)
        return [
            _outcome(found.labels, _network_file(folder, n), *answers[n])
            for n, found in enumerate(classes)
        ]
    finally:
        shutil.rmtree(folder / "rows", ignore_errors=True)
        shutil.rmtree(folder / "sources", ignore_errors=True)


def _classes(frame: DataFrame, recipes: Sequence[Recipe]) -> list[Classes]:
    find = functools.cache(lambda column, given: find_classes(frame, column, given))
    return [find(recipe.label_col, recipe.classes) for recipe in recipes]


def _trials(recipes: Sequence[Recipe], classes: Sequence[Classes], folder: Path) -> list[Trial]:
    copy = functools.cache(lambda file: _copied(file, folder / "sources"))
    trials = []
    for recipe, found in zip(recipes, classes, strict=True):
        if recipe.model_file is not None:
            file = copy(recipe.model_file)
            source = ModelSource(file=str(file), shown=str(recipe.model_file))
        else:
            name = getattr(recipe.model_fn, "__qualname__", repr(recipe.model_fn))
            source = ModelSource(function=recipe.model_fn, shown=name)
        trials.append(
            Trial(
                source=source,
                optimizer=recipe.optimizer,
                loss=recipe.loss,
                fit=recipe.fit,
                classes=len(found.labels),
                class_weight=_class_weight(recipe.fit, found.labels),
            )
        )
    return trials


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

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import_tensorflow(_task().cpus())
        shape_of = functools.cache(check_network)
        for n in _indices(batches):
            trial = trials[n]
            try:
                check_arguments(trial)
                shape = shape_of(trial.source, trial.loss.name, trial.classes)
            except ConfigError as error:
                problem = {"field": error.field, "value": error.value, "remedy": error.remedy}
                yield _answer(n, None, json.dumps(problem, default=str))
            else:
                yield _answer(n, json.dumps(shape), None)

    shapes = []
    for shape, problem in _run(spark, len(trials), run, tasks=1):
        if problem is not None:
            raise ConfigError(**json.loads(problem))
        height, width, channels = json.loads(shape or "")
        shapes.append((height, width, channels))
    return shapes


def _rows(
    frame: DataFrame,
    recipes: Sequence[Recipe],
    classes: Sequence[Classes],
    shapes: Sequence[tuple[int, int, int]],
    folder: Path,
) -> list[TrainingRows]:
    """Writes the rows of each recipe; recipes that read the same ones share them."""
    made: dict[object, TrainingRows] = {}
    rows = []
    for recipe, found, shape in zip(recipes, classes, shapes, strict=True):
        key = (recipe.image_col, recipe.label_col, recipe.loader, found, recipe.drop_bad, shape)
        if key not in made:
            examples = Examples(_reader(recipe.loader, shape), shape, found.indexer())
            label = label_values(frame, recipe.label_col, found.kind)
            pairs = frame.select(recipe.image_col, label.alias(f"{recipe.image_col}_label"))
            target = folder / "rows" / str(len(made))
            made[key] = write_rows(pairs, examples, target, found.rows, recipe.drop_bad)
        # Too few rows to hold any out is an error before any training starts, too.
        made[key].split(recipe.fit.validation_split)
        rows.append(made[key])
    return rows


def _reader(loader: Loader | None, shape: tuple[int, int, int]) -> Read:
    from darkroom.ml.pictures.column import images_of, loaded_by

    return images_of if loader is None else functools.partial(loaded_by, loader, shape)


def _train(
    spark: SparkSession,
    trials: Sequence[Trial],
    rows: Sequence[TrainingRows],
    engines: Sequence[Engine],
    folder: Path,
) -> list[tuple[str | None, str | None]]:
    """One task per trial: (history as JSON, error)."""
    cache = engines_beside(_network_file(folder, 0))
    for made in (cache, _network_file(folder, 0).parent):
        made.mkdir()

    def answer_of(n: int) -> tuple[str | None, str | None]:
        task, target = _task(), _network_file(folder, n)
        # Spark may run a task twice: each attempt writes a file of its own.
        scratch = target.with_stem(f".{n}-{task.taskAttemptId()}")
        try:
            history = train(trials[n], rows[n], scratch, task.cpus())
            # Where TensorFlow runs already: the driver then finds all it needs without it.
            prepare(scratch, cache, engines[n])
            os.replace(scratch, target)
            return json.dumps(history), None
        except Exception as error:
            scratch.unlink(missing_ok=True)
            return None, said(error)

    def run_job(numbers: Sequence[int]) -> dict[int, tuple[str | None, str | None]]:
        def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for place in _indices(batches):
                value, error = answer_of(numbers[place])
                # Not lost with the job if a neighbour's worker is killed.
                write_atomically(_answer_file(folder, numbers[place]), json.dumps((value, error)))
                yield _answer(place, value, error)

        answers = _run(spark, len(numbers), run, tasks=len(numbers))
        return dict(zip(numbers, answers, strict=True))

    def stored(numbers: Sequence[int]) -> dict[int, tuple[str | None, str | None]]:
        files = {n: _answer_file(folder, n) for n in numbers}
        found = {n: json.loads(file.read_text()) for n, file in files.items() if file.exists()}
        return {n: (value, error) for n, (value, error) in found.items()}

    answers, lost = run_all(range(len(trials)), run_job, stored)
    return [answers[n] if n in answers else (None, lost[n]) for n in range(len(trials))]


def _task() -> TaskContext:
    from pyspark import TaskContext

    task = TaskContext.get()
    assert task is not None
    return task


def _network_file(folder: Path, n: int) -> Path:
    return folder / "networks" / f"{n}.keras"


def _answer_file(folder: Path, n: int) -> Path:
    return _network_file(folder, n).with_suffix(".json")


def _outcome(
    labels: tuple[Label, ...], file: Path, history: str | None, error: str | None
) -> Trained:
    if history is None:
        return Trained(labels, None, {}, error)
    if not file.is_file():
        raise DarkroomError(
            f"a worker wrote {file} and this machine does not see it: set DARKROOM_CACHE to a "
            "folder that all workers and the driver share"
        )
    return Trained(labels, file, json.loads(history))


def _run(
    spark: SparkSession,
    trials: int,
    run: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]],
    tasks: int,
) -> list[tuple[str | None, str | None]]:
    """Runs a function over the trials' numbers; returns its values and errors in their order."""
    answers = spark.range(0, trials, 1, tasks).mapInArrow(run, _ANSWER).collect()
    return [(row["value"], row["error"]) for row in sorted(answers, key=lambda row: row["trial"])]


def _indices(batches: Iterator[pa.RecordBatch]) -> Iterator[int]:
    for batch in batches:
        yield from batch.column(0).to_pylist()


def _answer(n: int, value: str | None, error: str | None) -> pa.RecordBatch:
    import pyarrow as pa

    columns = [pa.array([n], pa.int64()), pa.array([value]), pa.array([error])]
    return pa.RecordBatch.from_arrays(
        [columns[0], columns[1].cast(pa.string()), columns[2].cast(pa.string())],
        names=["trial", "value", "error"],
    )
