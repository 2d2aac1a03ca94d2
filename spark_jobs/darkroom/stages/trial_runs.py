"""What MLflow is told of the trials of the stage `tune`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from darkroom.contract import TuningConfig
from darkroom.contract.tuning import TUNING_METRICS
from darkroom.files.digests import digest_of_json
from darkroom.registry.tracking import PipelineRun, Snapshot, TrialRecord
from darkroom.tuning.search import Trial


@dataclass(frozen=True, kw_only=True)
class TrialRuns:
    """Logs the trials of one backbone, each as a run below that of the pipeline.

    Attributes:
        tracked: The pipeline's run.
        tuning: How was searched.
        read: The snapshots that the trials are trained on.
        identity: JSON values; trials with another one are other trials.
    """

    tracked: PipelineRun
    tuning: TuningConfig
    read: Sequence[Snapshot]
    identity: Sequence[Any]

    def log(self, trials: Sequence[Trial]) -> None:
        """Logs trials that have ended; one that is logged already stays as it is."""
        self.tracked.log_trials([self._record(trial) for trial in trials])

    def _record(self, trial: Trial) -> TrialRecord:
        tried = trial.point._asdict()
        shared = {
            "metric": trial.metric,
            "folds": self.tuning.folds,
            "seed": self.tuning.seed,
            "max_iterations": self.tuning.max_iterations,
        }
        identity = [trial.backbone_key, tried, shared, *self.identity]
        params = {"backbone": trial.backbone, **tried, **shared}
        return TrialRecord(
            key=digest_of_json(identity),
            name=f"{trial.backbone} {trial.point}",
            params={key: str(value) for key, value in params.items()},
            metrics=_metrics(trial),
            read=self.read,
            error=trial.error,
        )


def _metrics(trial: Trial) -> Mapping[str, Mapping[int, float]]:
    """By name and step: scores by fold, learning curves by epoch, and the mean."""
    good = {fold: fit for fold, fit in enumerate(trial.fits) if not fit.error}
    by_fold = {
        name: {fold: fit.scores[name] for fold, fit in good.items() if name in fit.scores}
        for name in TUNING_METRICS
    }
    means = {f"mean_{trial.metric}": {0: trial.mean}, f"std_{trial.metric}": {0: trial.std}}
    curves = {
        f"fold_{fold}/{name}": dict(enumerate(values, start=1))
        for fold, fit in good.items()
        for name, values in fit.history.items()
    }
    return {
        **by_fold,
        **curves,
        **({} if trial.error else means),
        "fit_seconds": {fold: fit.seconds for fold, fit in good.items()},
    }
