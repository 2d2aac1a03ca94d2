"""The stage register against a real MLflow server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from darkroom.contract import DataError, GateFailedError, MissingInputError, Stage, Verdict
from darkroom.files.digests import digest_of as file_digest
from darkroom.lake import Lake
from darkroom.registry.lineage import trained_on
from darkroom.registry.package import ModelPackage
from darkroom.registry.versions import Registry
from darkroom.stages.run import StageRun
from tests.integration.spark_env.colour_model import REPORT, decide
from tests.integration.spark_env.registry_house import KilledError, Pipeline

pytest_plugins = (
    "tests.integration.spark_env.mlflow_server",
    "tests.integration.spark_env.registry_house",
)
pytestmark = pytest.mark.integration


def test_registering_makes_a_challenger(
    pipeline: Pipeline, packages: tuple[ModelPackage, ...]
) -> None:
    digest = packages[0].digest
    run = pipeline.candidate(packages[0], "t1")

    result = pipeline.register(run)

    decision = decide(digest)
    assert result.outputs == {
        "model_name": pipeline.config.name,
        "version": "1",
        "model_digest": digest,
        "decision_digest": decision.digest,
        "already_champion": False,
    }
    assert result.summary == (
        f"{pipeline.config.name} version 1 (model {digest[:12]}) is challenger; the gate said PASS"
    )
    (version,) = pipeline.versions()
    assert version.source == run.earlier(Stage.TUNE)["model_uri"]
    assert version.run_id == run.earlier(Stage.TUNE)["mlflow_run_id"]
    ingested = run.earlier(Stage.INGEST)
    assert version.tags == {
        "darkroom.model_digest": digest,
        "darkroom.metadata_digest": file_digest(packages[0].metadata_file),
        "darkroom.labels": '["red", "green", "blue"]',
        "darkroom.preprocessing": (
            "read as RGB 0-255, resized to 8 x 8 pixels (pixel path unknown)"
        ),
        "darkroom.git_commit": "c" * 40,
        "darkroom.lock_digest": "unknown",
        "darkroom.decision_digest": decision.digest,
        "darkroom.verdict": "PASS",
        "darkroom.run_id": "t1",
        "darkroom.images_snapshot": str(ingested["images_snapshot"]),
        "darkroom.splits_snapshot": str(ingested["splits_snapshot"]),
        "darkroom.report": REPORT,
    }
    page = f"#/experiments/0/runs/{version.run_id}/artifacts/evaluation/index.html"
    assert f"[Report]({page})\n" in version.description
    assert f"decision `{decision.digest}`\n" in version.description
    assert pipeline.aliases() == {"challenger": "1"}
    found = trained_on(Lake(pipeline.workspace), pipeline.config.name, "1")
    assert (found.model, found.classes) == (digest[:12], {"red": 1})
    assert found.snapshots == {
        table: ingested[f"{table}_snapshot"] for table in ("images", "splits")
    }


def test_a_model_whose_images_are_gone_becomes_no_challenger(
    pipeline: Pipeline, packages: tuple[ModelPackage, ...]
) -> None:
    run = pipeline.candidate(packages[0], "t1")
    ingested = run.folder.read(Stage.INGEST)
    run.folder.write(replace(ingested, outputs={**ingested.outputs, "splits_snapshot": 7}))
    with pytest.raises(DataError) as error:
        pipeline.register(run)
    assert str(error.value) == (
        f"{pipeline.config.name}.splits has no snapshot 7 any more, which version 1 was trained "
        "on: train again"
    )
    assert pipeline.aliases() == {}


def test_registering_copies_no_file(
    pipeline: Pipeline, packages: tuple[ModelPackage, ...], mlflow_home: Path
) -> None:
    run = pipeline.candidate(packages[0], "t1")
    before = {file for file in (mlflow_home / "artifacts").rglob("*") if file.is_file()}

    pipeline.register(run)

    assert {file for file in (mlflow_home / "artifacts").rglob("*") if file.is_file()} == before


def test_registering_again_makes_no_second_version(
    pipeline: Pipeline, packages: tuple[ModelPackage, ...]
) -> None:
    run = pipeline.candidate(packages[0], "t1")

    assert pipeline.register(run) == pipeline.register(run)

    assert len(pipeline.versions()) == 1


def test_a_retry_after_a_kill_reuses_the_version(
    pipeline: Pipeline, packages: tuple[ModelPackage, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = pipeline.candidate(packages[0], "t1")

    def kill(registry: Registry, alias: str, version: str) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(Registry, "point", kill)
        with pytest.raises(KilledError):
            pipeline.register(run)
    assert pipeline.aliases() == {}

    assert pipeline.register(run).outputs["version"] == "1"
    assert len(pipeline.versions()) == 1
    assert pipeline.aliases() == {"challenger": "1"}


def test_the_same_model_judged_anew_carries_the_new_decision(
    pipeline: Pipeline, packages: tuple[ModelPackage, ...]
) -> None:
    pipeline.register(pipeline.candidate(packages[0], "t1"))
    unsure = decide(packages[0].digest, Verdict.INCONCLUSIVE)

    pipeline.register(pipeline.candidate(packages[0], "t2", unsure))

    (version,) = pipeline.versions()
    assert version.tags["darkroom.decision_digest"] == unsure.digest
    assert version.tags["darkroom.verdict"] == "INCONCLUSIVE"
    assert version.tags["darkroom.run_id"] == "t2"
    assert version.description.count("**INCONCLUSIVE**") == 1
    assert f"Run `t2`, model `{packages[0].digest}`, decision `{unsure.digest}`" in (
        version.description
    )


def test_a_failed_candidate_is_not_registered(
    pipeline: Pipeline, packages: tuple[ModelPackage, ...]
) -> None:
    digest = packages[0].digest
    run = pipeline.candidate(packages[0], "t1", decide(digest, Verdict.FAIL))

    with pytest.raises(GateFailedError) as caught:
        pipeline.register(run)

    assert str(caught.value) == (
        f"the gate did not let model {digest[:12]} pass: accuracy is 0.7 and has to be 0.5: FAIL"
    )
    assert pipeline.versions() == []


def test_register_before_the_other_stages_is_a_missing_input(pipeline: Pipeline) -> None:
    run = StageRun(folder=pipeline.workspace.run(pipeline.config.name, "t1"))

    with pytest.raises(
        MissingInputError, match=r"^stage tune has not run in run t1: run it first$"
    ):
        pipeline.register(run)


def test_the_champion_is_no_challenger_of_itself(
    pipeline: Pipeline, packages: tuple[ModelPackage, ...]
) -> None:
    first = pipeline.candidate(packages[0], "t1")
    pipeline.promote(pipeline.register(first), first)

    result = pipeline.register(pipeline.candidate(packages[0], "t2"))

    assert result.outputs["already_champion"] is True
    assert result.outputs["version"] == "1"
    assert "version 1 (model " in result.summary
    assert "already is champion" in result.summary
    assert pipeline.aliases() == {"champion": "1"}
