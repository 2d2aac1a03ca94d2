"""Stage 3: feature vectors of every image that has none yet, for one backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from darkroom.backbones.catalog import resolve
from darkroom.contract import PipelineConfig, Stage, StageResult, StageStatus, Workspace
from darkroom.contract import columns as c
from darkroom.lake import Lake
from darkroom.ml.engines import Engine, prepare, ship
from darkroom.ml.inference import predict_images
from darkroom.stages.run import StageRun
from darkroom.stages.session import spread

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def inputs(config: PipelineConfig, workspace: Workspace, run: StageRun) -> Mapping[str, Any]:
    """What the features depend on: which images, which network."""
    del workspace
    backbone = resolve(run.options["backbone"], config.features.weights)
    snapshot = run.earlier(Stage.INGEST)["images_snapshot"]
    return {"images_snapshot": snapshot, "backbone_key": backbone.key}


def featurize(
    spark: SparkSession, config: PipelineConfig, workspace: Workspace, run: StageRun
) -> StageResult:
    """Computes each (image_id, backbone_key) once, for ever.

    Reads `images` (image_id, image) at this run's snapshot and `features`; appends to `features`
    (image_id, backbone, backbone_key, vector, run_id).

    Args:
        spark: The session.
        config: The pipeline.
        workspace: Where the tables lie.
        run: Its option ``backbone`` names the network.

    Returns:
        Outputs: backbone, backbone_key, features_snapshot, width, computed, reused.

    Raises:
        ConfigError: The backbone is unknown or its weights cannot be had.
    """
    from pyspark.sql import functions as f

    backbone = resolve(run.options["backbone"], config.features.weights)
    lake = Lake(workspace)
    images_snapshot = run.earlier(Stage.INGEST)["images_snapshot"]
    images = spread(lake.read(spark, config.name, c.IMAGES, images_snapshot))
    known = lake.read(spark, config.name, c.FEATURES).where(f.col(c.BACKBONE_KEY) == backbone.key)
    todo = images.select(c.IMAGE_ID, c.IMAGE).join(
        known.select(c.IMAGE_ID), c.IMAGE_ID, "left_anti"
    )
    engine = Engine(config.features.engine)
    prepared = prepare(backbone.model_file(workspace.models), workspace.engines, engine)
    features = predict_images(todo, ship(spark, prepared), image_col=c.IMAGE, output_col=c.VECTOR)
    rows = features.select(
        c.IMAGE_ID,
        f.lit(backbone.name).alias(c.BACKBONE),
        f.lit(backbone.key).alias(c.BACKBONE_KEY),
        c.VECTOR,
        f.lit(run.run_id).alias(c.RUN_ID),
    )
    commit = lake.append(rows, config.name, c.FEATURES, run_id=run.run_id, stage=Stage.FEATURIZE)
    now = lake.read(spark, config.name, c.FEATURES, commit.snapshot_id).where(
        f.col(c.BACKBONE_KEY) == backbone.key
    )
    reused = images.join(now, c.IMAGE_ID, "left_semi").count() - commit.rows
    width = len(now.select(c.VECTOR).first()[0])  # type: ignore[index]
    return StageResult(
        stage=Stage.FEATURIZE,
        status=StageStatus.DONE,
        summary=f"{backbone.name}: {commit.rows:,} feature vectors of width {width} computed, "
        f"{reused:,} reused",
        outputs={
            "backbone": backbone.name,
            "backbone_key": backbone.key,
            "features_snapshot": commit.snapshot_id,
            "width": width,
            "computed": commit.rows,
            "reused": reused,
        },
    )
