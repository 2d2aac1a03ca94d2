"""A tiny network whose answers are known by arithmetic, as a run's candidate."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from mlflow import MlflowClient
from PIL import Image

from darkroom.contract import (
    Check,
    GateConfig,
    GateDecision,
    PipelineConfig,
    SourceConfig,
    Stage,
    StageResult,
    StageStatus,
    Verdict,
    Workspace,
)
from darkroom.lake import Lake
from darkroom.registry.package import ModelPackage, log_package, write_package
from darkroom.stages.run import StageRun

LABELS = ("red", "green", "blue")
RGB = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
SIDE = 8
METADATA = {"labels": list(LABELS), "height": SIDE, "width": SIDE, "git_commit": "c" * 40}
REPORT = "reports/pipeline/run/index.html"


def config(name: str) -> PipelineConfig:
    """A pipeline with names of its own, so that tests can share a server."""
    return PipelineConfig(
        name=name,
        function=f"{name}_function",
        view=f"{name}_images",
        source=SourceConfig(path="unused"),
        gate=GateConfig(thresholds={"accuracy": 0.5}),
    )


def picture(colour: str, kind: str = "JPEG", size: int = 32) -> bytes:
    """An encoded picture of one colour."""
    stream = io.BytesIO()
    Image.new("RGB", (size, size), RGB[colour]).save(stream, kind)
    return stream.getvalue()


def sharpness_of(version: int) -> float:
    """How much a version's network prefers the strongest colour: makes each its own file."""
    return 0.01 * version


def colour_package(
    models: Path, version: int = 1, labels: tuple[str, ...] = LABELS
) -> ModelPackage:
    """Saves a network that answers the softmax of (mean red, mean green, mean blue) * sharpness.

    Args:
        models: Where to.
        version: Makes it a file of its own.
        labels: What it calls the three; in another order it takes one colour for another.
    """
    import keras

    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3), name="pixels"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(len(LABELS), activation="softmax"),
        ]
    )
    kernel = np.eye(len(LABELS), dtype=np.float32) * sharpness_of(version)
    model.layers[-1].set_weights([kernel, np.zeros(len(LABELS), np.float32)])
    return write_package(model, METADATA | {"labels": list(labels)}, models)


def unloaded_package(models: Path, content: bytes) -> ModelPackage:
    """Files that are registered as a model's are, and that nothing could load."""
    digest = hashlib.sha256(content).hexdigest()
    package = ModelPackage(folder=models / digest, digest=digest)
    package.folder.mkdir(parents=True)
    package.model_file.write_bytes(content)
    package.metadata_file.write_text(json.dumps({**METADATA, "model_digest": digest}))
    return package


def lambda_package(models: Path) -> ModelPackage:
    """Saves a network that holds code, which would run wherever the file is loaded."""
    import keras

    layers = [keras.Input((SIDE, SIDE, 3)), keras.layers.Lambda(lambda pixels: pixels[:, 0, 0])]
    return write_package(keras.Sequential(layers), METADATA, models)


def probability_of_best(version: int = 1) -> float:
    """What the network of a version answers for a pure colour."""
    strong = np.exp(255 * sharpness_of(version))
    return float(strong / (strong + 2))


@functools.cache
def log_candidate(uri: str, package: ModelPackage) -> dict[str, Any]:
    """Logs a package on the server as the stage tune does, once; returns that stage's outputs."""
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    run = client.create_run("0")
    return {
        "mlflow_run_id": run.info.run_id,
        "model_uri": log_package(client, run, package, {}),
        "model_digest": package.digest,
        "labels": list(LABELS),
    }


def decide(
    digest: str, verdict: Verdict = Verdict.PASS, champion: str | None = None
) -> GateDecision:
    """A gate decision about a model."""
    reason = f"accuracy is 0.7 and has to be 0.5: {verdict}"
    check = Check(name="accuracy", verdict=verdict, value=0.7, threshold=0.5, reason=reason)
    return GateDecision(candidate=digest, champion=champion, checks=(check,))


def finished_run(
    workspace: Workspace,
    pipeline: str,
    run_id: str,
    candidate: dict[str, Any],
    decision: GateDecision,
) -> StageRun:
    """Writes the results of the stages before register."""
    folder = workspace.run(pipeline, run_id)
    outputs: dict[Stage, dict[str, Any]] = {
        Stage.INGEST: _ingested(workspace, pipeline),
        Stage.TUNE: candidate,
        Stage.EVALUATE: {
            "verdict": decision.verdict.value,
            "decision": decision.to_json(),
            "decision_digest": decision.digest,
        },
    }
    for stage, values in outputs.items():
        report = REPORT if stage is Stage.EVALUATE else None
        result = StageResult(
            stage=stage, status=StageStatus.DONE, summary="", outputs=values, report=report
        )
        folder.write(result)
    return StageRun(folder=folder)


def _ingested(workspace: Workspace, pipeline: str) -> dict[str, Any]:
    """Snapshots of one image and its split; those that are there, where there are any."""
    lake = Lake(workspace)
    image = image_row("red/1.png", b"one")
    split = {"image_id": image["image_id"], "group_id": "0" * 16, "split": "train"}
    for table, row in (("images", image), ("splits", split)):
        if lake.snapshot(pipeline, table) is None:
            lake.append_rows([row], pipeline, table, run_id="i", stage=Stage.INGEST)
    return {f"{table}_snapshot": lake.snapshot(pipeline, table) for table in ("images", "splits")}


def image_row(path: str, data: bytes) -> dict[str, Any]:
    """A row of the table of images."""
    return {
        "image_id": hashlib.sha256(data).hexdigest(),
        "path": path,
        "label": path.partition("/")[0],
        "image": data,
        "length": len(data),
        "modified_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        "format": "JPEG",
        "mode": "RGB",
        "width": 16,
        "height": 16,
        "brightness": 100.0,
        "perceptual_hash": "0" * 16,
        "run_id": "i",
    }


def fake_digest(text: str) -> str:
    """A digest of nothing that exists."""
    return hashlib.sha256(json.dumps(text).encode()).hexdigest()
