"""Backbones by name: what is resolved, what it is built into, and what tells two apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkroom.backbones import embedded
from darkroom.backbones.catalog import Backbone, resolve
from darkroom.contract import ConfigError
from tests.unit.spark_env.small_network import SIDE, Saved, saved_weights

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    return saved_weights(tmp_path_factory.mktemp("weights"))


def pixels(size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, size, size, 3)).astype(np.float32)


def small(file: Path, **choices: Any) -> Backbone:
    """MobileNet at the size at which the test's weights were made."""
    backbone = resolve("MobileNet", {"MobileNet": str(file)}, **choices)
    return replace(backbone, height=SIDE, width=SIDE)


@pytest.mark.parametrize("pooling", ["avg", "max", "none"])
def test_features_are_keras_own_on_preprocessed_pixels(
    saved: Saved, pooling: str, tmp_path: Path
) -> None:
    import keras

    file = small(saved.whole, pooling=pooling).model_file(tmp_path)
    images = pixels(SIDE)
    maps = saved.maps(keras.applications.mobilenet.preprocess_input(images.copy()))
    expected = {
        "avg": maps.mean(axis=(1, 2)),
        "max": maps.max(axis=(1, 2)),
        "none": maps.reshape(2, -1),
    }[pooling]
    loaded = keras.saving.load_model(file, compile=False)
    assert loaded.input.name == "pixels"
    np.testing.assert_allclose(loaded(images), expected, rtol=1e-4, atol=1e-5 * expected.max())


def test_the_whole_classifier_is_keras_own_with_its_softmax(saved: Saved, tmp_path: Path) -> None:
    import keras

    backbone = small(saved.whole, top=True)
    loaded = keras.saving.load_model(backbone.model_file(tmp_path), compile=False)
    images = pixels(SIDE)
    expected = saved.network(keras.applications.mobilenet.preprocess_input(images.copy()))
    assert backbone.length == 1000
    np.testing.assert_allclose(loaded(images), expected, rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(np.sum(loaded(images), axis=1), 1, rtol=1e-5)


def test_a_model_file_is_made_once(saved: Saved, tmp_path: Path) -> None:
    first = small(saved.bare).model_file(tmp_path)
    made = first.stat().st_mtime_ns
    assert small(saved.bare).model_file(tmp_path) == first
    assert first.stat().st_mtime_ns == made
    assert [file.name for file in tmp_path.iterdir()] == [first.name]


@pytest.mark.parametrize(
    ("name", "pooling", "top", "size", "length"),
    [
        ("ResNet50", "avg", False, 224, 2048),
        ("ResNet50", "max", False, 224, 2048),
        ("ResNet50", "none", False, 224, 7 * 7 * 2048),
        ("ResNet50", "avg", True, 224, 1000),
        ("InceptionV3", "none", False, 299, 131_072),
        ("Xception", "none", False, 299, 204_800),
        ("embedded", "avg", False, 64, embedded.FEATURE_WIDTH),
    ],
)
def test_sizes_are_known_before_anything_is_loaded(
    name: str, pooling: str, top: bool, size: int, length: int
) -> None:
    backbone = resolve(name, pooling=pooling, top=top)
    assert (backbone.height, backbone.width, backbone.length) == (size, size, length)


def test_weights_pooling_and_top_are_part_of_the_key(saved: Saved) -> None:
    keys = [
        small(saved.bare).key,
        small(saved.whole).key,
        small(saved.whole, pooling="max").key,
        small(saved.whole, pooling="none").key,
        small(saved.whole, top=True).key,
        resolve("MobileNet").key,
        resolve("MobileNetV2").key,
    ]
    assert len(set(keys)) == len(keys)
    assert small(saved.whole).key == small(saved.whole).key
    # A classifier has nothing that a pooling could change.
    assert small(saved.whole, top=True, pooling="max").key == small(saved.whole, top=True).key


def test_the_embedded_backbone_is_small_and_has_its_width() -> None:
    model = resolve("embedded").build()
    assert model.output_shape == (None, embedded.FEATURE_WIDTH)
    assert model.count_params() <= 1_500_000
    assert embedded.MODEL_FILE.stat().st_size <= 6_000_000
    assert model(pixels(embedded.INPUT_SIZE)).shape == (2, embedded.FEATURE_WIDTH)


@pytest.mark.parametrize(
    ("name", "choices", "message"),
    [
        (
            "ResNet5",
            {},
            "features.backbones = 'ResNet5': unknown backbone, "
            "did you mean ResNet50 or ResNet152 or ResNet50V2?",
        ),
        (
            "resnet50",
            {},
            "features.backbones = 'resnet50': unknown backbone, "
            "did you mean ResNet50 or ResNet50V2 or ResNet152?",
        ),
        (
            "ResNet50",
            {"pooling": "mean"},
            "pooling = 'mean': no such pooling, did you mean max?",
        ),
        (
            "embedded",
            {"top": True},
            "features.backbones = 'embedded': it has no classifier, only features: name a "
            "classifier of keras.applications, or train one on the features",
        ),
        (
            "embedded",
            {"pooling": "max"},
            "pooling = 'max': the embedded backbone pools its maps in its own way: leave it at avg",
        ),
    ],
)
def test_refusals_name_the_choice_and_the_remedy(
    name: str, choices: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(name, **choices)
    assert str(caught.value) == message
