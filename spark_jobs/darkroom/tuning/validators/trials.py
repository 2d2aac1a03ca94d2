"""Every trial of a grid on every split of the rows, several at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pyspark import inheritable_thread_target
from pyspark.ml import Estimator, Model
from pyspark.ml.util import MetaAlgorithmReadWrite

from darkroom.contract import ConfigError
from darkroom.contract.names import near_matches
from darkroom.tuning.validators.prefixes import Branch, ParamMap, branches

if TYPE_CHECKING:
    from pyspark.ml.evaluation import Evaluator
    from pyspark.sql import Column, DataFrame

Split = tuple["Column", "Column"]
"""Which rows to train on, and which to validate on."""


@dataclass(frozen=True)
class Search:
    """What a validator is to do.

    Attributes:
        estimator: What every trial fits.
        maps: The grid.
        evaluator: Scores predictions.
        parallelism: Trials at a time.
        collect: Whether to keep the trials' models.
        features: Folder of feature vectors that outlive the search, or None.
    """

    estimator: Estimator[Any]
    maps: Sequence[ParamMap]
    evaluator: Evaluator
    parallelism: int
    collect: bool
    features: str | None = None

    def check(self) -> None:
        """Refuses a grid that cannot be searched.

        Raises:
            ConfigError: It is empty, or a param belongs to no stage of the estimator.
        """
        if not self.maps:
            remedy = "there is nothing to try: give at least one param map, [{}] for the defaults"
            raise ConfigError("estimatorParamMaps", [], remedy)
        stages = MetaAlgorithmReadWrite.getUidMap(self.estimator)
        for one in self.maps:
            for param, value in one.items():
                if param.parent in stages and stages[param.parent].hasParam(param.name):
                    continue
                known = {p.name for stage in stages.values() for p in stage.params}
                raise ConfigError(
                    f"estimatorParamMaps.{param.name}",
                    value,
                    f"{param.parent} is no stage of the estimator: take the Param from one of "
                    f"{', '.join(stages)}"
                    if param.name in known
                    else f"no stage has this param, {near_matches(param.name, sorted(known))}",
                )

    def run(self, frame: DataFrame, splits: Sequence[Split]) -> Outcome:
        """Scores every trial on every split and fits the best on all rows.

        Args:
            frame: The rows.
            splits: Conditions on its columns.
        """
        scores = np.zeros((len(splits), len(self.maps)))
        models: list[list[Model | None]] = [[None] * len(self.maps) for _ in splits]
        with ExitStack() as kept:
            found = branches(self.estimator, self.maps, frame, self.evaluator, kept, self.features)
            pool = kept.enter_context(ThreadPool(min(self.parallelism, scores.size)))
            for branch in found:
                tasks = [
                    inheritable_thread_target(frame.sparkSession)(task)
                    for task in self._tasks(branch, splits)
                ]
                for split, place, score, model in pool.imap_unordered(_call, tasks):
                    scores[split, place] = score
                    models[split][place] = model
            means = scores.mean(axis=0)
            best = int(means.argmax() if self.evaluator.isLargerBetter() else means.argmin())
            branch = next(one for one in found if best in one.places)
            fitted = branch.estimator.fit(branch.frame, dict(self.maps[best]))
            return Outcome(scores, branch.whole(fitted), models if self.collect else None)

    def _tasks(
        self, branch: Branch, splits: Sequence[Split]
    ) -> Iterator[Callable[[], tuple[int, int, float, Model | None]]]:
        """One for each trial of the branch on each split; any thread may run any of them."""
        maps: list[Any] = [dict(one) for one in branch.maps]
        for split, (train, validation) in enumerate(splits):
            fits = branch.estimator.fitMultiple(branch.frame.filter(train), maps)
            held_out = branch.frame.filter(validation)

            def task(
                split: int = split, fits: Any = fits, held_out: DataFrame = held_out
            ) -> tuple[int, int, float, Model | None]:
                index, model = next(fits)
                score = self.evaluator.evaluate(model.transform(held_out, maps[index]))
                kept = branch.whole(model) if self.collect else None
                return split, branch.places[index], score, kept

            yield from [task] * len(maps)


@dataclass(frozen=True)
class Outcome:
    """What came of a search.

    Attributes:
        scores: Shape (splits, trials).
        best: The best trial's model, fitted on all rows.
        models: Of each split each trial's, or None.
    """

    scores: NDArray[np.float64]
    best: Model
    models: list[list[Model | None]] | None


def _call(task: Callable[[], tuple[int, int, float, Model | None]]) -> Any:
    return task()
