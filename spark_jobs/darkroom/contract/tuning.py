"""What of a pipeline's file says how to search for its head."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from darkroom.contract.checks import at_least, no_repeats, one_of, share
from darkroom.contract.errors import ConfigError
from darkroom.contract.names import AUC, LOG_LOSS, LOWER_IS_BETTER, METRICS

TUNING_METRICS = (*METRICS, LOG_LOSS, AUC)
"""What trials can be compared by."""


def worth(metric: str, value: float) -> float:
    """A score as a number that is higher the better the score is, whatever the metric.

    Args:
        metric: One of `TUNING_METRICS`.
        value: The score, not NaN.
    """
    return -value if metric in LOWER_IS_BETTER else value


class HeadKind(StrEnum):
    """What is trained on feature vectors."""

    LOGISTIC_REGRESSION = "logistic_regression"
    LINEAR_SVM = "linear_svm"
    MLP = "mlp"
    FINE_TUNE = "fine_tune"
    """Trains the last layers of the backbone as well."""


class SearchMethod(StrEnum):
    """How the trials are chosen."""

    GRID = "grid"
    """Every combination."""
    RANDOM = "random"
    """So many of them, drawn by the seed."""
    ADAPTIVE = "adaptive"
    """So many of them, each few chosen by what the ones before have shown."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """Numbers to draw from.

    Attributes:
        min: Smallest.
        max: Largest.
        log: Whether to draw evenly by order of magnitude.
    """

    min: float
    max: float
    log: bool = True

    def check(self, name: str) -> None:
        """Refuses a range that holds nothing.

        Args:
            name: Dotted name of the field.

        Raises:
            ConfigError: Its bounds are in the wrong order, or have no logarithm.
        """
        if not self.min < self.max:
            raise ConfigError(f"{name}.min", self.min, f"must be below max = {self.max:g}")
        if self.log and self.min <= 0:
            raise ConfigError(f"{name}.min", self.min, "must be above 0, or set log: false")


@dataclass(frozen=True, kw_only=True)
class HalvingConfig:
    """Successive halving of trials.

    Attributes:
        min_epochs: After so many epochs trials are compared for the first time.
        factor: One of so many goes on, and until the next comparison to so many times the epochs.
    """

    min_epochs: int = 1
    factor: int = 3

    def __post_init__(self) -> None:
        at_least("tuning.fine_tune.halving.min_epochs", self.min_epochs, 1)
        at_least("tuning.fine_tune.halving.factor", self.factor, 2)


@dataclass(frozen=True, kw_only=True)
class FineTuneConfig:
    """What the head ``fine_tune`` tries; every list is a dimension of the search.

    Attributes:
        last_layers: How many layers with weights, counted from the backbone's end, are trained;
            batch normalisations are not counted and stay as they are.
        learning_rates: Of Adam; a list, or a `Range` to draw from.
        batch_sizes: Images per step.
        epochs: Passes over the images, at most.
        patience: Epochs without a smaller loss on the fold before a training stops, which then
            has the weights of its best epoch; None: no training stops early.
        halving: Stops hopeless trials; None: all have all their epochs.
    """

    last_layers: tuple[int, ...] = (2,)
    learning_rates: tuple[float, ...] | Range = (0.0001,)
    batch_sizes: tuple[int, ...] = (32,)
    epochs: tuple[int, ...] = (8,)
    patience: int | None = 2
    halving: HalvingConfig | None = None

    def __post_init__(self) -> None:
        for name in ("last_layers", "batch_sizes", "epochs"):
            values = getattr(self, name)
            _listed(f"tuning.fine_tune.{name}", values)
            for value in values:
                at_least(f"tuning.fine_tune.{name}", value, 1)
        if self.patience is not None:
            at_least("tuning.fine_tune.patience", self.patience, 1)


@dataclass(frozen=True, kw_only=True)
class TuningConfig:
    """The cross-validated search for the head.

    Attributes:
        folds: Number of cross-validation folds.
        metric: What the folds' validation parts are compared by, one of `TUNING_METRICS`.
        heads: What to train, of `HeadKind`.
        reg_params: Strengths of the regularisation to try, a list, or a `Range` to draw from.
        elastic_net_params: Shares of L1 in it (0..1) to try; of logistic regression alone.
        hidden_units: Widths of the hidden layer to try; of the MLP alone, which has 64 by default.
        learning_rates: Of the MLP alone, 0.001 by default.
        fine_tune: Of the head ``fine_tune`` alone; None for its defaults.
        max_iterations: Upper bound of solver iterations per fit.
        search: One of `SearchMethod`.
        trials: How many to try with each backbone; None for a grid, which tries all.
        seed: Seeds the folds and everything else that is random.
    """

    folds: int = 3
    metric: str = "accuracy"
    heads: tuple[str, ...] = (HeadKind.LOGISTIC_REGRESSION.value,)
    reg_params: tuple[float, ...] | Range = (0.001, 0.01, 0.1)
    elastic_net_params: tuple[float, ...] | Range = (0.0,)
    hidden_units: tuple[int, ...] | None = None
    learning_rates: tuple[float, ...] | Range | None = None
    fine_tune: FineTuneConfig | None = None
    max_iterations: int = 100
    search: str = SearchMethod.GRID.value
    trials: int | None = None
    seed: int = 7

    def __post_init__(self) -> None:
        at_least("tuning.folds", self.folds, 2)
        one_of("tuning.metric", self.metric, TUNING_METRICS)
        _listed("tuning.heads", self.heads)
        for head in self.heads:
            one_of("tuning.heads", head, tuple(HeadKind))
        one_of("tuning.search", self.search, tuple(SearchMethod))
        self._check_owners()
        self._check_values()
        at_least("tuning.max_iterations", self.max_iterations, 1)
        if self.search == SearchMethod.GRID:
            if self.trials is not None:
                remedy = "a grid tries every combination: leave it out, or set tuning.search"
                raise ConfigError("tuning.trials", self.trials, remedy)
        elif self.trials is None:
            remedy = f"say how many, for tuning.search is {self.search}"
            raise ConfigError("tuning.trials", None, remedy)
        else:
            at_least("tuning.trials", self.trials, 1)

    def _check_owners(self) -> None:
        """Refuses what none of the heads has."""
        owned = {
            "elastic_net_params": (HeadKind.LOGISTIC_REGRESSION, (0.0,)),
            "hidden_units": (HeadKind.MLP, None),
            "learning_rates": (HeadKind.MLP, None),
            "fine_tune": (HeadKind.FINE_TUNE, None),
        }
        for name, (head, unset) in owned.items():
            value = getattr(self, name)
            if value != unset and head not in self.heads:
                remedy = f"only the head {head} has it: add {head} to tuning.heads or leave it out"
                raise ConfigError(f"tuning.{name}", value, remedy)

    def _check_values(self) -> None:
        spaces = {
            f"tuning.{name}": getattr(self, name)
            for name in ("reg_params", "elastic_net_params", "learning_rates")
        }
        if self.fine_tune is not None:
            spaces["tuning.fine_tune.learning_rates"] = self.fine_tune.learning_rates
        for name, values in spaces.items():
            if isinstance(values, Range):
                self._check_range(name, values)
                values = (values.min, values.max)
            if values is not None:
                _listed(name, values)
                for value in values:
                    self._check_number(name, value)
        if self.hidden_units is not None:
            _listed("tuning.hidden_units", self.hidden_units)
            for width in self.hidden_units:
                at_least("tuning.hidden_units", width, 1)

    def _check_range(self, name: str, values: Range) -> None:
        if self.search == SearchMethod.GRID:
            remedy = "a grid needs a list of values: give one, or set tuning.search"
            raise ConfigError(name, f"{values.min:g}..{values.max:g}", remedy)
        values.check(name)

    def _check_number(self, name: str, value: float) -> None:
        if not math.isfinite(value):
            raise ConfigError(name, value, "give a finite number")
        at_least(name, value, 0.0)
        if name == "tuning.elastic_net_params":
            share(name, value)
        if name.endswith(".learning_rates") and value == 0:
            raise ConfigError(name, value, "must be above 0, or nothing is learnt")


def _listed(name: str, values: Sequence[object]) -> None:
    if not values:
        raise ConfigError(name, [], "give at least one value to try")
    no_repeats(name, values)
