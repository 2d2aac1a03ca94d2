"""One MLflow run per run of a pipeline, its trials below it; a retry finds what is there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from darkroom.contract import ConfigError
from darkroom.contract.stages import CANDIDATE_RUN_TAG
from darkroom.registry.client import connect

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

TRIAL_TAG: Final = "darkroom.trial"
REASON_TAG: Final = "darkroom.reason"
"""Why a trial failed."""
PARENT_TAG: Final = "mlflow.parentRunId"
EVALUATION_FOLDER: Final = "evaluation"
"""Of a run's artifacts: the report, its drawings, the predictions."""

TRAINING: Final = "training"
"""MLflow's word for what a run reads a dataset for."""
PAGE: Final = 1000
"""Trials asked for at a time."""
_NAME_TAG: Final = "mlflow.runName"
_QUIET: Final = {
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


@dataclass(frozen=True)
class Snapshot:
    """What of a table was read.

    Attributes:
        table: Namespace and name, for example ``traffic_signs.images``.
        snapshot_id: The snapshot.
    """

    table: str
    snapshot_id: int


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """What is logged about one trial.

    Attributes:
        key: Tells trials apart; the same for the same work.
        name: For people.
        params: What was tried.
        metrics: Values per name and step.
        read: The snapshots that it was trained on.
        error: Why it failed; None if it did not.
    """

    key: str
    name: str
    params: Mapping[str, str]
    metrics: Mapping[str, Mapping[int, float]]
    read: Sequence[Snapshot] = ()
    error: str | None = None


class PipelineRun:
    """The MLflow run that belongs to a run of a pipeline.

    Attributes:
        client: Of the MLflow server.
        run: The MLflow run, as it was when this object was made.
    """

    def __init__(self, client: MlflowClient, run: Run) -> None:
        """Use `start` or `resume`."""
        self.client = client
        self.run = run

    @classmethod
    def start(cls, pipeline: str, run_id: str, tags: Mapping[str, str]) -> PipelineRun:
        """Makes the MLflow run of ``run_id``, or continues the one that an earlier try made.

        Args:
            pipeline: Name of the experiment.
            run_id: The run of the pipeline.
            tags: Set on the MLflow run.

        Returns:
            The run; its status is RUNNING until `finish`.

        Raises:
            ConfigError: There is no server's address, or the experiment has been deleted.
            DarkroomError: The server does not answer.
        """
        client = quiet_client()
        experiment_id = _experiment(client, pipeline).experiment_id
        found = client.search_runs(
            [experiment_id], f"tags.{_key(CANDIDATE_RUN_TAG)} = {_quoted(run_id)}", max_results=1
        )
        if found:
            client.update_run(found[0].info.run_id, status="RUNNING")
            run = found[0]
        else:
            named = {CANDIDATE_RUN_TAG: run_id, _NAME_TAG: run_id}
            run = client.create_run(experiment_id, tags=named)
        continued = cls(client, run)
        continued.log(tags=tags)
        return continued

    @classmethod
    def resume(cls, mlflow_run_id: str) -> PipelineRun:
        """Opens a run by its MLflow id.

        Raises:
            ConfigError: There is no server's address.
            DarkroomError: The server does not answer.
        """
        client = quiet_client()
        return cls(client, client.get_run(mlflow_run_id))

    @property
    def id(self) -> str:
        """MLflow's id of the run."""
        return str(self.run.info.run_id)

    def log(
        self, *, metrics: Mapping[str, float] | None = None, tags: Mapping[str, str] | None = None
    ) -> None:
        """Logs numbers and tags; the same numbers twice are one entry."""
        single = {name: {0: value} for name, value in (metrics or {}).items()}
        _log_batch(self.client, self.run, metrics=single, tags=tags or {}, params={})

    def log_trials(self, trials: Sequence[TrialRecord]) -> None:
        """Logs each trial as a child run, unless a finished child with its key exists."""
        children = self._children()
        for trial in trials:
            child = children.get(trial.key)
            if child and child.info.status == "FINISHED":
                continue
            if child is None:
                tags = {TRIAL_TAG: trial.key, PARENT_TAG: self.id, _NAME_TAG: trial.name}
                child = self.client.create_run(self.run.info.experiment_id, tags=tags)
            _log_batch(self.client, child, metrics=trial.metrics, params=trial.params, tags={})
            _log_read(self.client, child, trial.read)
            self._end(child, trial.error)

    def log_read(self, snapshots: Sequence[Snapshot]) -> None:
        """Says which snapshots the run was trained on; repeating it changes nothing."""
        _log_read(self.client, self.run, snapshots)

    def log_figure(self, name: str, figure: Figure) -> None:
        """Stores a plot as a PNG file; the same name replaces it."""
        with tempfile.TemporaryDirectory(prefix="darkroom-") as folder:
            file = Path(folder) / name
            figure.savefig(file, dpi=120, metadata={"Software": None})
            self.client.log_artifact(self.id, str(file))

    def log_text(self, name: str, text: str) -> None:
        """Stores a small text artifact; the same name replaces it."""
        with tempfile.TemporaryDirectory(prefix="darkroom-") as folder:
            file = Path(folder) / name
            file.write_text(text)
            self.client.log_artifact(self.id, str(file))

    def finish(self) -> None:
        """Marks the run as finished; more can still be logged."""
        self.client.set_terminated(self.id)

    def _end(self, child: Run, error: str | None) -> None:
        """Says what became of a trial; that an earlier try of it failed is over."""
        run_id = child.info.run_id
        if error is not None:
            self.client.set_tag(run_id, REASON_TAG, error)
        elif REASON_TAG in child.data.tags:
            self.client.delete_tag(run_id, REASON_TAG)
        self.client.set_terminated(run_id, "FINISHED" if error is None else "FAILED")

    def _children(self) -> dict[str, Run]:
        wanted = f"tags.{_key(PARENT_TAG)} = '{self.id}'"
        found: dict[str, Run] = {}
        token = None
        while True:
            page = self.client.search_runs(
                [self.run.info.experiment_id], wanted, max_results=PAGE, page_token=token
            )
            found |= {run.data.tags.get(TRIAL_TAG, ""): run for run in page}
            token = page.token
            if not token:
                return found


def quiet_client() -> MlflowClient:
    """A client whose library prints neither links nor progress bars into the stage's log."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    return connect()


def _experiment(client: MlflowClient, name: str) -> Experiment:
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            client.create_experiment(name)
        except MlflowException as error:
            # Another run of the pipeline was faster.
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        experiment = client.get_experiment_by_name(name)
        assert experiment is not None
    if experiment.lifecycle_stage == "deleted":
        raise ConfigError(
            "name", name, "the MLflow experiment of that name is deleted: restore it in MLflow"
        )
    return experiment


def _log_batch(
    client: MlflowClient,
    run: Run,
    *,
    metrics: Mapping[str, Mapping[int, float]],
    params: Mapping[str, str],
    tags: Mapping[str, str],
) -> None:
    from mlflow.entities import Metric, Param, RunTag

    # The run's own start as time stamp: MLflow drops a repeated (name, value, time, step).
    moment = run.info.start_time
    client.log_batch(
        run.info.run_id,
        metrics=[
            Metric(name, value, moment, step)
            for name, values in metrics.items()
            for step, value in values.items()
        ],
        params=[Param(name, value) for name, value in params.items()],
        tags=[RunTag(name, value) for name, value in tags.items()],
    )


def _log_read(client: MlflowClient, run: Run, snapshots: Sequence[Snapshot]) -> None:
    if snapshots:
        from darkroom.registry.datasets import dataset_input

        client.log_inputs(run.info.run_id, [dataset_input(one, TRAINING) for one in snapshots])


def _key(tag: str) -> str:
    return f"`{tag}`"


def _quoted(text: str) -> str:
    for quote in "'\"":
        if quote not in text:
            return f"{quote}{text}{quote}"
    raise ConfigError("--run-id", text, "must not contain both kinds of quotation marks")
