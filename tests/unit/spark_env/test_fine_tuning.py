"""What of a backbone is trained, and what its head begins as."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from darkroom.backbones.catalog import Backbone
from darkroom.contract import (
    ConfigError,
    GateConfig,
    HeadKind,
    PipelineConfig,
    SourceConfig,
    TuningConfig,
    Workspace,
)
from darkroom.stages import tune as tune_stage
from darkroom.tuning.data import TrainData
from darkroom.tuning.fine_tuning import (
    FIRST_HEAD,
    HEAD_LAYER,
    SMALLEST_LOGIT,
    fine_tune_network,
    set_first_head,
)
from darkroom.tuning.head_fits import HeadFit, fit_head

SIDE, CLASSES = 6, 3


@pytest.fixture(scope="module")
def backbone_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model within a model; the inner one was saved frozen."""
    import keras

    keras.utils.set_random_seed(5)
    layers = keras.layers
    inner = keras.Sequential(
        [
            keras.Input((4, 4, 4)),
            layers.BatchNormalization(name="norm"),
            layers.Conv2D(5, 3, name="second"),
            layers.BatchNormalization(name="last_norm"),
        ],
        name="inner",
    )
    inner.trainable = False
    pixels = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(4, 3, name="first")(layers.Rescaling(1 / 255)(pixels))
    file = tmp_path_factory.mktemp("backbone") / "nested.keras"
    keras.Model(pixels, layers.GlobalAveragePooling2D()(inner(x))).save(file)
    return file


@pytest.mark.parametrize(("last_layers", "names"), [(1, {"second"}), (2, {"first", "second"})])
def test_the_last_layers_are_trained_and_no_normalisation(
    last_layers: int, names: set[str], backbone_file: Path
) -> None:
    network = fine_tune_network(backbone_file, CLASSES, last_layers)
    assert {weight.path.split("/")[-2] for weight in network.trainable_weights} == {
        *names,
        HEAD_LAYER,
    }
    assert network.input_shape == (None, SIDE, SIDE, 3)
    assert network.output_shape == (None, CLASSES)


def test_a_backbone_with_fewer_layers(backbone_file: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        fine_tune_network(backbone_file, CLASSES, 3)
    assert str(refused.value) == (
        "tuning.fine_tune.last_layers = 3: this backbone has 2 layers with weights: give at most "
        "that many"
    )


def test_a_saved_model(tmp_path: Path) -> None:
    folder = tmp_path / "network"
    folder.mkdir()
    (folder / "saved_model.pb").touch()
    config = PipelineConfig(
        name="signs",
        function="f",
        view="v",
        source=SourceConfig(path="unused"),
        gate=GateConfig(thresholds={"accuracy": 0.5}, min_test_images=1),
        tuning=TuningConfig(heads=(HeadKind.FINE_TUNE.value,)),
    )
    data = TrainData(
        spark=None,  # type: ignore[arg-type]
        lake=None,  # type: ignore[arg-type]
        config=config,
        images_snapshot=0,
        splits_snapshot=0,
    )
    backbone = Backbone(name=str(folder), height=8, width=8, length=3, weights_digest="")
    with pytest.raises(ConfigError) as refused:
        tune_stage._pictures(data, backbone, Workspace(tmp_path))
    assert str(refused.value) == (
        f"tuning.heads = 'fine_tune': {folder}, a SavedModel, cannot be trained: save it as a "
        ".keras file"
    )


def test_training_begins_with_the_head_of_the_frozen_features(backbone_file: Path) -> None:
    import keras

    random = np.random.default_rng(2)
    images = random.integers(0, 255, (30, SIDE, SIDE, 3)).astype(np.uint8)
    truths = np.arange(30) % 2  # The third class has no image.

    def batches() -> Iterator[tuple[NDArray[Any], NDArray[np.int64]]]:
        for start in range(0, 30, 8):
            yield images[start : start + 8], truths[start : start + 8]

    head_fit = HeadFit(classes=CLASSES, point=FIRST_HEAD, max_iterations=50)
    network = fine_tune_network(backbone_file, CLASSES, 1)
    set_first_head(head_fit, network, batches())
    backbone = keras.saving.load_model(backbone_file, compile=False)
    vectors = np.asarray(backbone(images.astype(np.float32)))
    expected = fit_head(vectors, truths, head_fit).probabilities(vectors)
    answers = np.asarray(network(images.astype(np.float32)))
    np.testing.assert_allclose(answers, expected, atol=1e-5)
    assert network.get_layer(HEAD_LAYER).bias.numpy()[2] == SMALLEST_LOGIT
