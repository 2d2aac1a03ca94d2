"""The code that travels with every logged model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.pyfunc.model import PythonModelContext

from darkroom.backbones.libraries import import_keras
from darkroom.images import read_rgb
from darkroom.registry.package import write_package
from darkroom.registry.pyfunc_model import ImageClassifier
from tests.unit.spark_env.pictures import photo

SIDE = 8
LABELS = ["bright", "dark", "red"]
BROKEN = b"no picture"


@pytest.fixture(scope="module")
def network() -> Any:
    keras = import_keras()
    keras.utils.set_random_seed(3)
    layers = [
        keras.Input((SIDE, SIDE, 3)),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Flatten(),
        keras.layers.Dense(len(LABELS), activation="softmax"),
    ]
    return keras.Sequential(layers)


@pytest.fixture(scope="module")
def model(network: Any, tmp_path_factory: pytest.TempPathFactory) -> ImageClassifier:
    return loaded(network, SIDE, tmp_path_factory.mktemp("models"))


def loaded(network: Any, side: int, folder: Path) -> ImageClassifier:
    """A network as MLflow loads it."""
    metadata = {"labels": LABELS, "height": side, "width": side}
    package = write_package(network, metadata, folder)
    files = {file.name: str(file) for file in (package.model_file, package.metadata_file)}
    model = ImageClassifier()
    model.load_context(PythonModelContext(files, {}))  # type: ignore[no-untyped-call]
    return model


def answer(model: ImageClassifier, images: list[bytes | None]) -> pd.DataFrame:
    return model.predict(PythonModelContext({}, {}), pd.DataFrame({"image": images}))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("size", [1, 4, 5, 64])
def test_images_are_answered_in_their_order_however_many_go_at_a_time(
    model: ImageClassifier, network: Any, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "_pass_images", size)
    readable = [photo(seed, "JPEG") for seed in range(9)]
    images = [None, *readable[:4], BROKEN, *readable[4:], None]

    found = answer(model, images)

    pixels = np.stack([read_rgb(image, SIDE, SIDE) for image in readable]).astype(np.float32)
    expected = np.asarray(network(pixels, training=False))
    usable = found[found["label"].notna()]
    assert usable.index.tolist() == [1, 2, 3, 4, 6, 7, 8, 9, 10]
    np.testing.assert_allclose(np.stack(usable["probabilities"]), expected, atol=1e-6)
    assert usable["label"].tolist() == [LABELS[best] for best in expected.argmax(1)]
    np.testing.assert_allclose(usable["probability"].to_list(), expected.max(1), atol=1e-6)
    nothing = found[found["label"].isna()]
    assert nothing[["probability", "probabilities"]].isna().all().all()


def test_no_image_and_none_that_is_readable_are_answered_too(model: ImageClassifier) -> None:
    columns = ["label", "probability", "probabilities"]
    assert answer(model, []).columns.tolist() == columns
    assert answer(model, [BROKEN, None]).to_numpy().tolist() == [[None] * 3] * 2


def test_the_graph_is_made_once_for_any_number_of_images(model: ImageClassifier) -> None:
    for count in (1, 2, 7):
        answer(model, [photo(seed, "JPEG") for seed in range(count)])
    assert model._network.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(
    ("side", "images"), [(SIDE, 64), (224, 32), (299, 17), (600, 4), (2000, 1)]
)
def test_large_images_go_fewer_at_a_time(side: int, images: int, tmp_path: Path) -> None:
    keras = import_keras()
    layers = [keras.Input((side, side, 3)), keras.layers.GlobalAveragePooling2D()]
    assert loaded(keras.Sequential(layers), side, tmp_path)._pass_images == images
