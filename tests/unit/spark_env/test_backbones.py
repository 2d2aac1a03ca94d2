"""Backbones: resolving names and weights, and loading them through the path real weights take."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from darkroom.backbones import embedded
from darkroom.backbones.catalog import resolve
from darkroom.contract import ConfigError


@pytest.fixture(scope="module")
def mobilenet_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seeded weights of MobileNetV2 without its top, in Keras' weights format."""
    import keras

    keras.utils.set_random_seed(3)
    network = keras.applications.MobileNetV2(
        include_top=False, weights=None, pooling="avg", input_shape=(224, 224, 3)
    )
    file = tmp_path_factory.mktemp("weights") / "mobilenet_v2.weights.h5"
    network.save_weights(file)
    return file


def pixels(size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, size, size, 3)).astype(np.float32)


def test_keras_backbone_equals_keras_own_preprocessing(
    mobilenet_weights: Path, tmp_path: Path
) -> None:
    import keras

    backbone = resolve("MobileNetV2", {"MobileNetV2": str(mobilenet_weights)})
    loaded = keras.saving.load_model(backbone.model_file(tmp_path), compile=False)
    reference = keras.applications.MobileNetV2(
        include_top=False, weights=str(mobilenet_weights), pooling="avg", input_shape=(224, 224, 3)
    )
    images = pixels(224)
    expected = reference(keras.applications.mobilenet_v2.preprocess_input(images.copy()))
    np.testing.assert_allclose(loaded(images), expected, rtol=1e-5, atol=1e-6)


def test_other_weights_are_another_key(mobilenet_weights: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed.weights.h5"
    changed.write_bytes(mobilenet_weights.read_bytes() + b"\0")
    first = resolve("MobileNetV2", {"MobileNetV2": str(mobilenet_weights)})
    second = resolve("MobileNetV2", {"MobileNetV2": str(changed)})
    assert first.key != second.key
    assert first.key == resolve("MobileNetV2", {"MobileNetV2": str(mobilenet_weights)}).key


def test_missing_weights_file_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve("ResNet50", {"ResNet50": "nowhere.h5"})
    assert str(caught.value) == (
        "features.weights.ResNet50 = 'nowhere.h5': "
        "there is no such file: put it there or correct the path"
    )


def test_wrong_weights_file_is_refused(mobilenet_weights: Path) -> None:
    backbone = resolve("VGG16", {"VGG16": str(mobilenet_weights)})
    with pytest.raises(ConfigError, match=r"^features\.weights\.VGG16 = .* cannot be loaded"):
        backbone.build()


def test_the_embedded_backbone_is_small_and_has_its_width() -> None:
    backbone = resolve("embedded")
    model = backbone.build()
    assert model.output_shape == (None, embedded.FEATURE_WIDTH)
    assert model.count_params() <= 1_500_000
    assert embedded.MODEL_FILE.stat().st_size <= 6_000_000
    assert model(pixels(embedded.INPUT_SIZE)).shape == (2, embedded.FEATURE_WIDTH)


def test_a_model_file_with_a_feature_map_is_pooled(tmp_path: Path) -> None:
    import keras

    inputs = keras.Input((16, 16, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(5, 3)(inputs))
    file = tmp_path / "mine.keras"
    model.save(file)
    backbone = resolve(str(file))
    images = pixels(16)
    np.testing.assert_allclose(
        backbone.build()(images), np.mean(model(images), axis=(1, 2)), rtol=1e-5, atol=1e-4
    )


def test_a_model_file_of_open_size_is_refused(tmp_path: Path) -> None:
    import keras

    inputs = keras.Input((None, None, 3))
    file = tmp_path / "open.keras"
    keras.Model(inputs, keras.layers.Conv2D(5, 3)(inputs)).save(file)
    with pytest.raises(ConfigError, match=r"fix height, width, 3$"):
        resolve(str(file))


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "broken.keras"
    file.write_text("no model")
    with pytest.raises(ConfigError, match=r"Keras cannot load it"):
        resolve(str(file))
