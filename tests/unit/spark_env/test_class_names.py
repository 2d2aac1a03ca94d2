"""Class names: where ImageNet's come from, and a user's own."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from darkroom.backbones import class_names
from darkroom.backbones.catalog import resolve
from darkroom.backbones.published import Published
from darkroom.contract import ConfigError

INDEX = {str(n): [f"n{n:08d}", f"thing_{n}"] for n in range(1000)}
NAMES = tuple((first, second) for first, second in INDEX.values())


@pytest.fixture
def keras_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    folder = tmp_path / "keras" / "models"
    folder.mkdir(parents=True)
    return folder


def put_index(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Writes a class index that counts as the published one."""
    file = folder / "imagenet_class_index.json"
    file.write_text(json.dumps(INDEX))
    digest = hashlib.md5(file.read_bytes()).hexdigest()
    index = Published(file.name, "https://example.invalid/index.json", digest)
    monkeypatch.setattr(class_names, "CLASS_INDEX", index)
    return file


def test_imagenets_names_come_from_keras_cache(
    keras_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_index(keras_cache, monkeypatch)
    assert resolve("ResNet50", top=True).class_names() == NAMES


def test_a_given_folder_is_looked_into_first(
    keras_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_index(tmp_path, monkeypatch)
    assert not list(keras_cache.iterdir())
    assert resolve("ResNet50", top=True).class_names(tmp_path) == NAMES


def test_without_network_and_file_the_file_and_its_place_are_named(keras_cache: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve("ResNet50", top=True).class_names()
    message = str(caught.value)
    assert message.startswith(
        "class names = 'imagenet': this machine has no imagenet_class_index.json and cannot "
        "download it ("
    )
    assert message.endswith(f"): put that file into {keras_cache}")


def test_another_file_is_refused(keras_cache: Path) -> None:
    file = keras_cache / "imagenet_class_index.json"
    file.write_text("{}")
    with pytest.raises(ConfigError) as caught:
        resolve("ResNet50", top=True).class_names()
    assert str(caught.value) == (
        f"class names = 'imagenet': {file} is damaged or not the file that Keras publishes (digest "
        "c2c37ea517e94d9795004a39431a14cb): replace it, or delete it to have it downloaded"
    )


def test_labels_win_over_imagenets_names() -> None:
    labels = [f"label {n}" for n in range(1000)]
    assert resolve("ResNet50", top=True).class_names(labels=labels)[999] == ("999", "label 999")


def test_features_have_no_class_names() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve("ResNet50").class_names()
    assert str(caught.value) == "top = False: ResNet50 gives features, which have no class names"
