"""Evaluate and its gate, on real tables and a real MLflow server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

import darkroom
from darkroom.contract import (
    ConfigError,
    DataError,
    GateDecision,
    MissingInputError,
    Stage,
    StageResult,
    StageStatus,
    Verdict,
)
from darkroom.contract.stages import CHAMPION
from darkroom.ml.engines import network
from darkroom.registry import lookup
from darkroom.registry.elsewhere import Answered, Stranger
from darkroom.registry.versions import MODEL_DIGEST_TAG, Registry
from darkroom.stages import evaluate as evaluate_stage
from darkroom.stages import held_out, trying
from darkroom.stages.trying import Trial
from tests.integration.spark_env.colour_pipeline import House, new_house

pytest_plugins = (
    "tests.integration.spark_env.mlflow_server",
    "tests.integration.spark_env.trained_house",
)
pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Mistaken:
    """A candidate that takes one of ten test images for another class, and what came of it."""

    house: House
    tuned: dict[str, Any]
    failed: StageResult


@pytest.fixture(scope="module")
def mistaken(
    spark: SparkSession,
    mlflow_server: str,
    backbone_file: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Mistaken]:
    house = new_house(spark, mlflow_server, backbone_file, tmp_path_factory.mktemp("mistaken"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLFLOW_TRACKING_URI", mlflow_server)
        house.fill(mislabelled=1)
        tuned = house.tune()
        yield Mistaken(house, tuned, house.evaluate(thresholds={"accuracy": 0.95}))


def test_a_failed_gate_fails_the_stage_for_good_and_shows_its_report(mistaken: Mistaken) -> None:
    house, result = mistaken.house, mistaken.failed
    assert (result.status, result.permanent) == (StageStatus.FAILED, True)
    assert result.summary == (
        "FAIL: accuracy 0.9000 is below 0.95 (10 test images, no champion yet)"
    )
    assert result.report is not None
    page = (house.workspace.root / result.report).read_text()
    assert page.count("<figure>") == 1
    assert "red/12.png" in page


def test_too_few_test_images_go_to_a_person(trained: House, mlflow_uri: str) -> None:
    result = trained.evaluate(min_test_images=11)
    assert (result.status, result.outputs["verdict"]) == (StageStatus.DONE, "INCONCLUSIVE")


def test_evaluation_runs_what_tuning_has_prepared_and_loads_no_keras_model(
    trained: House, mlflow_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "read_network", None)
    assert trained.evaluate().outputs["test_images"] == 10


def test_the_champion_is_judged_on_the_same_images(mistaken: Mistaken) -> None:
    house, tuned = mistaken.house, mistaken.tuned
    registry = Registry(house.config.name, house.client)
    version = registry.create(
        tuned["model_uri"], tuned["mlflow_run_id"], {MODEL_DIGEST_TAG: tuned["model_digest"]}
    )
    assert lookup.champion(house.config.name) is None
    registry.point(CHAMPION, version.version)
    run = house.run()
    own = evaluate_stage.inputs(house.config, house.workspace, run)
    assert own["champion"] is None  # Its verdict stands: no model is compared with itself.

    # Pure L1 of that strength leaves no coefficient, and of equal classes the first is predicted.
    worse = replace(house.config.tuning, reg_params=(1e6,), elastic_net_params=(1.0,))
    other = replace(house, config=replace(house.config, tuning=worse))
    copied = ((Stage.INGEST, None), (Stage.VALIDATE, None), (Stage.FEATURIZE, house.backbone))
    for stage, name in copied:
        other.run("run 2").folder.write(run.folder.read(stage, name), name)
    other.tune("run 2")
    key = evaluate_stage.inputs(other.config, other.workspace, other.run("run 2"))
    assert key["champion"] == ("1", tuned["model_digest"])
    result = other.evaluate("run 2", thresholds={"accuracy": 0.1})
    assert result.outputs["champion_version"] == "1"
    assert result.summary == (
        "INCONCLUSIVE: accuracy 0.6000 against 0.9000 of champion 1: an improvement is not shown "
        "(difference -0.3000, 95 % interval -0.6398 to +0.1529; only the candidate is right on 1, "
        "only the champion on 4 of 10 images, McNemar p = 0.38); "
        "classes that are not shown to lose less than 0.05 against champion 1: red (-1.000, "
        "4 images), blue (+0.167, 6 images); 2 of 2 with too few images, it takes at least 73 "
        "(10 test images, champion 1)"
    )
    assert result.report is not None
    report = house.workspace.root / result.report
    page = report.read_text()
    assert page.index("Only the champion is right") < page.index("Only the candidate is right")
    stored = pq.read_table(report.with_name("predictions.parquet"))
    assert json.loads(stored.schema.metadata[b"labels"]) == ["blue", "red"]
    rows = stored.to_pylist()
    assert len(rows) == 10
    assert sum(row["label"] == row["predicted"] for row in rows) == 6
    assert sum(row["label"] == row["champion_predicted"] for row in rows) == 9
    assert all(max(row["probabilities"]) == row["probability"] for row in rows)


# tests/e2e/test_chain.py has the same of a whole run, each time.
@pytest.mark.long
def test_a_candidate_is_tried_as_its_users_will(
    trained: House, mlflow_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, tuned = trained, trained.tuned()
    # What a stranger's process must not see.
    monkeypatch.setenv("PYTHONPATH", str(Path(darkroom.__file__).parents[1]))
    result = house.evaluate(trial=Trial, max_latency_ms=60_000, max_memory_mb=1)
    decision = GateDecision.from_json(result.outputs["decision"])
    checks = {check.name: check for check in decision.checks}
    for name in ("loads_elsewhere", "answers_in_sql"):
        gap = checks[name].value
        assert gap is not None
        assert 0 <= gap < 1e-5
        assert checks[name].verdict is Verdict.PASS
    latency, memory = checks["latency_ms"], checks["memory_mb"].value
    assert latency.low is not None
    assert latency.value is not None
    assert latency.high is not None
    assert 1 < latency.low < latency.value <= latency.high < 60_000
    assert memory is not None
    assert memory > 200  # TensorFlow alone takes more.
    assert result.summary == (
        f"FAIL: a process that loads the model from MLflow holds up to {memory:.0f} MB; "
        "gate.max_memory_mb is 1 (10 test images, no champion yet)"
    )
    assert not house.spark.catalog.functionExists(trying.FUNCTION)
    assert not house.spark.catalog.tableExists(trying.VIEW)
    run = house.client.get_run(tuned["mlflow_run_id"])
    assert run.data.tags["darkroom.verdict"] == "FAIL"


def test_a_model_that_is_another_elsewhere_is_found_out(
    trained: House, mlflow_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def turned(stranger: Stranger) -> Answered:
        del stranger
        return Answered(probabilities=[[1.0, 0.0]] * 10, seconds=1.0, memory_mb=1.0)

    monkeypatch.setattr(Stranger, "answer", turned)
    monkeypatch.setattr(trying, "_vector", lambda objects, labels: None)
    result = trained.evaluate(trial=Trial)
    assert result.outputs["verdict"] == "FAIL"
    assert "in a process of its own the model answers otherwise than before" in result.summary
    assert (
        "as a SQL function the model does not answer: ValueError: an image was answered with none "
        "of 2 probabilities"
    ) in result.summary


def test_a_model_that_answers_no_numbers_is_never_right(
    trained: House, mlflow_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(asked: DataFrame, model: Any, *, image_col: str, output_col: str) -> DataFrame:
        del model, image_col
        answer = "if(path LIKE 'red/%', float('nan'), 1f)"
        return asked.withColumn(output_col, f.expr(f"array({answer}, 0f)"))

    monkeypatch.setattr(held_out, "predict_images", broken)
    digest = trained.tuned()["model_digest"]
    text = (
        rf"^model {digest[:12]} answers 5 of 10 test images with NaN or infinity, first "
        r"'red/1\d\.png': its network is broken, train anew$"
    )
    with pytest.raises(DataError, match=text):
        trained.evaluate()


def test_without_a_validation_nothing_is_judged(house: House) -> None:
    house.fill()
    house.run().folder.result_file(Stage.VALIDATE).unlink()
    with pytest.raises(MissingInputError, match=r"^stage validate has not run in run run 1: "):
        house.evaluate()


def test_a_slice_that_no_image_has_stops_the_evaluation(trained: House, mlflow_uri: str) -> None:
    with pytest.raises(ConfigError) as refused:
        trained.evaluate(slices=("size", "metadata.camera"))
    assert str(refused.value) == (
        "gate.slices = 'metadata.camera': no test image comes from a manifest with further "
        "columns: leave it out"
    )
