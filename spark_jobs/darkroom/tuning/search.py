"""The cross-validated search for the head on one backbone's feature vectors."""

from __future__ import annotations

import logging
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from darkroom.contract import (
    DarkroomError,
    DataError,
    HeadKind,
    SearchMethod,
    TuningConfig,
    class_and_text,
)
from darkroom.contract.tuning import worth
from darkroom.tuning.adaptive import adaptive_points
from darkroom.tuning.fits import Fit, Fits, Results
from darkroom.tuning.head import Head, TunedNetwork
from darkroom.tuning.matrix import MEBIBYTE, matrix_bytes, matrix_limit
from darkroom.tuning.network_fits import NetworkFits
from darkroom.tuning.points import Point, grid, planned, random_points
from darkroom.tuning.progress import State, watched
from darkroom.tuning.results import FitResult, ResultStore
from darkroom.tuning.rows import Pictures, TrainRows
from darkroom.tuning.spark_fits import SparkFits
from darkroom.tuning.task_fits import TaskFits

log = logging.getLogger(__name__)

Ended = Callable[[Sequence["Trial"]], None]
"""Is told of trials that have ended."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One point of the search space, fitted without each fold.

    Attributes:
        backbone: Name of the network that made the features.
        backbone_key: Its key in the features table.
        point: What was tried.
        metric: What trials are compared by.
        fits: What came of each fold, fold 0 first.
    """

    backbone: str
    backbone_key: str
    point: Point
    metric: str
    fits: tuple[FitResult, ...]

    @property
    def error(self) -> str | None:
        """Why the trial failed: what its first failed fit says; None if all have ended well."""
        for fold, fit in enumerate(self.fits):
            if fit.error is not None:
                return f"fold {fold}: {fit.error}"
            if self.metric not in fit.scores:
                return f"fold {fold}: {self.metric} is not defined for its images"
        return None

    @property
    def scores(self) -> tuple[float, ...]:
        """Score of each fold's validation part; empty for a failed trial."""
        return () if self.error else tuple(fit.scores[self.metric] for fit in self.fits)

    @property
    def mean(self) -> float:
        """Mean over the folds; not a number for a failed trial."""
        return statistics.fmean(self.scores) if self.scores else math.nan

    @property
    def std(self) -> float:
        """Population standard deviation over the folds, as Spark computes it."""
        return statistics.pstdev(self.scores) if self.scores else math.nan

    @property
    def stopped(self) -> bool:
        """Whether it had to stop before its last epoch because others were better."""
        return any(fit.stopped for fit in self.fits)

    @property
    def curve(self) -> tuple[float, ...]:
        """Of a network: mean over the folds of their loss, by epoch; as long as the longest.

        A fold whose training has stopped early keeps its last value.
        """
        losses = [fit.history["val_loss"] for fit in self.fits if "val_loss" in fit.history]
        longest = max(map(len, losses), default=0)
        padded = [[*loss, *[loss[-1]] * (longest - len(loss))] for loss in losses]
        return tuple(statistics.fmean(values) for values in zip(*padded, strict=True))

    @property
    def seconds(self) -> float:
        """Time of all its fits."""
        return sum(fit.seconds for fit in self.fits)

    @property
    def worth(self) -> float:
        """Higher is better, whatever the metric; lowest for a failed trial."""
        return -math.inf if self.error else worth(self.metric, self.mean)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search over one backbone's features found.

    Attributes:
        trials: All trials, in the order in which they were chosen.
        best: The one with the best mean.
        head: It fitted on all rows; None where all trials have failed.
        fits: What fitted it; still knows the rows' vectors.
    """

    trials: tuple[Trial, ...]
    best: Trial
    head: Head | TunedNetwork | None
    fits: Fits


def search(
    rows: TrainRows,
    config: TuningConfig,
    store: ResultStore,
    tell: Callable[[str], None] = log.info,
    pictures: Pictures | None = None,
    ended: Ended = lambda trials: None,
) -> Found:
    """Tries the points of the configuration and refits the best on all rows.

    Features are standardised inside each fit; the coefficients are for the raw features. Of equal
    means the first point wins. What the store has already is not fitted again.

    Args:
        rows: What to train on.
        config: Space, folds, metric.
        store: Results of fits.
        tell: Is told now and then how far the search is, one line.
        pictures: What fine-tuning needs besides; None where the heads are of features alone.
        ended: Is told of each trial once, soon after it has ended; those that are halved end
            together. What it raises while others are still fitted is a warning, and it is told of
            these trials again.

    Returns:
        All trials and the fitted winner; failed trials say why.

    Raises:
        DataError: An image has no features, or the rows are too many for a head that only a task
            can fit.
        DarkroomError: The winner could not be fitted on all rows.
    """
    check_heads(rows, config)
    searching = _Searching(rows, config, store, pictures, tell, ended)
    try:
        while points := _next_points(config, searching.trials):
            searching.try_all(points)
        trials = searching.trials
        # One that had to stop wins only if all others have failed since.
        best = max(trials, key=lambda trial: (not trial.error and not trial.stopped, trial.worth))
        way = searching.way_of(best.point)
        head = None if best.error else way.refit(best.point)
    finally:
        searching.close()
    return Found(trials=tuple(trials), best=best, head=head, fits=way)


def check_heads(rows: TrainRows, config: TuningConfig) -> None:
    """Refuses heads that only a task can fit where the rows are too many for one.

    Raises:
        DataError: A head of the configuration cannot be fitted.
    """
    limit = matrix_limit(rows.frame.sparkSession)
    if matrix_bytes(rows.images, rows.width) <= limit:
        return
    for head in config.heads:
        if head not in (HeadKind.LOGISTIC_REGRESSION, HeadKind.FINE_TUNE):
            raise DataError(
                f"{_size(rows)}, are more than the {_mebibytes(limit)} that a task may hold, and "
                f"{head} is fitted in one: raise spark.driver.memory and spark.executor.memory, "
                f"or take {HeadKind.LOGISTIC_REGRESSION}"
            )


def _next_points(config: TuningConfig, trials: Sequence[Trial]) -> list[Point]:
    if config.search == SearchMethod.ADAPTIVE:
        return adaptive_points(config, [(trial.point, trial.worth) for trial in trials])
    if trials:
        return []
    return random_points(config) if config.search == SearchMethod.RANDOM else grid(config)


def best_of(found: Sequence[Found]) -> Found:
    """The search with the best mean; of equals the first, hence the configuration's order.

    Raises:
        DarkroomError: Every trial of every search has failed.
    """
    best = max(found, key=lambda one: one.best.worth)
    if best.best.error:
        trials = [trial for one in found for trial in one.trials]
        raise DarkroomError(
            f"all {len(trials)} trials failed, the first ({trials[0].backbone} {trials[0].point}): "
            f"{trials[0].error}"
        )
    return best


class _Searching:
    """The ways to fit that a search has, and what it knows so far.

    Attributes:
        trials: Those that are over, in the order in which they were chosen.
    """

    def __init__(
        self,
        rows: TrainRows,
        config: TuningConfig,
        store: ResultStore,
        pictures: Pictures | None,
        tell: Callable[[str], None],
        ended: Ended,
    ) -> None:
        self.trials: list[Trial] = []
        self._rows = rows
        self._config = config
        self._tell = tell
        self._ended = ended
        self._handed_on: set[Point] = set()
        self._known: Results = {}
        self._by_task = TaskFits(rows, config, store)
        self._by_spark = SparkFits(rows, config, store)
        self._by_network = NetworkFits(rows, config, store, pictures) if pictures else None
        self._limit = matrix_limit(rows.frame.sparkSession)
        self._told: set[str] = set()

    def way_of(self, point: Point) -> Fits:
        """Who fits a point; says so, and why, in the log."""
        if point.head == HeadKind.FINE_TUNE:
            assert self._by_network is not None  # The stage has given the pictures.
            return self._say(
                f"{self._rows.backbone}: each network is one Spark task", self._by_network
            )
        what, limit = _size(self._rows), _mebibytes(self._limit)
        if matrix_bytes(self._rows.images, self._rows.width) > self._limit:
            return self._say(
                f"{what}, more than the {limit} of a task: Spark ML fits", self._by_spark
            )
        if point.has_l1:
            return self._say(f"{what}: Spark ML fits what has L1", self._by_spark)
        return self._say(f"{what}, at most {limit}: each fit is one Spark task", self._by_task)

    def try_all(self, points: Sequence[Point]) -> None:
        """Fits what is not known yet, way by way."""
        ways = {point: self.way_of(point) for point in points}
        # Networks first: what cannot be fine-tuned is said before anything is fitted.
        for way in sorted(dict.fromkeys(ways.values()), key=lambda w: w is not self._by_network):
            self._run(way, [point for point in points if ways[point] is way])
        tried = [self._trial(point, self._known) for point in points]
        self._hand_on(tried)
        self.trials += tried

    def close(self) -> None:
        """Lets go of what the workers hold."""
        self._by_task.close()
        self._by_spark.close()
        if self._by_network is not None:
            self._by_network.close()

    def _run(self, way: Fits, points: Sequence[Point]) -> None:
        fits = [Fit(point, fold) for point in points for fold in range(self._config.folds)]
        way.kept.forget_failures(fits)
        known = way.kept.results(fits)
        missing = [fit for fit in fits if fit not in known]
        if known:
            log.info("%s: %d of %d fits are known", self._rows.backbone, len(known), len(fits))
        if missing:
            self._check_complete(way)
            text = (
                f"{self._rows.backbone}: {planned(self._config)} trials x "
                f"{self._config.folds} folds"
            )
            context = self._rows.frame.sparkSession.sparkContext
            with watched(context, text, lambda: self._look(way, fits), self._tell):
                known |= way.run(missing)
        self._known |= known

    def _look(self, way: Fits, fits: Sequence[Fit]) -> State:
        """Says how far the whole search is while some fits are under way, and who has ended."""
        done = self._known | way.kept.results(fits)
        folds, total = range(self._config.folds), planned(self._config)
        points = dict.fromkeys(fit.point for fit in done)
        complete = (p for p in points if all(Fit(p, fold) in done for fold in folds))
        over = [self._trial(point, done) for point in complete]
        try:
            self._hand_on(over)
        except Exception as error:  # Fits that are under way have nothing to do with it.
            log.warning("trials that have ended are logged later: %s", class_and_text(error))
        words = ", ".join(filter(None, [f"{len(over)} of {total} trials", way.kept.note()]))
        best = max(over, key=lambda trial: trial.worth, default=None)
        if best is not None and not best.error:
            words += f", best {best.metric} {best.mean:.4f} ({best.point})"
        return State(len(done), total * len(folds), words)

    def _hand_on(self, trials: Sequence[Trial]) -> None:
        fresh = [trial for trial in trials if trial.point not in self._handed_on]
        if fresh:
            self._ended(fresh)
            self._handed_on.update(trial.point for trial in fresh)

    def _trial(self, point: Point, results: Mapping[Fit, FitResult]) -> Trial:
        return Trial(
            backbone=self._rows.backbone,
            backbone_key=self._rows.backbone_key,
            point=point,
            metric=self._config.metric,
            fits=tuple(results[Fit(point, fold)] for fold in range(self._config.folds)),
        )

    def _check_complete(self, way: Fits) -> None:
        missing = self._rows.images - way.images
        if missing:
            raise DataError(
                f"{missing} of {self._rows.images} train images have no features by "
                f"{self._rows.backbone}: run featurize again with --force"
            )

    def _say(self, words: str, way: Fits) -> Fits:
        if words not in self._told:
            log.info("%s", words)
            self._told.add(words)
        return way


def _size(rows: TrainRows) -> str:
    size = _mebibytes(matrix_bytes(rows.images, rows.width))
    return f"{rows.backbone}: {rows.images:,} x {rows.width:,} features, {size}"


def _mebibytes(size: int) -> str:
    return f"{size / MEBIBYTE:,.1f} MiB"
