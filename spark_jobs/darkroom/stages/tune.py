"""Stage 4: the best head on the best features, exported as one portable model."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from darkroom.backbones.catalog import Backbone, resolve
from darkroom.backbones.model_formats import is_saved_model
from darkroom.contract import (
    ConfigError,
    DataError,
    HeadKind,
    PipelineConfig,
    Stage,
    StageResult,
    StageStatus,
    Workspace,
)
from darkroom.contract import columns as c
from darkroom.contract.workspace import write_atomically
from darkroom.images import PIXEL_PATH_VERSION
from darkroom.lake import Lake
from darkroom.ml.engines import Engine, PreparedModel, prepare, ship
from darkroom.ml.inference import image_predictor, predict_images
from darkroom.ml.training.folder import new_training_folder
from darkroom.registry import lookup
from darkroom.registry.package import ModelPackage, log_package, write_package
from darkroom.registry.provenance import provenance
from darkroom.registry.tracking import PipelineRun, Snapshot
from darkroom.registry.versions import MODEL_DIGEST_TAG, SNAPSHOT_TAG, SPLITS_SNAPSHOT_TAG
from darkroom.stages.run import StageRun
from darkroom.stages.trial_runs import TrialRuns
from darkroom.tuning.charts import plot_trials
from darkroom.tuning.data import FeatureSet, TrainData
from darkroom.tuning.export import (
    check_parity,
    import_keras_meanwhile,
    portable_model,
    tuned_model,
)
from darkroom.tuning.head import Head, TunedNetwork
from darkroom.tuning.results import ResultStore
from darkroom.tuning.rows import Pictures
from darkroom.tuning.search import Found, Trial, best_of, check_heads, search

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TUNING_VERSION: Final = "5"
"""Part of the inputs: raise it when a change of the code changes the resulting model."""

PARITY_IMAGES: Final = 100

log = logging.getLogger(__name__)


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
    """Searches for the best head on every backbone's features and exports the winner.

    Reads `images`, `splits` and `features` at this run's snapshots, train split only. Logs one
    MLflow run with one child per trial, and the model once.

    Args:
        spark: The session.
        config: The pipeline.
        workspace: Where the tables lie, and where the model file goes.
        run: Its stages ingest and featurize (each backbone) have succeeded.

    Returns:
        Outputs: mlflow_run_id, model_uri, model_digest, labels, backbone, tried, head, reg_param,
        elastic_net_param, hidden_units, learning_rate, last_layers, batch_size, epochs, stopped,
        metric, mean, std, trials, failed_trials, parity.

    Raises:
        ConfigError: MLFLOW_TRACKING_URI is not set, or a backbone is to be fine-tuned that is a
            SavedModel or has fewer layers.
        DataError: The train images cannot be cross-validated or lack features, or are too many for
            a head, or a backbone is not the one of the features.
        DarkroomError: All trials failed, or the exported model does not agree with Spark's.
    """
    data = _train_data(spark, config, workspace, run)
    data.check()
    features = [_feature_set(run, name) for name in config.features.backbones]
    backbones = {one.backbone: _same_backbone(config, one) for one in features}
    pictures = {name: _pictures(data, backbone, workspace) for name, backbone in backbones.items()}
    rows = [data.rows(one) for one in features]
    for one in rows:
        check_heads(one, config.tuning)
    tracked = PipelineRun.start(config.name, run.run_id, _snapshot_tags(data))
    runs = _trial_runs(tracked, data, features)
    # After MLflow has been imported: imports in two threads at a time can get in each other's way.
    import_keras_meanwhile()
    store = ResultStore(workspace.trials(config.name))
    tell = _teller(run.folder.progress_file(Stage.TUNE))
    searches = [
        search(one, config.tuning, store, tell, pictures[one.backbone], runs[one.backbone].log)
        for one in rows
    ]
    trials = [trial for found in searches for trial in found.trials]
    tracked.log_figure("trials.png", plot_trials(trials))
    winner = best_of(searches)
    package = _export(data, winner, backbones[winner.best.backbone], workspace)
    prepared = prepare(package.model_file, workspace.engines, Engine(config.features.engine))
    parity = _compare(data, winner, prepared, workspace)
    uri = _log_model(tracked, data, winner.best, package)
    outputs = {
        "mlflow_run_id": tracked.id,
        "model_uri": uri,
        "model_digest": package.digest,
        "labels": list(data.labels),
        "metric": config.tuning.metric,
        **_as_output(winner.best),
        "trials": [_as_output(trial) for trial in trials if not trial.error],
        "failed_trials": [_as_output(trial) for trial in trials if trial.error],
        "parity": parity,
    }
    return StageResult(
        stage=Stage.TUNE,
        status=StageStatus.DONE,
        summary=_summary(config, winner.best, trials, package.digest),
        outputs=outputs,
    )


def _teller(file: Path) -> Callable[[str], None]:
    """Tells the task's log, and by a file whoever started the stage."""

    def tell(words: str) -> None:
        log.info("%s", words)
        write_atomically(file, words)

    return tell


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


def _pictures(data: TrainData, backbone: Backbone, workspace: Workspace) -> Pictures | None:
    """What fine-tuning needs, if it is among the heads."""
    if HeadKind.FINE_TUNE not in data.config.tuning.heads:
        return None
    if is_saved_model(Path(backbone.name)):
        remedy = f"{backbone.name}, a SavedModel, cannot be trained: save it as a .keras file"
        raise ConfigError("tuning.heads", HeadKind.FINE_TUNE.value, remedy)
    return Pictures(
        frame=data.pictures(),
        backbone_file=backbone.model_file(workspace.models),
        folder=new_training_folder(workspace.scratch / "training"),
    )


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
        **winner.best.point._asdict(),
        "images_snapshot": data.images_snapshot,
        "splits_snapshot": data.splits_snapshot,
        **asdict(provenance()),
    }
    head = _head(winner)
    model = portable_model(backbone, head) if isinstance(head, Head) else tuned_model(head)
    return write_package(model, metadata, workspace.models)


def _compare(
    data: TrainData, winner: Found, prepared: PreparedModel, workspace: Workspace
) -> float:
    """Runs the exported file on train images, and in Spark what was fitted."""
    head = _head(winner)
    if isinstance(head, Head):
        images = _parity_images(data, winner)
        vectors = winner.fits.vectors(list(images))
        expected = [head.probabilities(vectors[one][np.newaxis])[0] for one in images]
    else:
        images, expected = _answers_in_spark(data, head, workspace)
    answers = image_predictor(prepared)(list(images.values()))
    return check_parity([answer.value for answer in answers], expected, list(images))


def _answers_in_spark(
    data: TrainData, network: TunedNetwork, workspace: Workspace
) -> tuple[Mapping[str, bytes], list[NDArray[np.float64]]]:
    """The first train images by id, and what Keras answers to them in Spark's workers."""
    frame = data.pictures().orderBy(c.IMAGE_ID).limit(PARITY_IMAGES).select(c.IMAGE_ID, c.IMAGE)
    images = {row[c.IMAGE_ID]: bytes(row[c.IMAGE]) for row in frame.collect()}
    prepared = ship(data.spark, prepare(network.file, workspace.engines, Engine.TENSORFLOW))
    rows = predict_images(frame, prepared, image_col=c.IMAGE, output_col=c.VECTOR).collect()
    answers = {row[c.IMAGE_ID]: np.array(row[c.VECTOR]) for row in rows}
    return images, [answers[one] for one in images]


def _head(winner: Found) -> Head | TunedNetwork:
    assert winner.head is not None  # `best_of` answers no failed trial.
    return winner.head


def _parity_images(data: TrainData, winner: Found) -> Mapping[str, bytes]:
    """The table's first train images: id and bytes."""
    images: dict[str, bytes] = {}
    for batch in data.encoded_images():
        trained_on = winner.fits.vectors(list(batch))
        images |= {one: encoded for one, encoded in batch.items() if one in trained_on}
        if len(images) >= PARITY_IMAGES:
            break
    return dict(itertools.islice(images.items(), PARITY_IMAGES))


def _trial_runs(
    tracked: PipelineRun, data: TrainData, features: Sequence[FeatureSet]
) -> Mapping[str, TrialRuns]:
    """Who logs the trials of a backbone, by its name; logs what all of them read."""
    runs = {
        one.backbone: TrialRuns(
            tracked=tracked,
            tuning=data.config.tuning,
            read=_read_by(data, one),
            identity=[_snapshot_tags(data), TUNING_VERSION],
        )
        for one in features
    }
    read = itertools.chain.from_iterable(one.read for one in runs.values())
    tracked.log_read(list(dict.fromkeys(read)))
    return runs


def _read_by(data: TrainData, features: FeatureSet) -> list[Snapshot]:
    """What the trials of one backbone are trained on."""
    snapshots = {
        c.IMAGES: data.images_snapshot,
        c.SPLITS: data.splits_snapshot,
        c.FEATURES: features.snapshot,
    }
    return [Snapshot(f"{data.config.name}.{table}", one) for table, one in snapshots.items()]


def _log_model(tracked: PipelineRun, data: TrainData, best: Trial, package: ModelPackage) -> str:
    metric = data.config.tuning.metric
    tried = {name: str(value) for name, value in best.point._asdict().items()}
    chosen = {"backbone": best.backbone, **tried}
    uri = log_package(tracked.client, tracked.run, package, chosen)
    tracked.log(
        metrics={f"mean_{metric}": best.mean, f"std_{metric}": best.std},
        tags={MODEL_DIGEST_TAG: package.digest, **{f"darkroom.{k}": v for k, v in chosen.items()}},
    )
    tracked.finish()
    return uri


def _as_output(trial: Trial) -> dict[str, Any]:
    known = {"backbone": trial.backbone, "backbone_key": trial.backbone_key}
    tried = {"tried": str(trial.point), **trial.point._asdict(), "seconds": trial.seconds}
    if trial.error:
        return {**known, **tried, "error": trial.error}
    scores = {
        "scores": list(trial.scores),
        "mean": trial.mean,
        "std": trial.std,
        "stopped": trial.stopped,
    }
    return {**known, **tried, **scores}


def _summary(config: PipelineConfig, best: Trial, trials: Sequence[Trial], digest: str) -> str:
    tuning = config.tuning
    failed = sum(trial.error is not None for trial in trials)
    return (
        f"best of {len(trials)} trials: {best.backbone}, {best.point}: {tuning.metric} "
        f"{best.mean:.4f} (std {best.std:.4f}, {tuning.folds} folds); model {digest[:12]}"
        + (f"; failed trials: {failed}" if failed else "")
    )
