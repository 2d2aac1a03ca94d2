"""The table of architectures is Keras' own, row by row."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock, patch

import numpy as np
import pytest

from darkroom.backbones.keras_table import KERAS_TABLE
from darkroom.backbones.published import CLASS_INDEX, Published, published_weights
from darkroom.contract.names import KERAS_BACKBONES

BUILDERS = (
    "layers", "Functional", "Sequential", "conv2d_bn", "_depth", "CustomScaleLayer", "LayerScale",
    "StochasticDepth",
)  # fmt: skip
"""What the modules of keras.applications build networks of, which takes minutes for all."""

SIZE_IN_FILE_NAME = 224
"""MobileNetV3 takes any size; the one it was trained at is in its files' names."""


class AskedError(Exception):
    """Keras asked for a file."""


@pytest.fixture(scope="module")
def published_by_keras() -> dict[tuple[str, bool], tuple[Published, int]]:
    """File and input size for which each architecture asks, without building any."""
    import keras

    found = {}
    for name in KERAS_TABLE:
        for top in (True, False):
            found[name, top] = asked(getattr(keras.applications, name), top)
    return found


def asked(application: Any, top: bool) -> tuple[Published, int]:
    from keras.src.applications import imagenet_utils

    files: list[Published] = []
    sizes: list[int] = []
    obtain = imagenet_utils.obtain_input_shape

    def get_file(file: str, url: str, cache_subdir: str, file_hash: str | None = None) -> None:
        assert cache_subdir == "models"
        files.append(Published(file, url, file_hash or ""))
        raise AskedError

    def obtain_input_shape(*arguments: Any, **options: Any) -> Any:
        sizes.append(options["default_size"])
        return obtain(*arguments, **options)

    with ExitStack() as stack:
        for module in application_modules():
            for builder in BUILDERS:
                if hasattr(module, builder):
                    stack.enter_context(patch.object(module, builder, MagicMock()))
            if hasattr(module, "file_utils"):
                stack.enter_context(patch.object(module.file_utils, "get_file", get_file))
        stack.enter_context(patch.object(imagenet_utils, "obtain_input_shape", obtain_input_shape))
        stack.enter_context(pytest.raises(AskedError))
        application(include_top=top, weights="imagenet")
    return files[0], sizes[0] if sizes else SIZE_IN_FILE_NAME


def application_modules() -> list[ModuleType]:
    start = "keras.src.applications."
    return [module for name, module in sys.modules.items() if name.startswith(start)]


def test_it_has_every_classifier_of_keras_and_no_other() -> None:
    import keras

    names = {name for name in vars(keras.applications) if name[0].isupper()}
    assert set(KERAS_TABLE) == names
    assert tuple(KERAS_TABLE) == KERAS_BACKBONES


@pytest.mark.filterwarnings("ignore:`input_shape` is undefined")
def test_files_and_input_sizes_are_those_keras_asks_for(
    published_by_keras: dict[tuple[str, bool], tuple[Published, int]],
) -> None:
    ours = {
        (name, top): (published_weights(name, top=top), entry.size)
        for name, entry in KERAS_TABLE.items()
        for top in (True, False)
    }
    assert ours == published_by_keras


def test_the_class_names_file_is_the_one_keras_asks_for() -> None:
    from keras.src.applications import imagenet_utils

    asked_for = {}

    def get_file(file: str, url: str, cache_subdir: str, file_hash: str) -> None:
        asked_for["file"] = Published(file, url, file_hash)
        raise AskedError

    with (
        patch.object(imagenet_utils.file_utils, "get_file", get_file),
        patch.object(imagenet_utils, "CLASS_INDEX", None),
        pytest.raises(AskedError),
    ):
        imagenet_utils.decode_predictions(np.zeros((1, 1000)))
    assert asked_for["file"] == CLASS_INDEX


@pytest.mark.parametrize("name", KERAS_TABLE)
def test_the_preprocessing_is_that_of_the_architectures_module(name: str) -> None:
    import keras

    pixels = np.random.default_rng(0).uniform(0, 255, (1, 2, 2, 3)).astype(np.float32)
    defined_in = getattr(keras.applications, name).__module__
    module = getattr(keras.applications, defined_in.rpartition(".")[2])
    mode = KERAS_TABLE[name].preprocessing
    expected = module.preprocess_input(pixels.copy())
    if mode == "inside":
        ours = pixels
    else:
        ours = keras.applications.imagenet_utils.preprocess_input(pixels.copy(), mode=mode)
    np.testing.assert_array_equal(ours, expected)


def test_only_efficientnet_is_built_differently_for_its_published_weights() -> None:
    import inspect

    import keras

    for name, entry in KERAS_TABLE.items():
        module = sys.modules[getattr(keras.applications, name).__module__]
        rescaled = "layers.Rescaling(\n            [1.0 / math.sqrt" in inspect.getsource(module)
        assert entry.rescaled == rescaled, name
