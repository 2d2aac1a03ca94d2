"""Fits as independent Spark tasks, one task each, on one matrix that all of them share."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from darkroom.contract import TuningConfig
from darkroom.tuning.heads import Head, HeadFit
from darkroom.tuning.matrix import collect_matrix
from darkroom.tuning.rows import Point, TrainRows

if TYPE_CHECKING:
    from pyspark import SparkContext

Work = TypeVar("Work")
Result = TypeVar("Result")

PROGRESS_SECONDS: Final = 5.0

log = logging.getLogger(__name__)


class TaskFits:
    """`Fits` on a broadcast matrix; its points have no L1."""

    def __init__(self, rows: TrainRows, config: TuningConfig) -> None:
        """Args: rows: what to train on; config: folds, metric, bound of iterations."""
        self._context = rows.frame.sparkSession.sparkContext
        self._name = rows.backbone
        self._classes = len(rows.labels)
        self._config = config
        self._matrix = collect_matrix(rows.frame)
        self._shared = self._context.broadcast(self._matrix.examples)

    @property
    def images(self) -> int:
        """Number of rows."""
        return len(self._matrix.image_ids)

    def scores(self, points: Sequence[Point]) -> list[tuple[float, ...]]:
        """Scores of every fold, fold 0 first, for each point."""
        shared, folds, metric = self._shared, self._config.folds, self._config.metric

        def score(work: tuple[HeadFit, int]) -> float:
            fit, fold = work
            return fit.without_fold(shared.value, fold, metric)

        work = [(self._fit(point), fold) for point in points for fold in range(folds)]
        scores = self._run(f"{self._name}: {len(points)} trials x {folds} folds", work, score)
        return [tuple(scores[n : n + folds]) for n in range(0, len(scores), folds)]

    def refit(self, point: Point) -> Head:
        """Fits a head on all rows."""
        shared = self._shared

        def fit_all(fit: HeadFit) -> Head:
            return fit.on_all(shared.value)

        (head,) = self._run(f"{self._name}: the best on all folds", [self._fit(point)], fit_all)
        return head

    def vectors(self, image_ids: Sequence[str]) -> Mapping[str, NDArray[np.float32]]:
        """Vectors of those of the images that are trained on."""
        ids = np.array(self._matrix.image_ids)
        found = np.flatnonzero(np.isin(ids, list(image_ids)))
        return {str(ids[n]): self._matrix.examples.vectors[n] for n in found}

    def close(self) -> None:
        """Takes the matrix from the workers."""
        self._shared.destroy()

    def _fit(self, point: Point) -> HeadFit:
        if point.has_l1:
            raise ValueError(f"{point}: scikit-learn's L-BFGS knows no L1")
        return HeadFit(
            classes=self._classes,
            reg_param=point.reg_param,
            max_iterations=self._config.max_iterations,
        )

    def _run(
        self, description: str, work: Sequence[Work], run: Callable[[Work], Result]
    ) -> list[Result]:
        """One task for each piece of work; results in the same order."""
        with _watched(self._context, description, len(work)):
            results: list[Result] = self._context.parallelize(work, len(work)).map(run).collect()
        return results


@contextmanager
def _watched(context: SparkContext, description: str, total: int) -> Iterator[None]:
    """Describes the jobs started inside, and logs now and then how many tasks are done."""
    group, over = f"tuning-{uuid.uuid4()}", threading.Event()

    def watch() -> None:
        while not over.wait(PROGRESS_SECONDS):
            log.info("%s: %d of %d fits done", description, _done(context, group), total)

    watcher = threading.Thread(target=watch, name=group, daemon=True)
    context.setJobGroup(group, description)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        for name in ("spark.jobGroup.id", "spark.job.description"):
            # PySpark's stubs do not know that None takes a property away.
            context.setLocalProperty(name, None)  # type: ignore[arg-type]
    log.info("%s: %d of %d fits done", description, total, total)


def _done(context: SparkContext, group: str) -> int:
    """Number of completed tasks of a job group."""
    tracker = context.statusTracker()
    jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(group)]
    stages = [tracker.getStageInfo(stage) for job in jobs if job for stage in job.stageIds]
    return sum(stage.numCompletedTasks for stage in stages if stage)
