"""Classifiers as a pipeline deploys them, and pictures for them."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.featurize import keras_model
from benchmarks.photographs import photograph
from darkroom.backbones.libraries import import_keras
from darkroom.contract import Workspace
from darkroom.contract import columns as c
from darkroom.lake.schema import column_names
from darkroom.registry.package import MODEL_SCHEME, ModelPackage, log_package, write_package
from darkroom.sql.deployments import Deployment

CLASSES = 43
"""As many as the best-known set of traffic signs has."""

FUNCTION = "recognize"
PIPELINE = "bench"
VIEW = "pictures"
VERSION = "1"

_DRAWN = 300
"""So many pictures are drawn; repeated, they are decoded again all the same."""


def classifier(name: str, folder: Path, workspace: Workspace) -> ModelPackage:
    """A backbone with a softmax head of seeded random weights, packaged as training does.

    Args:
        name: The backbone.
        folder: Is made, for files that are needed on the way.
        workspace: Where the package goes.
    """
    folder.mkdir(parents=True)
    file, size = keras_model(name, folder)
    keras = import_keras()
    keras.utils.set_random_seed(7)
    backbone = keras.saving.load_model(file, compile=False)
    scores = keras.layers.Dense(CLASSES, activation="softmax")(backbone.output)
    labels = [f"class {number}" for number in range(CLASSES)]
    metadata = {"labels": labels, "height": size, "width": size}
    return write_package(keras.Model(backbone.input, scores), metadata, workspace.models)


def log_model(package: ModelPackage, folder: Path) -> tuple[str, Path]:
    """Logs a package on an MLflow store of its own.

    Args:
        package: What to log.
        folder: Gets the store and its files.

    Returns:
        URI of the model, for which MLflow's tracking URI is set, and the folder of its files.
    """
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow

    store = f"sqlite:///{folder / 'mlflow.db'}"
    mlflow.set_tracking_uri(store)
    client = mlflow.MlflowClient(tracking_uri=store, registry_uri=store)
    experiment = client.create_experiment(
        "bench", artifact_location=(folder / "artifacts").as_uri()
    )
    uri = log_package(client, client.create_run(experiment), package, {})
    model = client.get_logged_model(uri.removeprefix(MODEL_SCHEME))
    return uri, Path(model.artifact_location.removeprefix("file://"))


def deployment(
    workspace: Workspace,
    package: ModelPackage,
    pipeline: str = PIPELINE,
    function: str = FUNCTION,
    view: str = VIEW,
) -> Deployment:
    """The first version of a pipeline, deployed now."""
    return Deployment(
        function=function,
        pipeline=pipeline,
        view=view,
        model_name=pipeline,
        model_version=VERSION,
        model_digest=package.digest,
        model_path=str(package.folder.relative_to(workspace.root)),
        labels=package.card.labels,
        deployed_at=dt.datetime.now(dt.UTC),
        run_id="bench",
    )


def pictures(count: int) -> list[bytes]:
    """JPEG pictures of 500x375, of which some hundred differ."""
    drawn = [photograph(number) for number in range(min(count, _DRAWN))]
    return [drawn[number % len(drawn)] for number in range(count)]


def image_rows(images: Sequence[bytes]) -> list[dict[str, Any]]:
    """Rows of the table of images: no two have the same bytes, the paths are numbers from 0."""
    # What follows the end of a JPEG picture is no part of it.
    distinct = [data + str(number).encode() for number, data in enumerate(images)]
    return [
        dict.fromkeys(column_names(c.IMAGES))
        | {c.IMAGE_ID: hashlib.sha256(data).hexdigest(), c.PATH: str(number), c.IMAGE: data}
        for number, data in enumerate(distinct)
    ]
