"""An MLflow server that is killed while a model is registered or promoted: nothing is half done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from darkroom.contract import StageResult
from darkroom.registry.client import in_one_line
from darkroom.registry.package import ModelPackage
from darkroom.stages.run import StageRun
from tests.integration.spark_env.colour_model import decide
from tests.integration.spark_env.mortal_server import Death, MortalServer
from tests.integration.spark_env.registry_house import Pipeline, pipeline_on

pytest_plugins = ("tests.integration.spark_env.registry_house",)
pytestmark = [pytest.mark.integration, pytest.mark.long]

RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
REGISTERING = ("the model", "the version", "challenger")
PROMOTING = ("previous", "champion", "challenger", "the mark")
"""What is written in MLflow, in order; before a promotion's come the rows of the ledger."""


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MortalServer]:
    with MortalServer(tmp_path_factory.mktemp("mortal")) as server:
        yield server


@pytest.fixture
def pipeline(
    mortal: MortalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Pipeline]:
    """A pipeline of its own; MLflow's client gives up at once."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mortal.uri)
    monkeypatch.setenv(RETRIES, "0")
    mortal.revive()
    yield pipeline_on(mortal.uri, tmp_path)
    mortal.revive()


def deaths(writes: tuple[str, ...]) -> list[Death]:
    """One in each state: with the answer to a write lost, it is that of before the next one."""
    last = Death(write=len(writes) - 1, answer_lost=True)
    return [*(Death(write=number) for number in range(len(writes))), last]


def shown(death: Death, writes: tuple[str, ...]) -> str:
    return f"{'after' if death.answer_lost else 'before'} {writes[death.write]}"


def fail_and_try_again(
    stage: Callable[[], StageResult], mortal: MortalServer, death: Death
) -> StageResult:
    """Runs a stage amid which the server dies; then, with the server there again, once more."""
    mortal.dies(death)
    with pytest.raises(MlflowException) as caught:
        stage()
    assert not mortal.is_alive
    line = str(in_one_line(caught.value))
    told = f"the MLflow server at {mortal.uri} does not answer any more: start it again, then this "
    assert line.startswith(f"{told}stage, which goes on where it was (")
    assert "\n" not in line
    mortal.revive()
    return stage()


def judged_challenger(
    pipeline: Pipeline, packages: tuple[ModelPackage, ...]
) -> tuple[StageRun, StageResult]:
    """A champion, version 1, and a challenger, version 2."""
    first = pipeline.candidate(packages[0], "t1")
    pipeline.promote(pipeline.register(first), first)
    second = pipeline.candidate(packages[1], "t2", decide(packages[1].digest, champion="1"))
    return second, pipeline.register(second)


def is_registered_once(pipeline: Pipeline, result: StageResult, package: ModelPackage) -> None:
    (version,) = pipeline.versions()
    assert result.outputs["version"] == version.version
    assert version.tags["darkroom.model_digest"] == package.digest
    assert pipeline.aliases() == {"challenger": version.version}


def is_promoted_once(pipeline: Pipeline, result: StageResult) -> None:
    assert result.outputs == {"version": "2", "previous_version": "1"}
    assert pipeline.aliases() == {"champion": "2", "previous": "1"}
    assert [row["to_version"] for row in pipeline.ledger()] == ["1", "2"]


@pytest.mark.parametrize("death", deaths(REGISTERING), ids=lambda death: shown(death, REGISTERING))
def test_a_registration_is_completed_by_the_next_try(
    death: Death, pipeline: Pipeline, packages: tuple[ModelPackage, ...], mortal: MortalServer
) -> None:
    run = pipeline.candidate(packages[0], "t1")

    result = fail_and_try_again(lambda: pipeline.register(run), mortal, death)

    is_registered_once(pipeline, result, packages[0])


@pytest.mark.parametrize("death", deaths(PROMOTING), ids=lambda death: shown(death, PROMOTING))
def test_a_promotion_is_completed_by_the_next_try(
    death: Death, pipeline: Pipeline, packages: tuple[ModelPackage, ...], mortal: MortalServer
) -> None:
    run, registered = judged_challenger(pipeline, packages)

    result = fail_and_try_again(lambda: pipeline.promote(registered, run), mortal, death)

    is_promoted_once(pipeline, result)


def test_a_server_that_is_soon_there_again_is_not_even_missed(
    pipeline: Pipeline,
    packages: tuple[ModelPackage, ...],
    mortal: MortalServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(RETRIES, "3")
    run = pipeline.candidate(packages[0], "t1")
    # The client asks for the version that it has been given already.
    mortal.dies(Death(write=REGISTERING.index("the version"), answer_lost=True, revived=True))

    result = pipeline.register(run)

    assert mortal.writes > len(REGISTERING)
    is_registered_once(pipeline, result, packages[0])
    mortal.dies(Death(write=0, answer_lost=True, revived=True))
    promoted = pipeline.promote(result, run)
    assert promoted.outputs == {"version": result.outputs["version"], "previous_version": None}
    assert pipeline.aliases() == {"champion": result.outputs["version"]}
    assert len(pipeline.ledger()) == 1
