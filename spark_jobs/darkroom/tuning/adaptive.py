"""Points chosen by what the ones before have shown: Optuna's tree-structured Parzen estimator.

The next points follow from the seed and from the trials so far, and from nothing else: a search
that is begun anew over stored results goes the same way again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from darkroom.contract import HeadKind, Range, TuningConfig
from darkroom.tuning.points import Point, Space, spaces

if TYPE_CHECKING:
    from optuna import Study, Trial

ROUND: Final = 4
"""Points chosen at a time. Not by the number of cores, which would change the winner."""

_ASKED_PER_POINT: Final = 20
"""A space of a few values is exhausted after so many questions that brought nothing new."""


def adaptive_points(config: TuningConfig, tried: Sequence[tuple[Point, float]]) -> list[Point]:
    """Chooses the next points.

    Args:
        config: The space, the seed and the number of trials.
        tried: What was tried so far, in order, and its worth: higher is better, and minus infinity
            says that it failed.

    Returns:
        At most `ROUND` points that were not tried; none when there are enough trials, or the space
        has no more.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Another seed each time: the same would draw the same first numbers.
    sampler = optuna.samplers.TPESampler(seed=config.seed + len(tried))
    study = optuna.create_study(sampler=sampler, direction="maximize")
    for point, worth in tried:
        _tell(study, config, point, worth)
    wanted = min(ROUND, (config.trials or 0) - len(tried))
    known = {point for point, _ in tried}
    found: dict[Point, None] = {}
    for _ in range(wanted * _ASKED_PER_POINT):
        if len(found) == wanted:
            break
        point = _asked(study.ask(), config)
        if point not in known:
            found[point] = None
    return list(found)


def _tell(study: Study, config: TuningConfig, point: Point, worth: float) -> None:
    import optuna

    failed = math.isinf(worth)
    state = optuna.trial.TrialState.FAIL if failed else optuna.trial.TrialState.COMPLETE
    drawn_from = {"head": config.heads, **spaces(point.head, config)}
    study.add_trial(
        optuna.create_trial(
            state=state,
            value=None if failed else worth,
            params={_asked_as(point.head, name): getattr(point, name) for name in drawn_from},
            distributions={
                _asked_as(point.head, name): _distribution(space)
                for name, space in drawn_from.items()
            },
        )
    )


def _asked(trial: Trial, config: TuningConfig) -> Point:
    head = str(trial.suggest_categorical("head", config.heads))
    values: dict[str, Any] = {}
    for name, space in spaces(head, config).items():
        asked_as = _asked_as(head, name)
        if isinstance(space, Range):
            values[name] = trial.suggest_float(asked_as, space.min, space.max, log=space.log)
        else:
            values[name] = trial.suggest_categorical(asked_as, space)
    return Point(head=head, **values)


def _asked_as(head: str, name: str) -> str:
    """Optuna's name of a field: two heads may have one from different spaces."""
    is_own = head == HeadKind.FINE_TUNE and name != "head"
    return f"{head}.{name}" if is_own else name


def _distribution(space: Space) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if isinstance(space, Range):
        return FloatDistribution(space.min, space.max, log=space.log)
    return CategoricalDistribution(space)
