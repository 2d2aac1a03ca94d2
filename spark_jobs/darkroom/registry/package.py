"""Writes, logs and fetches the portable model: ``model.keras`` and ``model.json``."""

from __future__ import annotations

import importlib.metadata
import io
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from darkroom.contract import DarkroomError, GateFailedError, one_line
from darkroom.files.digests import digest_of
from darkroom.ml.model_files import METADATA_FILE, MODEL_FILE, ModelCard, normalise
from darkroom.registry.versions import ARTIFACT_FOLDER, MODEL_DIGEST_TAG

if TYPE_CHECKING:
    import keras
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.models.signature import ModelSignature

MODEL_SCHEME: Final = "models:/"
MODEL_CODE: Final = Path(__file__).parent / "pyfunc_model.py"
REQUIREMENTS: Final = ("keras", "tensorflow", "numpy", "pandas", "pillow")
PIXEL_PATH_PACKAGES: Final = ("contract", "images")
"""Folders of this library that travel with a model: what decodes and resizes its images."""

_EXTENDABLE_PACKAGE = '''"""The pixel path of one model; an installed darkroom stays importable."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
'''


@dataclass(frozen=True, kw_only=True)
class ModelPackage:
    """A portable model on disk.

    Attributes:
        folder: Holds ``model.keras`` and ``model.json``.
        digest: SHA-256 of ``model.keras``; also the folder's name.
    """

    folder: Path
    digest: str

    @property
    def model_file(self) -> Path:
        """The Keras file."""
        return self.folder / MODEL_FILE

    @property
    def metadata_file(self) -> Path:
        """What must be known to call the model, and what it was made from."""
        return self.folder / METADATA_FILE

    @property
    def metadata(self) -> dict[str, Any]:
        """All that the metadata file says."""
        values: dict[str, Any] = json.loads(self.metadata_file.read_text())
        return values

    @property
    def card(self) -> ModelCard:
        """Labels and input size."""
        return ModelCard.read(self.metadata_file)


def write_package(model: keras.Model, metadata: Mapping[str, Any], models: Path) -> ModelPackage:
    """Saves a model; equal weights give an equal file, byte for byte.

    Args:
        model: From (batch, height, width, 3) float32 RGB in 0-255 to (batch, classes) float32.
        metadata: JSON values; at least ``labels``, ``height`` and ``width``.
        models: The package becomes the sub-folder named by its digest.

    Returns:
        The package.
    """
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=models, prefix=".") as scratch:
        files = Path(scratch) / "files"
        files.mkdir()
        model.save(files / MODEL_FILE)
        normalise(files / MODEL_FILE)
        digest = digest_of(files / MODEL_FILE)
        text = json.dumps({**metadata, "model_digest": digest}, indent=2, sort_keys=True)
        (files / METADATA_FILE).write_text(text + "\n")
        ModelCard.read(files / METADATA_FILE)
        return _put_in_place(files, models / digest, {MODEL_FILE: digest, METADATA_FILE: None})


def find_logged(client: MlflowClient, run: Run, digest: str) -> str | None:
    """URI of the model of that digest that a run has already logged completely, if any."""
    from mlflow.entities import LoggedModelStatus

    found = client.search_logged_models(
        [run.info.experiment_id], filter_string=f"source_run_id = '{run.info.run_id}'"
    )
    for model in found:
        complete = model.status == LoggedModelStatus.READY
        if complete and model.tags.get(MODEL_DIGEST_TAG) == digest:
            return str(model.model_uri)
    return None


def log_package(
    client: MlflowClient, run: Run, package: ModelPackage, params: Mapping[str, str]
) -> str:
    """Logs a package as an MLflow model of a run: models-from-code, no pickle.

    Args:
        client: Of the server.
        run: The run that made the model.
        package: What to log.
        params: Shown with the model.

    Returns:
        The URI that ``mlflow.pyfunc.load_model`` takes; the earlier one when the run has already
        logged this digest.
    """
    from mlflow.entities import LoggedModelOutput

    earlier = find_logged(client, run, package.digest)
    if earlier:
        return earlier
    logged = client.create_logged_model(
        run.info.experiment_id,
        name="model",
        source_run_id=run.info.run_id,
        tags={MODEL_DIGEST_TAG: package.digest},
        params=dict(params),
        model_type="image classifier",
    )
    with tempfile.TemporaryDirectory(prefix="darkroom-") as scratch:
        folder = Path(scratch) / "model"
        _save_pyfunc(package, folder, model_id=logged.model_id, run_id=run.info.run_id)
        client.log_model_artifacts(logged.model_id, str(folder))
    client.log_outputs(run.info.run_id, [LoggedModelOutput(logged.model_id, step=0)])
    client.finalize_logged_model(logged.model_id, "READY")
    return str(logged.model_uri)


def fetch_package(
    client: MlflowClient,
    model_uri: str,
    digest: str,
    models: Path,
    metadata_digest: str | None = None,
) -> ModelPackage:
    """Brings a logged model's files to this machine.

    Args:
        client: Of the server.
        model_uri: What `log_package` returned.
        digest: SHA-256 of its ``model.keras``.
        models: Folder of packages; one that is already there and intact is used as it is.
        metadata_digest: SHA-256 of its ``model.json``; None where nobody has noted it.

    Returns:
        The package.

    Raises:
        GateFailedError: A file is not the one that was logged.
        DarkroomError: The files cannot be fetched.
    """
    target = models / digest
    digests = {MODEL_FILE: digest, METADATA_FILE: metadata_digest}
    if _is_intact(target, digests):
        return ModelPackage(folder=target, digest=digest)
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=models, prefix=".") as scratch:
        files = Path(scratch) / "files"
        files.mkdir()
        root = client.get_logged_model(model_uri.removeprefix(MODEL_SCHEME)).artifact_location
        for name, logged in digests.items():
            _download(client, f"{root}/{ARTIFACT_FOLDER}/{name}", files / name)
            found = digest_of(files / name)
            if logged and found != logged:
                raise GateFailedError(
                    f"{name} of {model_uri} has SHA-256 {found[:12]}, not {logged[:12]} as "
                    "logged: it was changed afterwards, train again"
                )
        return _put_in_place(files, target, digests)


def _save_pyfunc(package: ModelPackage, folder: Path, *, model_id: str, run_id: str) -> None:
    import mlflow.pyfunc
    from mlflow.models import Model

    card = package.card
    # It says that pip is missing, which it is by intention, and what it is doing.
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="darkroom-") as scratch:
        # MLflow runs the model's code once to find the model in it: that imports no Keras.
        mlflow.pyfunc.save_model(
            folder,
            mlflow_model=Model(run_id=run_id, model_id=model_id, model_uuid=model_id),
            python_model=str(MODEL_CODE),
            artifacts={name: str(package.folder / name) for name in (MODEL_FILE, METADATA_FILE)},
            code_paths=[str(_copy_pixel_path(Path(scratch) / "darkroom"))],
            signature=_signature(),
            input_example=_example(card),
            # Given, so that MLflow need not load the model to guess them.
            pip_requirements=_requirements(),
            metadata=package.metadata,
        )


def _copy_pixel_path(target: Path) -> Path:
    source = Path(__file__).parents[1]
    target.mkdir()
    (target / "__init__.py").write_text(_EXTENDABLE_PACKAGE)
    for name in PIXEL_PATH_PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source / name, target / name, ignore=ignored)
    return target


def _signature() -> ModelSignature:
    from mlflow.models.signature import ModelSignature
    from mlflow.types.schema import Array, ColSpec, DataType, Schema

    return ModelSignature(
        inputs=Schema([ColSpec(DataType.binary, "image")]),
        outputs=Schema(
            [
                ColSpec(DataType.string, "label", required=False),
                ColSpec(DataType.float, "probability", required=False),
                ColSpec(Array(DataType.float), "probabilities", required=False),
            ]
        ),
    )


def _example(card: ModelCard) -> Any:
    """One encoded picture of the model's own size, drawn: training images stay where they are."""
    import pandas as pd
    from PIL import Image

    picture = Image.linear_gradient("L").resize((card.width, card.height)).convert("RGB")
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return pd.DataFrame({"image": [stream.getvalue()]})


def _requirements() -> list[str]:
    names = ("mlflow", *REQUIREMENTS)
    return [f"{name}=={importlib.metadata.version(name)}" for name in names]


def _download(client: MlflowClient, uri: str, target: Path) -> None:
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        try:
            fetched = download_artifacts(
                artifact_uri=uri, dst_path=scratch, tracking_uri=client.tracking_uri
            )
        except MlflowException as error:
            raise DarkroomError(f"cannot fetch {uri}: {one_line(error)}") from None
        os.replace(fetched, target)


def _is_intact(folder: Path, digests: Mapping[str, str | None]) -> bool:
    return all(
        (folder / name).is_file() and digest in (None, digest_of(folder / name))
        for name, digest in digests.items()
    )


def _put_in_place(files: Path, target: Path, digests: Mapping[str, str | None]) -> ModelPackage:
    """Renames a complete package to its final place, unless an intact one is there."""
    if not _is_intact(target, digests):
        shutil.rmtree(target, ignore_errors=True)
        os.replace(files, target)
    return ModelPackage(folder=target, digest=target.name)
