"""The stage promote against a real MLflow server and real tables."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from darkroom.contract import DarkroomError, GateFailedError, MissingInputError, Stage, Verdict
from darkroom.registry import champion
from darkroom.registry.ledger import Ledger
from darkroom.registry.package import ModelPackage
from darkroom.registry.versions import Registry
from tests.integration.spark_env.colour_model import (
    decide,
    fake_digest,
    finished_run,
    log_candidate,
)
from tests.integration.spark_env.registry_house import KilledError, Pipeline

pytest_plugins = (
    "tests.integration.spark_env.mlflow_server",
    "tests.integration.spark_env.registry_house",
)
pytestmark = pytest.mark.integration


def test_promotions_move_the_aliases_and_fill_the_ledger(
    pipeline: Pipeline, packages: tuple[ModelPackage, ...]
) -> None:
    first = pipeline.candidate(packages[0], "t1")
    pipeline.promote(pipeline.register(first), first)
    judged = decide(packages[1].digest, champion="1")
    second = pipeline.candidate(packages[1], "t2", judged)

    result = pipeline.promote(pipeline.register(second), second, reason="better\non left turns")

    assert result.outputs == {"version": "2", "previous_version": "1"}
    assert result.summary == (
        f"{pipeline.config.name} version 2 is champion, after version 1; approved by demo: "
        "better on left turns"
    )
    assert pipeline.aliases() == {"champion": "2", "previous": "1"}
    rows = pipeline.ledger()
    assert [(row["from_version"], row["to_version"]) for row in rows] == [(None, "1"), ("1", "2")]
    assert rows[1]["who"] == "demo"
    assert rows[1]["why"] == "better\non left turns"
    assert rows[1]["model_digest"] == packages[1].digest
    assert rows[1]["decision_digest"] == judged.digest
    assert rows[1]["run_id"] == "promotion of t2"
    copied = json.loads(pipeline.workspace.ledger(pipeline.config.name).read_text())
    at = [dt.datetime.fromisoformat(row.pop("at")) for row in copied]
    assert at == [rows[1].pop("at"), rows[0].pop("at")]
    assert copied == [rows[1], rows[0]]


def test_promoting_twice_writes_one_row(
    pipeline: Pipeline, packages: tuple[ModelPackage, ...]
) -> None:
    run = pipeline.candidate(packages[0], "t1")
    registered = pipeline.register(run)

    assert pipeline.promote(registered, run) == pipeline.promote(registered, run)

    assert len(pipeline.ledger()) == 1


@pytest.mark.parametrize("step", ["_move_aliases", "clear", "append", "follow_entry"])
def test_a_retry_completes_a_killed_promotion(
    step: str,
    pipeline: Pipeline,
    packages: tuple[ModelPackage, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = pipeline.candidate(packages[0], "t1")
    pipeline.promote(pipeline.register(first), first)
    second = pipeline.candidate(packages[1], "t2", decide(packages[1].digest, champion="1"))
    registered = pipeline.register(second)
    append = Ledger.append

    def kill(*arguments: Any) -> None:
        if step == "append":
            append(*arguments)  # The commit succeeds, its writer never learns of it.
        raise KilledError

    owner: Any = {"_move_aliases": champion, "append": Ledger}.get(step, Registry)
    with monkeypatch.context() as patch:
        patch.setattr(owner, step, kill)
        with pytest.raises(KilledError):
            pipeline.promote(registered, second)

    result = pipeline.promote(registered, second)

    assert result.outputs == {"version": "2", "previous_version": "1"}
    assert pipeline.aliases() == {"champion": "2", "previous": "1"}
    assert [row["to_version"] for row in pipeline.ledger()] == ["1", "2"]


def test_an_approval_of_another_model_is_refused(
    pipeline: Pipeline, packages: tuple[ModelPackage, ...]
) -> None:
    first = pipeline.candidate(packages[0], "t1")
    registered = pipeline.register(first)
    other = pipeline.candidate(packages[1], "t2")

    with pytest.raises(GateFailedError) as caught:
        pipeline.promote(
            registered,
            other,
            model_digest=packages[1].digest,
            decision_digest=decide(packages[1].digest).digest,
        )

    assert str(caught.value) == (
        f"version 1 of model {pipeline.config.name} is model {packages[0].digest[:12]}, but "
        f"{packages[1].digest[:12]} was approved: approve the version that is registered"
    )
    assert pipeline.aliases() == {"challenger": "1"}
    assert pipeline.ledger() == []


def test_an_approval_of_another_decision_is_refused(
    pipeline: Pipeline, packages: tuple[ModelPackage, ...]
) -> None:
    run = pipeline.candidate(packages[0], "t1")
    registered = pipeline.register(run)
    claimed = fake_digest("decision")

    with pytest.raises(GateFailedError) as caught:
        pipeline.promote(registered, run, decision_digest=claimed)

    assert str(caught.value) == (
        f"run t1 was judged in decision {decide(packages[0].digest).digest[:12]}, but "
        f"{claimed[:12]} was approved: approve the decision of that run"
    )


def test_an_outdated_decision_is_refused(
    pipeline: Pipeline, packages: tuple[ModelPackage, ...]
) -> None:
    run = pipeline.candidate(packages[0], "t1")
    registered = pipeline.register(run)
    newer = decide(packages[0].digest, Verdict.INCONCLUSIVE)
    pipeline.register(pipeline.candidate(packages[0], "t2", newer))

    with pytest.raises(GateFailedError) as caught:
        pipeline.promote(registered, run)

    assert str(caught.value) == (
        f"version 1 of model {pipeline.config.name} was judged in decision {newer.digest[:12]}, "
        f"but {registered.outputs['decision_digest'][:12]} was approved: "
        "approve the newest decision"
    )


def test_a_file_that_was_changed_afterwards_is_refused(
    pipeline: Pipeline, packages: tuple[ModelPackage, ...], mlflow_home: Path
) -> None:
    logged = log_candidate.__wrapped__(pipeline.uri, packages[0])  # No other test shares its files.
    decision = decide(packages[0].digest)
    run = finished_run(pipeline.workspace, pipeline.config.name, "t1", logged, decision)
    registered = pipeline.register(run)
    model_id = run.earlier(Stage.TUNE)["model_uri"].removeprefix("models:/")
    (stored,) = (mlflow_home / "artifacts").rglob(f"{model_id}/artifacts/artifacts/model.keras")
    stored.write_bytes(stored.read_bytes() + b"x")

    with pytest.raises(DarkroomError, match=r"it was changed afterwards, train again$") as caught:
        pipeline.promote(registered, run)

    assert caught.value.permanent
    assert packages[0].digest[:12] in str(caught.value)
    assert pipeline.aliases() == {"challenger": "1"}
    assert pipeline.ledger() == []


def test_an_unknown_version_is_a_missing_input(
    pipeline: Pipeline, packages: tuple[ModelPackage, ...]
) -> None:
    run = pipeline.candidate(packages[0], "t1")
    registered = pipeline.register(run)

    for version in ("7", "one", "01"):
        with pytest.raises(MissingInputError) as caught:
            pipeline.promote(registered, run, version=version)
        assert str(caught.value) == (
            f"the registry has no version '{version}' of model {pipeline.config.name}: "
            "look up the versions in the MLflow UI"
        )


def test_an_approval_needs_the_run_that_was_approved(
    pipeline: Pipeline, packages: tuple[ModelPackage, ...]
) -> None:
    run = pipeline.candidate(packages[0], "t1")
    registered = pipeline.register(run)

    with pytest.raises(MissingInputError, match=r"^stage evaluate has not run in run t9"):
        pipeline.promote(registered, run, requested_run_id="t9")


def test_an_approval_expires_with_the_champion(
    pipeline: Pipeline, packages: tuple[ModelPackage, ...]
) -> None:
    runs = [pipeline.candidate(package, f"t{i}") for i, package in enumerate(packages[:2])]
    registered = [pipeline.register(run) for run in runs]
    pipeline.promote(registered[1], runs[1])

    with pytest.raises(GateFailedError) as caught:
        pipeline.promote(registered[0], runs[0])

    assert str(caught.value) == (
        "the approval of version 1 has expired: the champion was none when the model was judged "
        "and is version 2 now; train again"
    )
    assert pipeline.aliases() == {"champion": "2"}


def test_a_version_of_someone_else_is_refused(
    pipeline: Pipeline, packages: tuple[ModelPackage, ...]
) -> None:
    run = pipeline.candidate(packages[0], "t1")
    registered = pipeline.register(run)
    uri = run.earlier(Stage.TUNE)["model_uri"]
    foreign = pipeline.client.create_model_version(
        pipeline.config.name, uri, model_id=uri.removeprefix("models:/")
    )

    with pytest.raises(GateFailedError, match=r"has no tag darkroom\.model_digest"):
        pipeline.promote(registered, run, version=foreign.version)
