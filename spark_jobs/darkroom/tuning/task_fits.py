"""Fits as independent Spark tasks, one task each, on one matrix that all of them share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from darkroom.contract import DarkroomError, TuningConfig
from darkroom.ml.attempts import run_all
from darkroom.tuning.fits import Fit, Kept, Results, attempted
from darkroom.tuning.head import Head
from darkroom.tuning.head_fits import HeadFit
from darkroom.tuning.matrix import FeatureMatrix, collect_matrix
from darkroom.tuning.points import Point
from darkroom.tuning.results import FitResult, ResultStore
from darkroom.tuning.rows import TrainRows

if TYPE_CHECKING:
    from pyspark import SparkContext


class TaskFits:
    """`Fits` on a broadcast matrix; its points have no L1."""

    def __init__(self, rows: TrainRows, config: TuningConfig, store: ResultStore) -> None:
        """Args: rows: what to train on; config: folds, seed, bound of iterations; store: results.

        Nothing is read before something has to be fitted.
        """
        self.kept = Kept(store, rows, config, "tasks")
        self._rows = rows
        self._config = config

    @property
    def images(self) -> int:
        """Number of rows."""
        return len(self._matrix.image_ids)

    def run(self, fits: Sequence[Fit]) -> Results:
        """Fits and stores; a fit that fails has a result that says why."""
        for fit in fits:
            self._head_fit(fit.point)
        results, lost = run_all(fits, self._run_job, self.kept.results)
        for fit, reason in lost.items():
            results[fit] = FitResult(error=reason)
            self.kept.store.put(self.kept.key(*fit), results[fit])
        return results

    def refit(self, point: Point) -> Head:
        """Fits a head on all rows."""
        key, store = self.kept.key(point, None), self.kept.store
        known = store.get_head(key)
        if known is not None:
            return known
        heads, lost = run_all([point], self._fit_all, lambda _: {})
        if lost:
            raise DarkroomError(f"the winner, {point}, could not be refitted: {lost[point]}")
        store.put_head(key, heads[point])
        return heads[point]

    def vectors(self, image_ids: Sequence[str]) -> Mapping[str, NDArray[np.float32]]:
        """Vectors of those of the images that are trained on."""
        ids = np.array(self._matrix.image_ids)
        found = np.flatnonzero(np.isin(ids, list(image_ids)))
        return {str(ids[n]): self._matrix.examples.vectors[n] for n in found}

    def close(self) -> None:
        """Takes the matrix from the workers."""
        shared = self.__dict__.pop("_shared", None)
        if shared is not None:
            shared.destroy()

    def _run_job(self, fits: Sequence[Fit]) -> Results:
        """One job with a task for each fit."""
        work = [(fit, self._head_fit(fit.point), self.kept.key(*fit)) for fit in fits]
        task = _task(self._shared, self.kept.store)
        results = self._context.parallelize(work, len(work)).map(task).collect()
        return dict(zip(fits, results, strict=True))

    def _fit_all(self, points: Sequence[Point]) -> Mapping[Point, Head]:
        work, shared = [self._head_fit(point) for point in points], self._shared

        def fit(head_fit: HeadFit) -> Head:
            return head_fit.on_all(shared.value)

        heads = self._context.parallelize(work, len(work)).map(fit).collect()
        return dict(zip(points, heads, strict=True))

    @cached_property
    def _matrix(self) -> FeatureMatrix:
        return collect_matrix(self._rows.frame)

    @cached_property
    def _shared(self) -> Any:
        return self._context.broadcast(self._matrix.examples)

    @property
    def _context(self) -> SparkContext:
        return self._rows.frame.sparkSession.sparkContext

    def _head_fit(self, point: Point) -> HeadFit:
        if point.has_l1:
            raise ValueError(f"{point!r}: scikit-learn's L-BFGS knows no L1")
        return HeadFit(
            classes=len(self._rows.labels),
            point=point,
            max_iterations=self._config.max_iterations,
            seed=self._config.seed,
        )


def _task(shared: Any, store: ResultStore) -> Callable[[tuple[Fit, HeadFit, str]], FitResult]:
    """What a worker does: it stores each result at once, whatever becomes of the job."""

    def run(work: tuple[Fit, HeadFit, str]) -> FitResult:
        fit, head_fit, key = work
        result = attempted(lambda: head_fit.without_fold(shared.value, fit.fold))
        store.put(key, result)
        return result

    return run
