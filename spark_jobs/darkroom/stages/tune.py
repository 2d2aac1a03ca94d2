"""Stage 4: the best head on the best features, exported as one portable model."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from darkroom.backbones.catalog import Backbone, resolve
from darkroom.contract import (
    DataError,
    PipelineConfig,
    Stage,
    StageResult,
    StageStatus,
    Workspace,
)
from darkroom.contract import columns as c
from darkroom.images import PIXEL_PATH_VERSION
from darkroom.lake import Lake
from darkroom.ml.engines import Engine, PreparedModel, prepare
from darkroom.ml.inference import image_predictor
from darkroom.registry import lookup
from darkroom.registry.package import ModelPackage, log_package, write_package
from darkroom.registry.tracking import PipelineRun, Snapshot, TrialRecord
from darkroom.registry.versions import MODEL_DIGEST_TAG, SNAPSHOT_TAG
from darkroom.stages.run import StageRun
from darkroom.tuning.data import FeatureSet, TrainData
from darkroom.tuning.export import check_parity, import_keras_meanwhile, portable_model
from darkroom.tuning.search import Found, Trial, best_of, search

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TUNING_VERSION: Final = "2"
"""Part of the inputs: raise it when a change of the code changes the resulting model."""

PARITY_IMAGES: Final = 16
SPLITS_SNAPSHOT_TAG: Final = "darkroom.splits_snapshot"


def inputs(config: PipelineConfig, workspace: Workspace, run: StageRun) -> Mapping[str, Any]:
    """What the candidate depends on: images, their split, the networks, the search."""
    del workspace
    ingested = run.earlier(Stage.INGEST)
    return {
        "images_snapshot": ingested["images_snapshot"],
        "splits_snapshot": ingested["splits_snapshot"],
        "backbone_keys": [
            run.earlier(Stage.FEATURIZE, name)["backbone_key"] for name in config.features.backbones
        ],
        "tuning": asdict(config.tuning),
        "pixel_path": PIXEL_PATH_VERSION,
        "version": TUNING_VERSION,
    }


def still_there(result: StageResult, config: PipelineConfig, workspace: Workspace) -> bool:
    """Whether MLflow still has the run and the model of an earlier result."""
    del config, workspace
    outputs = result.outputs
    return lookup.run_exists(outputs["mlflow_run_id"]) and lookup.model_exists(outputs["model_uri"])


def tune(
    spark: SparkSession, config: PipelineConfig, workspace: Workspace, run: StageRun
) -> StageResult:
    """Searches the grid on every backbone's features and exports the winner.

    Reads `images`, `splits` and `features` at this run's snapshots, train split only. Logs one
    MLflow run with one child per trial, and the model once.

    Args:
        spark: The session.
        config: The pipeline.
        workspace: Where the tables lie, and where the model file goes.
        run: Its stages ingest and featurize (each backbone) have succeeded.

    Returns:
        Outputs: mlflow_run_id, model_uri, model_digest, labels, backbone, reg_param,
        elastic_net_param, metric, mean, std, trials, parity.

    Raises:
        ConfigError: MLFLOW_TRACKING_URI is not set.
        DataError: The train images cannot be cross-validated or lack features, or a backbone is
            not the one of the features.
        DarkroomError: The exported model does not agree with Spark's.
    """
    data = _train_data(spark, config, workspace, run)
    data.check()
    features = [_feature_set(run, name) for name in config.features.backbones]
    backbones = {one.backbone: _same_backbone(config, one) for one in features}
    tracked = PipelineRun.start(config.name, run.run_id, _snapshot_tags(data))
    # After MLflow has been imported: imports in two threads at a time can get in each other's way.
    import_keras_meanwhile()
    searches = [search(data.rows(one), config.tuning) for one in features]
    winner = best_of(searches)
    trials = [trial for found in searches for trial in found.trials]
    read = {one.backbone: _read_by(data, one) for one in features}
    tracked.log_read(list(dict.fromkeys(itertools.chain.from_iterable(read.values()))))
    _log_trials(tracked, data, trials, read)
    package = _export(data, winner, backbones[winner.best.backbone], workspace)
    prepared = prepare(package.model_file, workspace.engines, Engine(config.features.engine))
    parity = _compare(data, winner, prepared)
    uri = _log_model(tracked, data, winner.best, package)
    outputs = {
        "mlflow_run_id": tracked.id,
        "model_uri": uri,
        "model_digest": package.digest,
        "labels": list(data.labels),
        "metric": config.tuning.metric,
        **_as_output(winner.best),
        "trials": [_as_output(trial) for trial in trials],
        "parity": parity,
    }
    return StageResult(
        stage=Stage.TUNE,
        status=StageStatus.DONE,
        summary=_summary(config, winner.best, len(trials), package.digest),
        outputs=outputs,
    )


def _train_data(
    spark: SparkSession, config: PipelineConfig, workspace: Workspace, run: StageRun
) -> TrainData:
    ingested = run.earlier(Stage.INGEST)
    return TrainData(
        spark=spark,
        lake=Lake(workspace),
        config=config,
        images_snapshot=ingested["images_snapshot"],
        splits_snapshot=ingested["splits_snapshot"],
    )


def _feature_set(run: StageRun, backbone: str) -> FeatureSet:
    featurized = run.earlier(Stage.FEATURIZE, backbone)
    return FeatureSet(
        backbone=backbone,
        key=featurized["backbone_key"],
        snapshot=featurized["features_snapshot"],
        width=featurized["width"],
    )


def _snapshot_tags(data: TrainData) -> Mapping[str, str]:
    return {
        SNAPSHOT_TAG: str(data.images_snapshot),
        SPLITS_SNAPSHOT_TAG: str(data.splits_snapshot),
    }


def _same_backbone(config: PipelineConfig, features: FeatureSet) -> Backbone:
    """The network that the features are of; it must not have changed since."""
    backbone = resolve(features.backbone, config.features.weights)
    if backbone.key != features.key:
        raise DataError(
            f"backbone {features.backbone} is {backbone.key[:12]} now, but the features of this "
            f"run are by {features.key[:12]}: run featurize again"
        )
    return backbone


def _export(
    data: TrainData, winner: Found, backbone: Backbone, workspace: Workspace
) -> ModelPackage:
    metadata = {
        "labels": list(data.labels),
        "height": backbone.height,
        "width": backbone.width,
        "pixel_path": PIXEL_PATH_VERSION,
        "pipeline": data.config.name,
        "backbone": backbone.name,
        "backbone_key": backbone.key,
        "reg_param": winner.best.reg_param,
        "elastic_net_param": winner.best.elastic_net_param,
        "images_snapshot": data.images_snapshot,
        "splits_snapshot": data.splits_snapshot,
    }
    model = portable_model(backbone, winner.head)
    return write_package(model, metadata, workspace.models)


def _compare(data: TrainData, winner: Found, prepared: PreparedModel) -> float:
    """Runs the exported file on a few train images, and the fitted head on their features."""
    images = _parity_images(data, winner)
    vectors = winner.fits.vectors(list(images))
    expected = [winner.head.probabilities(vectors[one][np.newaxis])[0] for one in images]
    answers = image_predictor(prepared)(list(images.values()))
    return check_parity([answer.value for answer in answers], expected, list(images))


def _parity_images(data: TrainData, winner: Found) -> Mapping[str, bytes]:
    """The table's first train images: id and bytes."""
    images: dict[str, bytes] = {}
    for batch in data.encoded_images():
        trained_on = winner.fits.vectors(list(batch))
        images |= {one: encoded for one, encoded in batch.items() if one in trained_on}
        if len(images) >= PARITY_IMAGES:
            break
    return dict(itertools.islice(images.items(), PARITY_IMAGES))


def _read_by(data: TrainData, features: FeatureSet) -> list[Snapshot]:
    """What the trials of one backbone are trained on."""
    snapshots = {
        c.IMAGES: data.images_snapshot,
        c.SPLITS: data.splits_snapshot,
        c.FEATURES: features.snapshot,
    }
    return [Snapshot(f"{data.config.name}.{table}", one) for table, one in snapshots.items()]


def _log_trials(
    tracked: PipelineRun,
    data: TrainData,
    trials: Sequence[Trial],
    read: Mapping[str, Sequence[Snapshot]],
) -> None:
    tuning = data.config.tuning
    metric = tuning.metric
    shared = {
        "metric": metric,
        "folds": tuning.folds,
        "seed": tuning.seed,
        "max_iterations": tuning.max_iterations,
    }
    logged = []
    for trial in trials:
        tried = {"reg_param": trial.reg_param, "elastic_net_param": trial.elastic_net_param}
        name = f"{trial.backbone} regParam={trial.reg_param:g} l1={trial.elastic_net_param:g}"
        identity = [trial.backbone_key, tried, shared, _snapshot_tags(data), TUNING_VERSION]
        params = {"backbone": trial.backbone, **tried, **shared}
        logged.append(
            TrialRecord(
                key=hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest(),
                name=name,
                params={key: str(value) for key, value in params.items()},
                metrics={
                    metric: list(trial.scores),
                    f"mean_{metric}": [trial.mean],
                    f"std_{metric}": [trial.std],
                },
                read=read[trial.backbone],
            )
        )
    tracked.log_trials(logged)


def _log_model(tracked: PipelineRun, data: TrainData, best: Trial, package: ModelPackage) -> str:
    metric = data.config.tuning.metric
    chosen = {
        "backbone": best.backbone,
        "reg_param": str(best.reg_param),
        "elastic_net_param": str(best.elastic_net_param),
    }
    uri = log_package(tracked.client, tracked.run, package, chosen)
    tracked.log(
        metrics={f"mean_{metric}": best.mean, f"std_{metric}": best.std},
        tags={MODEL_DIGEST_TAG: package.digest, **{f"darkroom.{k}": v for k, v in chosen.items()}},
    )
    tracked.finish()
    return uri


def _as_output(trial: Trial) -> dict[str, Any]:
    return {**asdict(trial), "scores": list(trial.scores), "mean": trial.mean, "std": trial.std}


def _summary(config: PipelineConfig, best: Trial, trials: int, digest: str) -> str:
    tuning = config.tuning
    return (
        f"best of {trials} trials: {best.backbone}, regParam {best.reg_param:g}, elasticNetParam "
        f"{best.elastic_net_param:g}: {tuning.metric} {best.mean:.4f} (std {best.std:.4f}, "
        f"{tuning.folds} folds); model {digest[:12]}"
    )
