"""The head `fine_tune`: the stage on real tables, networks trained in Spark's tasks."""

from __future__ import annotations

import logging
import os
import re
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from darkroom.contract import ConfigError, HeadKind
from darkroom.contract.tuning import FineTuneConfig, HalvingConfig
from darkroom.tuning import network_fits, progress
from darkroom.tuning.scoring import scores_of
from tests.integration.spark_env.colour_pipeline import SIDE, House, new_house
from tests.integration.spark_env.network_process import save_backbone

pytest_plugins = ("tests.integration.spark_env.mlflow_server",)
pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("tensorflow_workers")]

RATES = (0.001, 0.01)
EPOCHS = 3


@pytest.fixture(scope="module")
def backbone_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_backbone(tmp_path_factory.mktemp("backbone") / "small.keras", SIDE)


def tuned_house(spark: SparkSession, uri: str, backbone: Path, root: Path, **own: Any) -> House:
    house = new_house(spark, uri, backbone, root)
    fine_tune = FineTuneConfig(
        **({"last_layers": (1,), "learning_rates": RATES, "epochs": (EPOCHS,)} | own)
    )
    heads = (HeadKind.FINE_TUNE.value,)
    tuning = replace(house.config.tuning, heads=heads, metric="log_loss", fine_tune=fine_tune)
    return replace(house, config=replace(house.config, tuning=tuning))


@pytest.fixture
def house(spark: SparkSession, mlflow_uri: str, backbone_file: Path, tmp_path: Path) -> House:
    return tuned_house(spark, mlflow_uri, backbone_file, tmp_path)


@pytest.mark.long
def test_the_winner_is_one_portable_model_and_every_epoch_is_logged(house: House) -> None:
    house.fill()
    tuned = house.tune()
    assert [trial["learning_rate"] for trial in tuned["trials"]] == list(RATES)
    assert tuned["mean"] == min(trial["mean"] for trial in tuned["trials"])
    rate = tuned["learning_rate"]
    assert tuned["tried"] == f"fine_tune layers=1 rate={rate:g} batch=32 epochs=3"
    assert tuned["failed_trials"] == []
    assert tuned["parity"] < 1e-5

    children = [r for r in house.runs() if r.data.tags.get("mlflow.parentRunId")]
    assert {r.data.params["learning_rate"] for r in children} == {"0.001", "0.01"}
    for run in children:
        for fold in range(house.config.tuning.folds):
            curve = house.client.get_metric_history(run.info.run_id, f"fold_{fold}/val_loss")
            assert sorted(point.step for point in curve) == list(range(1, EPOCHS + 1))
    # Nothing is left of what only the search needed.
    kept = files_of(house)
    assert sorted(file.suffix for file in kept) == [".json"] * 4 + [".keras"]
    assert house.evaluate().outputs["metrics"]["accuracy"] == 1.0
    assert house.tune() == tuned
    assert files_of(house) == kept


def files_of(house: House) -> dict[Path, int]:
    """What the search keeps, and when each was written."""
    trials = house.workspace.trials(house.config.name)
    return {file: file.stat().st_mtime_ns for file in trials.rglob("*") if file.is_file()}


@pytest.mark.long
def test_halving_stops_hopeless_trials_and_costs_no_training_the_next_time(
    spark: SparkSession,
    mlflow_uri: str,
    backbone_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(progress, "PROGRESS_SECONDS", 0.2)
    caplog.set_level(logging.INFO, logger="darkroom")
    rates = (1e-5, 0.5, 1.0)
    halving = HalvingConfig(min_epochs=1, factor=3)
    own = {"learning_rates": rates, "epochs": (4,), "patience": None}
    house = tuned_house(
        spark, mlflow_uri, backbone_file, tmp_path / "halved", **own, halving=halving
    )
    house.fill()
    tuned = house.tune()
    assert sorted(trial["stopped"] for trial in tuned["trials"]) == [False, True, True]
    assert [line for line in caplog.messages if " go on after " in line] == [
        f"{house.backbone}: 1 of 3 trials go on after epoch 1",
        f"{house.backbone}: 1 of 1 trials go on after epoch 3",
    ]
    told = "\n".join(caplog.messages)
    assert re.search(r"0 of 3 trials, \d of 6 fits of 3 trials have come to epoch 1\b", told)
    assert re.search(r"\b6 of 6 fits done, 3 of 3 trials, best log_loss ", told)
    assert not tuned["stopped"]
    lengths = {
        run.data.params["learning_rate"]: len(
            house.client.get_metric_history(run.info.run_id, "fold_0/loss")
        )
        for run in house.runs()
        if "mlflow.parentRunId" in run.data.tags
    }
    best = tuned["learning_rate"]
    assert lengths == {str(rate): 4 if rate == best else 1 for rate in rates}
    kept = files_of(house)
    assert not [file for file in kept if file.suffix == ".checkpoint"]
    assert house.tune() == tuned
    assert files_of(house) == kept

    # Going on from checkpoints, rung by rung, ends where a training without halving does.
    whole = tuned_house(spark, mlflow_uri, backbone_file, tmp_path / "whole", **own)
    whole.fill()
    assert whole.tune()["scores"] == tuned["scores"]


@pytest.mark.long
def test_the_same_seed_gives_the_same_numbers_though_a_worker_is_killed(
    house: House,
    spark: SparkSession,
    backbone_file: Path,
    tmp_path: Path,
    mlflow_uri: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house.fill()
    first = house.tune()
    other = tuned_house(spark, mlflow_uri, backbone_file, tmp_path / "other")
    other.fill()
    mark = tmp_path / "killed"
    judge = scores_of

    def deadly(truths: Any, probabilities: Any) -> Any:
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return judge(truths, probabilities)

    monkeypatch.setattr(network_fits, "scores_of", deadly)
    again = other.tune()
    assert mark.exists()
    assert again["failed_trials"] == []
    assert [trial["scores"] for trial in again["trials"]] == [
        trial["scores"] for trial in first["trials"]
    ]
    assert again["model_digest"] == first["model_digest"]


@pytest.mark.long
def test_bad_trials_are_recorded_and_the_others_win(
    spark: SparkSession, mlflow_uri: str, backbone_file: Path, tmp_path: Path
) -> None:
    house = tuned_house(
        spark, mlflow_uri, backbone_file, tmp_path, learning_rates=(0.01, 1e30), epochs=(1,)
    )
    house.fill()
    tuned = house.tune()
    assert tuned["learning_rate"] == 0.01
    (failed,) = tuned["failed_trials"]
    assert failed["learning_rate"] == 1e30
    assert failed["error"].startswith("fold 0: ")
    (run,) = [r for r in house.runs() if r.info.status == "FAILED"]
    assert run.data.tags["darkroom.reason"] == failed["error"]


@pytest.mark.long
def test_more_layers_than_there_are_is_said_before_any_training(
    spark: SparkSession, mlflow_uri: str, backbone_file: Path, tmp_path: Path
) -> None:
    house = tuned_house(spark, mlflow_uri, backbone_file, tmp_path, last_layers=(1, 3))
    house.fill()
    with pytest.raises(ConfigError) as refused:
        house.tune()
    assert str(refused.value) == (
        "tuning.fine_tune.last_layers = 3: this backbone has 2 layers with weights: give at most "
        "that many"
    )
    assert not list(house.workspace.trials(house.config.name).rglob("*.json"))
