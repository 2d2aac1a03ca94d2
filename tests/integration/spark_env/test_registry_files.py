"""What a registered model's files are: described, without code that runs on loading, guarded."""

from __future__ import annotations

import base64
import io
import json
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from darkroom.contract import DarkroomError, GateFailedError, Stage
from darkroom.registry.elsewhere import Stranger
from darkroom.registry.package import ModelPackage
from darkroom.registry.versions import METADATA_DIGEST_TAG, Registry
from darkroom.stages.run import StageRun
from tests.integration.spark_env.colour_model import (
    LABELS,
    colour_package,
    decide,
    finished_run,
    lambda_package,
    log_candidate,
)
from tests.integration.spark_env.registry_house import Pipeline

pytest_plugins = (
    "tests.integration.spark_env.mlflow_server",
    "tests.integration.spark_env.registry_house",
)
pytestmark = pytest.mark.integration

NO_CODE = (
    "model.keras holds a Lambda layer, whose code is not run from a file: train a model without it"
)
PICKLE_SUFFIXES = (".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle", ".pt", ".npz")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelPackage, ...]:
    """A model that can be loaded."""
    return (colour_package(tmp_path_factory.mktemp("models")),)


def stored(run: StageRun, mlflow_home: Path) -> Path:
    """Where the server keeps a candidate's files."""
    model_id = run.earlier(Stage.TUNE)["model_uri"].removeprefix("models:/")
    (folder,) = (mlflow_home / "artifacts").rglob(f"{model_id}/artifacts")
    return folder


def own_candidate(pipeline: Pipeline, package: ModelPackage) -> StageRun:
    """A run whose logged files no other test shares."""
    logged = log_candidate.__wrapped__(pipeline.uri, package)
    decision = decide(package.digest)
    return finished_run(pipeline.workspace, pipeline.config.name, "t1", logged, decision)


def members(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """A file and, if it is an archive, all that is in it."""
    yield name, content
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for inner in archive.namelist():
                yield from members(f"{name}/{inner}", archive.read(inner))


def is_pickle(name: str, content: bytes) -> bool:
    """By its name, or by the first bytes of protocol 2 and later."""
    return name.endswith(PICKLE_SUFFIXES) or (content[:1] == b"\x80" and content[1:2] <= b"\x05")


def test_nothing_of_a_model_is_a_pickle(
    pipeline: Pipeline, packages: tuple[ModelPackage, ...], mlflow_home: Path
) -> None:
    folder = stored(pipeline.candidate(packages[0], "t1"), mlflow_home)

    found = {
        name: content
        for file in folder.rglob("*")
        if file.is_file()
        for name, content in members(str(file.relative_to(folder)), file.read_bytes())
    }

    assert {name for name in found if not name.startswith("code/")} == {
        "MLmodel",
        "artifacts/model.json",
        "artifacts/model.keras",
        "artifacts/model.keras/config.json",
        "artifacts/model.keras/metadata.json",
        "artifacts/model.keras/model.weights.h5",
        "conda.yaml",
        "input_example.json",
        "pyfunc_model.py",
        "python_env.yaml",
        "requirements.txt",
        "serving_input_example.json",
    }
    assert {Path(name).suffix for name in found if name.startswith("code/")} == {".py"}
    assert [name for name, content in found.items() if is_pickle(name, content)] == []
    assert is_pickle("x", pickle.dumps(np.zeros(1)))


def test_a_model_says_what_goes_in_and_comes_out(
    pipeline: Pipeline, packages: tuple[ModelPackage, ...], mlflow_home: Path
) -> None:
    folder = stored(pipeline.candidate(packages[0], "t1"), mlflow_home)

    said = yaml.safe_load((folder / "MLmodel").read_text())

    assert json.loads(said["signature"]["inputs"]) == [
        {"name": "image", "type": "binary", "required": True}
    ]
    outputs = {one["name"]: one["type"] for one in json.loads(said["signature"]["outputs"])}
    assert outputs == {"label": "string", "probability": "float", "probabilities": "array"}
    assert said["metadata"] == packages[0].metadata
    assert said["metadata"]["labels"] == list(LABELS)
    (row,) = json.loads((folder / "input_example.json").read_text())["data"]
    with Image.open(io.BytesIO(base64.b64decode(row[0]))) as picture:
        assert (picture.format, picture.size) == ("PNG", (8, 8))


def test_labels_that_were_changed_afterwards_are_refused(
    pipeline: Pipeline, packages: tuple[ModelPackage, ...], mlflow_home: Path
) -> None:
    run = own_candidate(pipeline, packages[0])
    registered = pipeline.register(run)
    file = stored(run, mlflow_home) / "artifacts" / "model.json"
    file.write_text(file.read_text().replace("red", "blu", 1))
    version = Registry(pipeline.config.name, pipeline.client).version("1")

    with pytest.raises(GateFailedError) as caught:
        pipeline.promote(registered, run)

    assert str(caught.value).startswith(f"model.json of {version.source} has SHA-256 ")
    assert str(caught.value).endswith(
        f", not {version.tags[METADATA_DIGEST_TAG][:12]} as logged: it was changed afterwards, "
        "train again"
    )
    assert pipeline.aliases() == {"challenger": "1"}
    assert pipeline.ledger() == []


def test_a_local_copy_that_was_changed_is_fetched_again(
    pipeline: Pipeline, packages: tuple[ModelPackage, ...], tmp_path: Path
) -> None:
    pipeline.register(pipeline.candidate(packages[0], "t1"))
    registry = Registry(pipeline.config.name, pipeline.client)
    package = registry.fetch(registry.version("1"), tmp_path / "models")
    for file in (package.model_file, package.metadata_file):
        intact = file.read_bytes()
        file.write_bytes(intact + b" ")

        registry.fetch(registry.version("1"), tmp_path / "models")

        assert file.read_bytes() == intact


def test_a_candidate_that_was_changed_is_not_registered(
    pipeline: Pipeline, packages: tuple[ModelPackage, ...], mlflow_home: Path
) -> None:
    run = own_candidate(pipeline, packages[0])
    file = stored(run, mlflow_home) / "artifacts" / "model.keras"
    file.write_bytes(file.read_bytes() + b"x")

    with pytest.raises(GateFailedError, match=r"^model\.keras of .* it was changed afterwards"):
        pipeline.register(run)

    assert pipeline.versions() == []


def test_a_model_with_code_in_it_is_not_loaded(tmp_path: Path) -> None:
    from keras.src.saving.serialization_lib import SafeModeScope
    from mlflow.pyfunc.model import PythonModelContext

    from darkroom.registry.pyfunc_model import ImageClassifier

    package = lambda_package(tmp_path)
    files = {file.name: str(file) for file in (package.model_file, package.metadata_file)}
    context = PythonModelContext(files, {})  # type: ignore[no-untyped-call]
    # Also where somebody has switched Keras' safe mode off.
    with SafeModeScope(False), pytest.raises(ValueError, match="Lambda") as caught:
        ImageClassifier().load_context(context)

    assert str(caught.value) == NO_CODE


@pytest.mark.long
def test_a_process_that_loads_a_model_with_code_in_it_ends_with_one_line(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    logged = log_candidate(pipeline.uri, lambda_package(tmp_path / "models"))

    with Stranger(logged["model_uri"]) as stranger:
        stranger.ask([])
        with pytest.raises(DarkroomError) as caught:
            stranger.answer()

    assert str(caught.value) == f"the process ended with 1: ValueError: {NO_CODE}"
