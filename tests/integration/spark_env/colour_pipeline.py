"""A pipeline of pictures whose features, and whose mistakes, are known without running anything.

The pictures have one colour each, and the backbone is their mean colour.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from PIL import Image
from pyspark.sql import SparkSession

from darkroom.backbones.catalog import resolve
from darkroom.contract import (
    FeaturesConfig,
    GateConfig,
    PipelineConfig,
    SourceConfig,
    Stage,
    StageResult,
    StageStatus,
    TuningConfig,
    Workspace,
)
from darkroom.evaluation.predictions import Predictions
from darkroom.evaluation.resampling import Bootstrap, Estimate
from darkroom.evaluation.serving import Asked, Loaded, Serving
from darkroom.lake import Lake
from darkroom.stages import evaluate as evaluate_stage
from darkroom.stages import tune as tune_stage
from darkroom.stages.held_out import Model
from darkroom.stages.run import StageRun
from darkroom.stages.trying import Golden, Trial

SIDE = 8
CENTRES = {"blue": (20, 20, 200), "red": (200, 20, 20)}
TRAIN_IMAGES = 12
TEST_IMAGES = 5
NAMES = (f"colours_{number}" for number in itertools.count())


def picture(label: str, shift: int) -> bytes:
    """A picture of one colour; PNG, so that its mean is exactly that colour."""
    red, green, blue = CENTRES[label]
    stream = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), (red, green + shift, blue)).save(stream, "PNG")
    return stream.getvalue()


@dataclass(frozen=True)
class House:
    """One pipeline of its own in a workspace of its own, on the shared server."""

    spark: SparkSession
    client: MlflowClient
    config: PipelineConfig
    workspace: Workspace

    @property
    def lake(self) -> Lake:
        return Lake(self.workspace)

    def run(self, run_id: str = "run 1") -> StageRun:
        return StageRun(folder=self.workspace.run(self.config.name, run_id))

    def fill(self, run_id: str = "run 1", mislabelled: int = 0, skip_features: int = 0) -> None:
        """Writes the tables and results that ingest and featurize leave."""
        lake, name = Lake(self.workspace), self.config.name
        key = resolve(self.backbone).key
        images, splits, features = [], [], []
        for label, (red, green, blue) in CENTRES.items():
            for n in range(TRAIN_IMAGES + TEST_IMAGES):
                data = picture(label, n)
                image_id = hashlib.sha256(data).hexdigest()
                wrong = label == "red" and TRAIN_IMAGES <= n < TRAIN_IMAGES + mislabelled
                images.append(
                    _image_row(image_id, f"{label}/{n}.png", data, "blue" if wrong else label)
                )
                split = "train" if n < TRAIN_IMAGES else "test"
                splits.append({"image_id": image_id, "group_id": f"{label}{n}", "split": split})
                vector = [float(red), float(green + n), float(blue)]
                features.append(
                    {
                        "image_id": image_id,
                        "backbone": self.backbone,
                        "backbone_key": key,
                        "vector": vector,
                    }
                )
        stages = {"images": Stage.INGEST, "splits": Stage.INGEST, "features": Stage.FEATURIZE}
        rows = {"images": images, "splits": splits, "features": features[skip_features:]}
        snapshots = {
            table: lake.append_rows(
                rows[table], name, table, run_id=run_id, stage=stage
            ).snapshot_id
            for table, stage in stages.items()
        }
        self.write(
            Stage.INGEST,
            {
                "images_snapshot": snapshots["images"],
                "splits_snapshot": snapshots["splits"],
                "classes": dict.fromkeys(CENTRES, TRAIN_IMAGES + TEST_IMAGES),
                "rejected": 1,
                "rejected_files": [{"path": "red/x.png", "reason": "EMPTY", "detail": "no bytes"}],
            },
            run_id,
        )
        self.write(Stage.VALIDATE, {}, run_id, summary="all 11 expectations met")
        self.write(
            Stage.FEATURIZE,
            {
                "backbone": self.backbone,
                "backbone_key": key,
                "features_snapshot": snapshots["features"],
                "width": 3,
            },
            run_id,
            self.backbone,
        )

    @property
    def backbone(self) -> str:
        return self.config.features.backbones[0]

    def write(
        self,
        stage: Stage,
        outputs: dict[str, Any],
        run_id: str = "run 1",
        key: str | None = None,
        summary: str = "",
    ) -> None:
        result = StageResult(stage=stage, status=StageStatus.DONE, summary=summary, outputs=outputs)
        self.run(run_id).folder.write(result, key)

    def tune(self, run_id: str = "run 1") -> dict[str, Any]:
        result = tune_stage.tune(self.spark, self.config, self.workspace, self.run(run_id))
        self.run(run_id).folder.write(result)
        return dict(result.outputs)

    def tuned(self, run_id: str = "run 1") -> dict[str, Any]:
        return dict(self.run(run_id).earlier(Stage.TUNE))

    def evaluate(
        self, run_id: str = "run 1", trial: type[Trial] | None = None, **gate: Any
    ) -> StageResult:
        """Without a ``trial`` the candidate serves well, which takes no time."""
        config = replace(self.config, gate=replace(self.config.gate, **gate))
        return evaluate_stage.evaluate(
            self.spark, config, self.workspace, self.run(run_id), trial=trial or ServesWell
        )

    def runs(self) -> list[Any]:
        experiment = self.client.get_experiment_by_name(self.config.name)
        assert experiment is not None
        return list(self.client.search_runs([experiment.experiment_id]))

    def models(self) -> list[Any]:
        experiment = self.client.get_experiment_by_name(self.config.name)
        assert experiment is not None
        return list(self.client.search_logged_models([experiment.experiment_id]))


class ServesWell(Trial):
    """What `Trial` finds of a quick and small candidate."""

    def __init__(self, spark: SparkSession, model_uri: str) -> None:
        """Starts nothing."""

    def __exit__(self, *error: object) -> None:
        """Ends nothing."""

    def begin(self, golden: Golden) -> None:
        """Asks nobody."""

    def finish(
        self, model: Model, golden: Golden, said: Predictions, bootstrap: Bootstrap
    ) -> Serving:
        """Numbers that are good enough."""
        loaded = Loaded(gap=0.0, seconds=1.0, memory_mb=100.0)
        asked = Asked(gap=0.0, p50_ms=Estimate(6.0, 5.0, 7.0), p95_ms=Estimate(6.9, 5.0, 7.0))
        return Serving(images=len(golden.images), loaded=loaded, asked=asked)


def _image_row(image_id: str, path: str, data: bytes, label: str) -> dict[str, Any]:
    return {
        "image_id": image_id,
        "path": path,
        "label": label,
        "image": data,
        "length": len(data),
        "modified_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        "format": "PNG",
        "mode": "RGB",
        "width": SIDE,
        "height": SIDE,
        "brightness": 80.0,
        "perceptual_hash": "0" * 16,
    }


def new_house(spark: SparkSession, uri: str, backbone: Path, root: Path) -> House:
    name = next(NAMES)
    config = PipelineConfig(
        name=name,
        function=f"{name}_function",
        view=f"{name}_view",
        source=SourceConfig(path="unused"),
        gate=GateConfig(thresholds={"accuracy": 0.9}, min_test_images=10, min_class_images=2),
        features=FeaturesConfig(backbones=(str(backbone),)),
        tuning=TuningConfig(folds=2, reg_params=(0.01, 1e6), max_iterations=10),
    )
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    return House(spark, client, config, Workspace(root))
