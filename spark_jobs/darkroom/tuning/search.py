"""Cross-validated multinomial logistic regression on feature vectors."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from darkroom.contract import DataError, TuningConfig
from darkroom.tuning.heads import Head
from darkroom.tuning.matrix import MEBIBYTE, matrix_bytes, matrix_limit
from darkroom.tuning.rows import Point, TrainRows, grid
from darkroom.tuning.spark_fits import SparkFits
from darkroom.tuning.task_fits import TaskFits

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One point of the grid, scored on every fold.

    Attributes:
        backbone: Name of the network that made the features.
        backbone_key: Its key in the features table.
        reg_param: Strength of the regularisation.
        elastic_net_param: Share of L1 in it, 0-1.
        scores: Score of each fold's validation part, 0-1, fold 0 first.
    """

    backbone: str
    backbone_key: str
    reg_param: float
    elastic_net_param: float
    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the folds."""
        return statistics.fmean(self.scores)

    @property
    def std(self) -> float:
        """Population standard deviation over the folds, as Spark computes it."""
        return statistics.pstdev(self.scores)


class Fits(Protocol):
    """A way to fit heads on the rows of one backbone."""

    @property
    def images(self) -> int:
        """Number of rows."""

    def scores(self, points: Sequence[Point]) -> list[tuple[float, ...]]:
        """Scores of every fold, fold 0 first, for each point."""

    def refit(self, point: Point) -> Head:
        """Fits a head on all rows."""

    def vectors(self, image_ids: Sequence[str]) -> Mapping[str, NDArray[np.float32]]:
        """Vectors of those of the images that are trained on."""

    def close(self) -> None:
        """Lets go of what the workers hold; `vectors` still answers."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search over one backbone's features found.

    Attributes:
        trials: All trials, in the order of the grid.
        best: The trial with the highest mean.
        head: Its parameters, fitted on all rows.
        fits: What fitted it; still knows the rows' vectors.
    """

    trials: tuple[Trial, ...]
    best: Trial
    head: Head
    fits: Fits


def search(rows: TrainRows, config: TuningConfig) -> Found:
    """Tries every combination of the grid and refits the best on all rows.

    Features are standardised inside each fit; the coefficients are for the raw features. Of equal
    means the smaller ``regParam`` wins, then the smaller ``elasticNetParam``.

    Args:
        rows: What to train on.
        config: Grid, folds, metric.

    Returns:
        All trials and the fitted winner.

    Raises:
        DataError: An image has no features.
    """
    points = grid(config)
    ways = _ways(rows, config, points)
    scores: dict[Point, tuple[float, ...]] = {}
    for way, its_points in ways:
        _check_complete(way, rows)
        scores.update(zip(its_points, way.scores(its_points), strict=True))
    trials = tuple(_trial(rows, point, scores[point]) for point in points)
    number = max(range(len(trials)), key=lambda n: trials[n].mean)
    fits = next(way for way, its_points in ways if points[number] in its_points)
    head = fits.refit(points[number])
    for way, _ in ways:
        way.close()
    return Found(trials=trials, best=trials[number], head=head, fits=fits)


def best_of(found: Sequence[Found]) -> Found:
    """The search with the highest mean; of equals the first, hence the configuration's order."""
    return max(found, key=lambda one: one.best.mean)


def _ways(
    rows: TrainRows, config: TuningConfig, points: Sequence[Point]
) -> list[tuple[Fits, list[Point]]]:
    """Which points are fitted how; says so, and why, in the log."""
    size, limit = matrix_bytes(rows.images, rows.width), matrix_limit(rows.frame.sparkSession)
    what = f"{rows.backbone}: {rows.images:,} x {rows.width:,} features, {_mebibytes(size)}"
    if size > limit:
        log.info("%s, more than the %s of a task: Spark ML fits", what, _mebibytes(limit))
        return [(SparkFits(rows, config), list(points))]
    by_tasks = [point for point in points if not point.has_l1]
    by_spark = [point for point in points if point.has_l1]
    ways: list[tuple[Fits, list[Point]]] = []
    if by_tasks:
        log.info("%s, at most %s: each fit is one Spark task", what, _mebibytes(limit))
        ways.append((TaskFits(rows, config), by_tasks))
    if by_spark:
        log.info("%s: Spark ML fits what has L1 (trials: %d)", what, len(by_spark))
        ways.append((SparkFits(rows, config), by_spark))
    return ways


def _check_complete(way: Fits, rows: TrainRows) -> None:
    missing = rows.images - way.images
    if missing:
        raise DataError(
            f"{missing} of {rows.images} train images have no features by "
            f"{rows.backbone}: run featurize again with --force"
        )


def _trial(rows: TrainRows, point: Point, scores: tuple[float, ...]) -> Trial:
    return Trial(
        backbone=rows.backbone,
        backbone_key=rows.backbone_key,
        reg_param=point.reg_param,
        elastic_net_param=point.elastic_net_param,
        scores=scores,
    )


def _mebibytes(size: int) -> str:
    return f"{size / MEBIBYTE:,.1f} MiB"
