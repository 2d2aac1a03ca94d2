"""The model file is a function of the weights, byte for byte."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkroom.contract import DataError
from darkroom.ml.model_files import normalise
from darkroom.registry.package import ModelPackage, write_package

METADATA = {"labels": ["a", "b"], "height": 4, "width": 4, "backbone": "none"}
BUILD = """
import sys, numpy as np
from pathlib import Path
from darkroom.registry.package import write_package
from tests.unit.spark_env.test_package_files import METADATA, small_model
print(write_package(small_model(float(sys.argv[2])), METADATA, Path(sys.argv[1])).digest)
"""


@pytest.fixture(scope="module", autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """Another process that writes a package, started while this one imports Keras too."""
    command = [sys.executable, "-c", BUILD, str(tmp_path_factory.mktemp("there")), "0.5"]
    environment = {
        "PYTHONPATH": ":".join(sys.path),
        "PYTHONHASHSEED": "77",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        yield process


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    """A package that tests only look at."""
    return write_package(small_model(0.5), METADATA, tmp_path_factory.mktemp("here"))


def small_model(weight: float) -> Any:
    """A network with a layer that Keras saves with ids of shared objects."""
    import keras

    keras.utils.clear_session()
    policy = keras.DTypePolicy("float32")
    model = keras.Sequential(
        [
            keras.Input((4, 4, 3), name="pixels"),
            keras.layers.Conv2D(2, 3, dtype=policy, name="conv"),
            keras.layers.GlobalAveragePooling2D(dtype=policy, name="pool"),
            keras.layers.Dense(2, activation="softmax", name="probabilities"),
        ]
    )
    model.set_weights([np.full_like(w, weight) for w in model.get_weights()])
    return model


def test_equal_weights_give_equal_bytes_in_another_process(
    package: ModelPackage, elsewhere: subprocess.Popen[str]
) -> None:
    printed, complaints = elsewhere.communicate()
    assert elsewhere.returncode == 0, complaints
    assert printed.split()[-1] == package.digest


def test_other_weights_give_another_digest(tmp_path: Path) -> None:
    digests = {write_package(small_model(w), METADATA, tmp_path).digest for w in (0.5, 0.25)}
    assert len(digests) == 2
    assert {folder.name for folder in tmp_path.iterdir()} == digests


def test_a_normalised_file_loads_and_predicts_as_before(tmp_path: Path) -> None:
    import keras

    model, file = small_model(0.125), tmp_path / "model.keras"
    model.save(file)
    normalise(file)
    loaded = keras.saving.load_model(file, safe_mode=True)
    pixels = np.random.default_rng(0).uniform(0, 255, (3, 4, 4, 3)).astype(np.float32)
    np.testing.assert_array_equal(model(pixels).numpy(), loaded(pixels).numpy())


def test_nothing_in_the_archive_has_a_date(package: ModelPackage) -> None:
    with zipfile.ZipFile(package.model_file) as archive:
        assert {member.date_time[0] for member in archive.infolist()} == {1980}
        saved = json.loads(archive.read("metadata.json"))["date_saved"]
        config = archive.read("config.json").decode()
    assert saved == "1980-01-01@00:00:00"
    assert '"shared_object_id": 0' in config


def test_the_card_lies_beside_the_model(package: ModelPackage) -> None:
    assert package.card.labels == ("a", "b")
    stored = json.loads((package.folder / "model.json").read_text())
    assert stored == {**METADATA, "model_digest": package.digest}


def test_a_damaged_package_is_replaced(tmp_path: Path) -> None:
    package = write_package(small_model(0.5), METADATA, tmp_path)
    package.model_file.write_bytes(b"damaged")
    again = write_package(small_model(0.5), METADATA, tmp_path)
    assert again == package
    assert zipfile.is_zipfile(package.model_file)


def test_a_package_without_labels_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not describe a model"):
        write_package(small_model(0.5), {"height": 4, "width": 4}, tmp_path)
    assert list(tmp_path.iterdir()) == []
