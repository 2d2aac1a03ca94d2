"""What a search tries: every combination, or so many drawn by a seed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from darkroom.contract import HeadKind, Range, TuningConfig
from darkroom.contract.tuning import FineTuneConfig

if TYPE_CHECKING:
    from numpy.random import Generator

HIDDEN_UNITS = (64,)
LEARNING_RATES = (0.001,)
"""What an MLP has where the configuration says nothing."""

Space = Sequence[Any] | Range
"""What one field of a point is taken from."""

_DRAWS_PER_POINT = 100
"""A space of a few values is exhausted after so many draws that brought nothing new."""


class Point(NamedTuple):
    """One combination of the search space.

    Attributes:
        reg_param: Strength of the regularisation.
        elastic_net_param: Share of L1 in it, 0-1.
        head: One of `HeadKind`.
        hidden_units: Width of an MLP's hidden layer; 0 for other heads.
        learning_rate: Of an MLP and of fine-tuning; 0 for other heads.
        last_layers: How many of the backbone's layers fine-tuning trains; 0 for other heads.
        batch_size: Of fine-tuning; 0 for other heads.
        epochs: Of fine-tuning, at most; 0 for other heads.
    """

    reg_param: float = 0.0
    elastic_net_param: float = 0.0
    head: str = HeadKind.LOGISTIC_REGRESSION.value
    hidden_units: int = 0
    learning_rate: float = 0.0
    last_layers: int = 0
    batch_size: int = 0
    epochs: int = 0

    @property
    def has_l1(self) -> bool:
        """Whether coefficients are penalised by their absolute values."""
        return self.reg_param > 0 and self.elastic_net_param > 0

    def __str__(self) -> str:
        """What tells it from other points of its head, in few words."""
        if self.head == HeadKind.FINE_TUNE:
            return (
                f"{self.head} layers={self.last_layers} rate={self.learning_rate:g} "
                f"batch={self.batch_size} epochs={self.epochs}"
            )
        words = [f"regParam={self.reg_param:g}"]
        if self.head == HeadKind.LOGISTIC_REGRESSION:
            return " ".join([*words, f"l1={self.elastic_net_param:g}"])
        if self.head == HeadKind.MLP:
            words += [f"units={self.hidden_units}", f"rate={self.learning_rate:g}"]
        return " ".join([self.head, *words])


def spaces(head: str, config: TuningConfig) -> Mapping[str, Space]:
    """What a head's points are taken from, by the names of a `Point`'s fields."""
    if head == HeadKind.FINE_TUNE:
        own = config.fine_tune or FineTuneConfig()
        return {
            "last_layers": own.last_layers,
            "learning_rate": own.learning_rates,
            "batch_size": own.batch_sizes,
            "epochs": own.epochs,
        }
    found: dict[str, Space] = {"reg_param": config.reg_params}
    if head == HeadKind.LOGISTIC_REGRESSION:
        found["elastic_net_param"] = config.elastic_net_params
    if head == HeadKind.MLP:
        found["hidden_units"] = config.hidden_units or HIDDEN_UNITS
        found["learning_rate"] = config.learning_rates or LEARNING_RATES
    return found


def planned(config: TuningConfig) -> int:
    """Number of points that a search tries; an adaptive one may miss some of a small space."""
    sizes = [
        math.prod(math.inf if isinstance(space, Range) else len(space) for space in own.values())
        for own in (spaces(head, config) for head in config.heads)
    ]
    return int(min(config.trials or math.inf, sum(sizes)))


def grid(config: TuningConfig) -> list[Point]:
    """Every combination, head by head, smallest values first: of equals the first wins."""
    return [point for head in config.heads for point in _grid_of(head, spaces(head, config))]


def random_points(config: TuningConfig) -> list[Point]:
    """Draws ``config.trials`` different points; fewer where the space has no more.

    Args:
        config: The space and the seed.
    """
    random = np.random.default_rng(config.seed)
    found: dict[Point, None] = {}
    for _ in range((config.trials or 0) * _DRAWS_PER_POINT):
        head = str(random.choice(config.heads))
        drawn = {name: _draw(space, random) for name, space in spaces(head, config).items()}
        found[Point(head=head, **drawn)] = None
        if len(found) == config.trials:
            break
    return list(found)


def _grid_of(head: str, own: Mapping[str, Space]) -> Iterator[Point]:
    for values in itertools.product(*map(_sorted, own.values())):
        yield Point(head=head, **dict(zip(own, values, strict=True)))


def _sorted(space: Space) -> list[Any]:
    if isinstance(space, Range):
        raise ValueError(f"a grid has no ranges: {space}")
    return sorted(space)


def _draw(space: Space, random: Generator) -> Any:
    if not isinstance(space, Range):
        return space[int(random.integers(len(space)))]
    if space.log:
        return float(np.exp(random.uniform(np.log(space.min), np.log(space.max))))
    return float(random.uniform(space.min, space.max))
