"""Fixtures: a pipeline of its own on a real MLflow server, with candidates to register."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from darkroom.contract import GateDecision, PipelineConfig, StageResult, Workspace
from darkroom.lake import Lake
from darkroom.registry.package import ModelPackage
from darkroom.stages.promote import promote
from darkroom.stages.register import register
from darkroom.stages.run import StageRun
from tests.integration.spark_env.colour_model import (
    config,
    decide,
    finished_run,
    log_candidate,
    unloaded_package,
)

NAMES = (f"pipeline_{number}" for number in itertools.count())


class KilledError(Exception):
    """Stands for kill -9 between two steps."""


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelPackage, ...]:
    """Three different models; here nobody loads one."""
    models = tmp_path_factory.mktemp("models")
    return tuple(unloaded_package(models, content) for content in (b"one", b"two", b"three"))


@dataclass(frozen=True)
class Pipeline:
    """One pipeline of its own in a workspace of its own, on the shared server."""

    config: PipelineConfig
    workspace: Workspace
    client: MlflowClient
    uri: str

    def candidate(
        self, package: ModelPackage, run_id: str, decision: GateDecision | None = None
    ) -> StageRun:
        """A run up to the gate."""
        logged = log_candidate(self.uri, package)
        decision = decision or decide(package.digest)
        return finished_run(self.workspace, self.config.name, run_id, logged, decision)

    def register(self, run: StageRun) -> StageResult:
        return register(self.config, self.workspace, run)

    def promote(self, registered: StageResult, training: StageRun, **changes: str) -> StageResult:
        """Promotes what was registered, as an approval of it would."""
        options = self.approval(registered, training.run_id) | changes
        folder = self.workspace.run(self.config.name, f"promotion of {training.run_id}")
        return promote(self.config, self.workspace, StageRun(folder=folder, options=options))

    def approval(self, registered: StageResult, training: str) -> dict[str, str]:
        """The options of a promotion that an approval gives."""
        return {
            "version": registered.outputs["version"],
            "model_digest": registered.outputs["model_digest"],
            "decision_digest": registered.outputs["decision_digest"],
            "approved_by": "demo",
            "reason": "looks good",
            "requested_run_id": training,
        }

    def versions(self) -> list[Any]:
        return list(self.client.search_model_versions(f"name = '{self.config.name}'"))

    def aliases(self) -> dict[str, str]:
        return dict(self.client.get_registered_model(self.config.name).aliases)

    def ledger(self) -> list[dict[str, Any]]:
        return Lake(self.workspace).rows(self.config.name, "ledger")


@pytest.fixture
def pipeline(tmp_path: Path, mlflow_uri: str) -> Pipeline:
    return pipeline_on(mlflow_uri, tmp_path)


def pipeline_on(uri: str, workspace: Path) -> Pipeline:
    """A new pipeline on a server that runs."""
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    return Pipeline(config(next(NAMES)), Workspace(workspace), client, uri)
