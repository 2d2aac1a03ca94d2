"""Tune and evaluate on real tables and a real MLflow server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkroom.backbones.catalog import resolve
from darkroom.contract import (
    ConfigError,
    DarkroomError,
    DataError,
    GateDecision,
    Stage,
    StageStatus,
)
from darkroom.ml.engines import prepare
from darkroom.ml.inference import image_predictor
from darkroom.registry import lookup, tracking
from darkroom.registry.package import fetch_package
from darkroom.registry.tracking import EVALUATION_FOLDER, PipelineRun, TrialRecord
from darkroom.stages import evaluate as evaluate_stage
from darkroom.stages import tune as tune_stage
from darkroom.tuning.data import TrainData
from tests.integration.spark_env.colour_pipeline import House, picture

pytest_plugins = (
    "tests.integration.spark_env.mlflow_server",
    "tests.integration.spark_env.trained_house",
)
pytestmark = pytest.mark.integration

FRESH = """
import json, sys
import mlflow.pyfunc
import pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
images = [open(name, "rb").read() for name in sys.argv[2:]]
answer = model.predict(pd.DataFrame({"image": images}))
import darkroom.images
rows = [[row.label, row.probability, None if row.probabilities is None else
         [float(p) for p in row.probabilities]] for row in answer.itertuples()]
print(json.dumps({"rows": rows, "pixels": darkroom.images.__file__}))
"""


def test_a_candidate_is_made_judged_and_logged_once(
    house: House, capfd: pytest.CaptureFixture[str]
) -> None:
    house.fill()
    tuned = house.tune()
    assert tuned["labels"] == ["blue", "red"]
    assert (tuned["reg_param"], tuned["mean"], tuned["std"]) == (0.01, 1.0, 0.0)
    assert len(tuned["trials"]) == 2
    assert tuned["parity"] < 1e-4
    assert house.run().folder.progress_file(Stage.TUNE).read_text() == (
        f"{house.backbone}: 2 trials x 2 folds: 4 of 4 fits done, 2 of 2 trials, best accuracy "
        "1.0000 (regParam=0.01 l1=0)"
    )

    (parent,) = [r for r in house.runs() if "darkroom.run_id" in r.data.tags]
    children = [r for r in house.runs() if r.data.tags.get("mlflow.parentRunId")]
    assert parent.info.run_id == tuned["mlflow_run_id"]
    assert parent.data.tags["darkroom.run_id"] == "run 1"
    assert {r.data.params["reg_param"] for r in children} == {"0.01", "1000000.0"}
    assert {r.info.status for r in house.runs()} == {"FINISHED"}
    for run in (parent, *children):
        inputs: Any = house.client.get_run(run.info.run_id).inputs
        read = {one.dataset.name: int(one.dataset.digest) for one in inputs.dataset_inputs}
        assert read == {
            f"{house.config.name}.{table}": house.lake.snapshot(house.config.name, table)
            for table in ("images", "splits", "features")
        }

    first = house.evaluate()
    assert first.status is StageStatus.DONE
    assert first.outputs["verdict"] == "PASS"
    metrics = first.outputs["metrics"]
    perfect = ("accuracy", "macro_f1", "macro_precision", "macro_recall", "auc")
    assert [metrics[name] for name in perfect] == [1.0] * 5
    assert 0 < metrics["log_loss"] < 0.1
    assert 0 < metrics["ece"] < 0.1
    assert (first.outputs["test_images"], first.outputs["champion_version"]) == (10, None)
    assert first.report == f"reports/{house.config.name}/run_1/index.html"
    page = (house.workspace.root / first.report).read_text()
    assert '<div class="word">PASS</div>' in page

    before = _everything_logged(house)
    assert house.tune() == tuned
    again = house.evaluate()
    assert again.outputs == first.outputs
    assert _everything_logged(house) == before
    printed = capfd.readouterr()
    assert "View run" not in printed.out + printed.err
    assert "Downloading artifacts" not in printed.out + printed.err


def _everything_logged(house: House) -> Any:
    """Runs, models, artifacts and every point of every metric."""
    runs = {}
    for run in house.runs():
        points = [
            (m.key, m.value, m.step)
            for key in run.data.metrics
            for m in house.client.get_metric_history(run.info.run_id, key)
        ]
        files = [file.path for file in house.client.list_artifacts(run.info.run_id)]
        runs[run.info.run_id] = (sorted(points), files, run.data.params, run.info.status)
    return runs, [model.model_id for model in house.models()]


def test_a_trial_that_fails_and_then_ends_well_is_logged_once(
    mlflow_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "PAGE", 1)
    run = PipelineRun.start("trials_of_two_tries", "run 1", {})
    other = TrialRecord(key="b", name="b", params={}, metrics={})
    first = TrialRecord(
        key="a", name="a", params={"x": "1"}, metrics={"auc": {1: 0.5}}, error="fold 0: no memory"
    )
    run.log_trials([first, other])
    children = run._children()
    assert (children["a"].info.status, children["b"].info.status) == ("FAILED", "FINISHED")
    assert children["a"].data.tags["darkroom.reason"] == "fold 0: no memory"

    again = PipelineRun.start("trials_of_two_tries", "run 1", {})
    good = replace(first, metrics={"auc": {0: 0.75, 1: 0.5}}, error=None)
    for _ in range(2):
        again.log_trials([good, other])
    assert again.id == run.id
    found = again._children()
    assert {key: child.info.run_id for key, child in found.items()} == {
        key: child.info.run_id for key, child in children.items()
    }
    assert found["a"].info.status == "FINISHED"
    assert "darkroom.reason" not in found["a"].data.tags
    history = again.client.get_metric_history(found["a"].info.run_id, "auc")
    assert sorted((point.step, point.value) for point in history) == [(0, 0.75), (1, 0.5)]


def test_a_trial_whose_logging_was_broken_off_is_logged_once(
    mlflow_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(run: PipelineRun, child: Any, error: str | None) -> None:
        raise KeyboardInterrupt

    trial = TrialRecord(key="a", name="a", params={"x": "1"}, metrics={"auc": {0: 0.5, 1: 0.75}})
    run = PipelineRun.start("trials_broken_off", "run 1", {})
    with monkeypatch.context() as patch:
        patch.setattr(PipelineRun, "_end", killed)
        with pytest.raises(KeyboardInterrupt):
            run.log_trials([trial])
    begun = run._children()
    assert begun["a"].info.status == "RUNNING"

    again = PipelineRun.start("trials_broken_off", "run 1", {})
    again.log_trials([trial])
    ended = again._children()
    assert list(ended) == ["a"]
    assert ended["a"].info.run_id == begun["a"].info.run_id
    assert ended["a"].info.status == "FINISHED"
    history = again.client.get_metric_history(ended["a"].info.run_id, "auc")
    assert sorted((point.step, point.value) for point in history) == [(0, 0.5), (1, 0.75)]


def test_metrics_of_folds_and_test_and_the_decision_are_in_mlflow(
    trained: House, mlflow_uri: str
) -> None:
    house, tuned = trained, trained.tuned()
    result = house.evaluate()
    run = house.client.get_run(tuned["mlflow_run_id"])
    assert run.data.metrics["test_accuracy"] == 1.0
    assert 0.7 < run.data.metrics["test_accuracy_low"] < 0.8  # 10 of 10: Wilson's 0.72
    assert run.data.metrics["test_accuracy_high"] == pytest.approx(1.0)
    assert run.data.metrics["latency_p50_ms"] == 6.0
    assert run.data.metrics["latency_p95_ms_high"] == 7.0
    assert run.data.tags["darkroom.verdict"] == "PASS"
    assert run.data.tags["darkroom.gate.accuracy"] == "PASS: accuracy 1.0000 reaches 0.9"
    files = house.client.list_artifacts(tuned["mlflow_run_id"], EVALUATION_FOLDER)
    assert {Path(file.path).name for file in files} == {
        "index.html",
        "predictions.parquet",
        "confusion.png",
        "reliability.png",
        "tuning.png",
    }
    assert run.data.tags["darkroom.decision_digest"] == result.outputs["decision_digest"]
    decision = GateDecision.from_json(result.outputs["decision"])
    assert decision.digest == result.outputs["decision_digest"]
    assert decision.candidate == tuned["model_digest"]
    best = next(r for r in house.runs() if r.data.params.get("reg_param") == "0.01")
    history = house.client.get_metric_history(best.info.run_id, "accuracy")
    assert sorted((point.step, point.value) for point in history) == [(0, 1.0), (1, 1.0)]
    assert best.data.metrics["mean_accuracy"] == 1.0


def test_the_logged_model_answers_in_a_process_without_the_library(
    trained: House, mlflow_uri: str, tmp_path: Path
) -> None:
    tuned = trained.tuned()
    pictures = [picture("red", 3), picture("blue", 14), b"no picture"]
    files = [tmp_path / f"{n}.png" for n in range(len(pictures))]
    for file, data in zip(files, pictures, strict=True):
        file.write_bytes(data)
    environment = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "SPARK_HOME"}}
    done = subprocess.run(
        [sys.executable, "-c", FRESH, tuned["model_uri"], *map(str, files)],
        env=environment | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    package = fetch_package(
        trained.client, tuned["model_uri"], tuned["model_digest"], trained.workspace.models
    )
    ours = image_predictor(prepare(package.model_file, trained.workspace.engines))(pictures)
    assert [row[0] for row in answer["rows"]] == ["red", "blue", None]
    for row, (vector, _) in zip(answer["rows"][:2], map(astuple, ours), strict=False):
        assert vector is not None
        np.testing.assert_allclose(row[2], vector, atol=1e-6)
        assert row[1] == pytest.approx(vector.max(), abs=1e-6)
    assert answer["rows"][2][1:] == [None, None] or np.isnan(answer["rows"][2][1])
    assert str(Path(answer["pixels"]).parent).endswith("code/darkroom/images")


def test_the_logged_model_has_a_signature_an_example_labels_and_no_pickle(
    trained: House, mlflow_uri: str
) -> None:
    tuned = trained.tuned()
    import mlflow
    from mlflow.artifacts import list_artifacts
    from mlflow.models import get_model_info

    mlflow.set_tracking_uri(trained.client.tracking_uri)
    info = get_model_info(tuned["model_uri"])
    assert info.signature is not None
    assert info.signature.inputs.input_names() == ["image"]
    assert info.signature.outputs.input_names() == ["label", "probability", "probabilities"]
    assert info.saved_input_example_info is not None
    said = {"labels": ["blue", "red"], "model_digest": tuned["model_digest"]}
    assert info.metadata is not None
    assert info.metadata | said == info.metadata
    location = trained.client.get_logged_model(tuned["model_uri"].removeprefix("models:/"))
    names = [
        f.path
        for f in list_artifacts(
            location.artifact_location, tracking_uri=trained.client.tracking_uri
        )
    ]
    assert not [name for name in names if name.endswith(".pkl")]


def test_what_is_gone_is_not_still_there(house: House) -> None:
    house.fill()
    tuned = house.tune()
    result = house.evaluate()
    stage_result = house.run().folder.read(Stage.TUNE)
    assert tune_stage.still_there(stage_result, house.config, house.workspace)
    assert evaluate_stage.still_there(result, house.config, house.workspace)
    assert result.report is not None
    (house.workspace.root / result.report).unlink()
    assert not evaluate_stage.still_there(result, house.config, house.workspace)
    house.client.delete_run(tuned["mlflow_run_id"])
    assert not tune_stage.still_there(stage_result, house.config, house.workspace)


def test_quick_questions_have_the_answers_of_mlflows_client(
    trained: House, mlflow_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned = trained.tuned()
    questions = [
        (lookup.run_exists, tuned["mlflow_run_id"], True),
        (lookup.run_exists, "0" * 32, False),
        (lookup.model_exists, tuned["model_uri"], True),
        (lookup.model_exists, "models:/m-" + "0" * 32, False),
        (lookup.champion, trained.config.name, None),
    ]
    for ask, about, answer in questions:
        assert ask(about) == answer
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "credentials need the client")
    for ask, about, answer in questions:
        assert ask(about) == answer


def test_what_cannot_be_cross_validated_is_refused_before_anything_starts(house: House) -> None:
    house.fill()
    more = replace(
        house.config,
        tuning=replace(house.config.tuning, folds=13),
        validation=replace(house.config.validation, min_images_per_class=13),
    )
    with pytest.raises(DataError) as refused:
        replace(house, config=more).tune()
    assert str(refused.value) == (
        "class 'blue' has 12 train images, fewer than tuning.folds = 13: add images of it or "
        "remove the class, or lower tuning.folds to 12"
    )
    assert house.client.get_experiment_by_name(house.config.name) is None
    assert not house.workspace.trials(house.config.name).exists()


def test_images_without_features_stop_the_search(house: House) -> None:
    house.fill(skip_features=3)
    with pytest.raises(DataError) as refused:
        house.tune()
    assert str(refused.value) == (
        f"3 of 24 train images have no features by {house.backbone}: run featurize again with "
        "--force"
    )


def test_features_of_another_network_are_noticed(house: House, monkeypatch: Any) -> None:
    house.fill()
    stored = TrainData.encoded_images
    monkeypatch.setattr(
        TrainData,
        "encoded_images",
        lambda data: (dict.fromkeys(batch, picture("blue", 0)) for batch in stored(data)),
    )
    with pytest.raises(DarkroomError, match=r"^the exported model disagrees with Spark by "):
        house.tune()
    assert house.models() == []


def test_without_a_server_address_nothing_starts(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.fill()
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(ConfigError) as refused:
        house.tune()
    assert str(refused.value) == (
        "MLFLOW_TRACKING_URI = None: set it to the MLflow server's address, for example "
        "http://127.0.0.1:5000"
    )


def test_a_backbone_that_has_changed_since_is_noticed_before_the_search(house: House) -> None:
    house.fill()
    house.write(
        Stage.FEATURIZE,
        {
            **house.run().earlier(Stage.FEATURIZE, house.backbone),
            "backbone_key": "0123456789abcdef",
        },
        key=house.backbone,
    )
    with pytest.raises(DataError) as refused:
        house.tune()
    now = resolve(house.backbone).key[:12]
    assert str(refused.value) == (
        f"backbone {house.backbone} is {now} now, but the features of this run are by "
        "0123456789ab: run featurize again"
    )
