"""The stages rollback and watch against a real MLflow server and real tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from darkroom.contract import GateFailedError, StageResult, WatchConfig
from darkroom.registry.package import ModelPackage
from darkroom.stages import deploy
from darkroom.stages.rollback import roll_back
from darkroom.stages.run import StageRun
from darkroom.stages.watch import watch
from tests.integration.spark_env.colour_model import decide
from tests.integration.spark_env.registry_house import Pipeline

pytest_plugins = (
    "tests.integration.spark_env.mlflow_server",
    "tests.integration.spark_env.registry_house",
)
pytestmark = pytest.mark.integration


@pytest.fixture
def champions(pipeline: Pipeline, packages: tuple[ModelPackage, ...]) -> Pipeline:
    """Version 2 is champion, after version 1; version 3 waits for an approval."""
    champion = None
    for number, package in enumerate(packages, start=1):
        run = pipeline.candidate(package, f"t{number}", decide(package.digest, champion=champion))
        registered = pipeline.register(run)
        if number < 3:
            pipeline.promote(registered, run)
        champion = registered.outputs["version"]
    return pipeline


def back(pipeline: Pipeline, version: str = "", run_id: str = "r1") -> StageResult:
    options = {"version": version, "requested_by": "ann", "reason": "wrong\nat night"}
    folder = pipeline.workspace.run(pipeline.config.name, run_id)
    return roll_back(pipeline.config, pipeline.workspace, StageRun(folder=folder, options=options))


def look(pipeline: Pipeline, *, revert: bool = False, run_id: str = "w1") -> StageResult:
    config = replace(pipeline.config, watch=WatchConfig(revert=revert))
    folder = pipeline.workspace.run(config.name, run_id)
    return watch(config, pipeline.workspace, StageRun(folder=folder))


def test_a_rollback_restores_the_champion_before(
    champions: Pipeline, packages: tuple[ModelPackage, ...]
) -> None:
    name = champions.config.name

    result = back(champions)

    assert back(champions) == result
    assert result.outputs == {"model_name": name, "version": "1", "previous_version": "2"}
    assert result.summary == (
        f"{name} version 1 is champion again, after version 2; asked for by ann: wrong at night"
    )
    assert champions.aliases() == {"champion": "1", "previous": "2", "challenger": "3"}
    rows = champions.ledger()
    assert [row["action"] for row in rows] == ["promote", "promote", "rollback"]
    assert (rows[2]["why"], rows[2]["model_digest"]) == ("wrong\nat night", packages[0].digest)
    assert rows[2]["decision_digest"] == rows[0]["decision_digest"]
    assert look(champions).summary == f"champion of {name}: version 1, as the ledger says"


def test_a_rollback_voids_the_approvals_that_wait(
    champions: Pipeline, packages: tuple[ModelPackage, ...]
) -> None:
    third = champions.candidate(packages[2], "t3", decide(packages[2].digest, champion="2"))
    registered = champions.register(third)
    back(champions)

    with pytest.raises(GateFailedError) as caught:
        champions.promote(registered, third)

    assert str(caught.value) == (
        "the approval of version 3 has expired: the champion was version 2 when the model was "
        "judged and is version 1 now; train again"
    )


def test_a_moved_alias_is_flagged_and_by_request_put_back(champions: Pipeline) -> None:
    name = champions.config.name
    champions.client.set_registered_model_alias(name, "champion", "3")

    with pytest.raises(GateFailedError) as caught:
        look(champions)
    flagged = champions.aliases()
    result = look(champions, revert=True)

    at = champions.ledger()[1]["at"]
    assert str(caught.value) == (
        f"the champion of {name} is version 3, but by the ledger it is version 2 since "
        f"{at:%Y-%m-%d %H:%M} UTC: somebody moved the alias; put it back with: "
        f"make rollback PIPELINE={name} VERSION=2 REASON=..."
    )
    assert flagged["champion"] == "3"
    assert result.outputs == {"champion": "2", "reverted_from": "3"}
    assert result.summary == (
        f"somebody had moved the alias champion, and version 2 of {name} is champion again: the "
        "alias pointed to version 3, which no entry of the ledger says"
    )
    assert champions.aliases() == {"champion": "2", "previous": "1", "challenger": "3"}
    row = champions.ledger()[-1]
    assert (row["action"], row["who"], row["from_version"]) == ("revert", "darkroom", "3")
    assert look(champions, revert=True, run_id="w2").outputs["reverted_from"] is None


def test_a_moved_champion_is_not_deployed(champions: Pipeline) -> None:
    folder = champions.workspace.run(champions.config.name, "d1")
    name = champions.config.name
    before = deploy.inputs(champions.config, champions.workspace, StageRun(folder=folder))
    champions.client.set_registered_model_alias(name, "champion", "3")

    with pytest.raises(GateFailedError, match=rf"^the champion of {name} is version 3, but by "):
        deploy.inputs(champions.config, champions.workspace, StageRun(folder=folder))

    assert before["version"] == "2"


def test_a_champion_without_a_ledger_is_flagged(
    pipeline: Pipeline, packages: tuple[ModelPackage, ...]
) -> None:
    name = pipeline.config.name
    assert look(pipeline).summary == f"champion of {name}: none yet, as the ledger says"
    pipeline.register(pipeline.candidate(packages[0], "t1"))
    pipeline.client.set_registered_model_alias(name, "champion", "1")

    for revert in (False, True):
        with pytest.raises(GateFailedError) as caught:
            look(pipeline, revert=revert)
        assert str(caught.value) == (
            f"the champion of {name} is version 1, but the ledger is empty: somebody set the "
            "alias; remove it in MLflow and approve a version"
        )
