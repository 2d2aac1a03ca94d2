"""A user's own model files as backbones: what is taken, and the exact text of every refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkroom.backbones.catalog import resolve
from darkroom.contract import ConfigError

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    # TensorFlow's own, of a SavedModel's loader.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorflow"),
]


def pixels(size: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, size, size, 3)).astype(np.float32)


def convolution(**options: Any) -> Any:
    """8x8 RGB to a map of 6x6x5."""
    import keras

    inputs = keras.Input((8, 8, 3), **options)
    taken = keras.ops.cast(inputs, "float32") if options else inputs
    return keras.Model(inputs, keras.layers.Conv2D(5, 3)(taken))


def classifier() -> Any:
    import keras

    inputs = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    return keras.Model(inputs, keras.layers.Dense(4, activation="softmax")(pooled))


def saved(model: Any, file: Path) -> str:
    if file.suffix:
        model.save(file)
    else:
        model.export(file, verbose=False)
    return str(file)


def refusal(name: str, **choices: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve(name, **choices)
    return str(caught.value)


def run(file: Path, images: np.ndarray) -> np.ndarray:
    """Runs a model file of either kind on pixels."""
    if file.is_file():
        import keras

        return np.asarray(keras.saving.load_model(file, compile=False)(images))
    import tensorflow as tf

    called = tf.saved_model.load(str(file)).signatures["serving_default"]
    return np.asarray(called(pixels=tf.constant(images))["vector"])


@pytest.mark.parametrize("form", ["m.keras", "m.h5", "m"])
@pytest.mark.parametrize("pooling", ["avg", "max", "none"])
def test_a_feature_map_is_pooled(tmp_path: Path, form: str, pooling: str) -> None:
    model = convolution()
    backbone = resolve(saved(model, tmp_path / form), pooling=pooling)
    maps = np.asarray(model(pixels()))
    expected = {
        "avg": maps.mean(axis=(1, 2)),
        "max": maps.max(axis=(1, 2)),
        "none": maps.reshape(2, -1),
    }[pooling]
    assert (backbone.height, backbone.width, backbone.length) == (8, 8, expected.shape[1])
    found = run(backbone.model_file(tmp_path / "cache"), pixels())
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("form", ["m.keras", "m.h5", "m"])
def test_a_classifier_is_taken_whole(tmp_path: Path, form: str) -> None:
    model = classifier()
    backbone = resolve(saved(model, tmp_path / form), top=True)
    assert backbone.length == 4
    found = run(backbone.model_file(tmp_path / "cache"), pixels())
    np.testing.assert_allclose(found, model(pixels()), rtol=1e-5, atol=1e-6)
    assert backbone.class_names() == (("0", "0"), ("1", "1"), ("2", "2"), ("3", "3"))
    assert backbone.class_names(labels=["a", "b", "c", "d"])[3] == ("3", "d")


def test_labels_have_to_be_as_many_as_outputs(tmp_path: Path) -> None:
    backbone = resolve(saved(classifier(), tmp_path / "m.keras"), top=True)
    with pytest.raises(ConfigError) as caught:
        backbone.class_names(labels=["a", "b"])
    assert str(caught.value) == "labels = ['a', 'b']: the model has 4 outputs: name each once"


def test_integer_inputs_get_what_they_expect(tmp_path: Path) -> None:
    model = convolution(dtype="uint8")
    backbone = resolve(saved(model, tmp_path / "m.keras"))
    images = pixels()
    expected = np.asarray(model(images.astype(np.uint8))).mean(axis=(1, 2))
    found = run(backbone.model_file(tmp_path / "cache"), images)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-3)


def test_registered_classes_are_found(tmp_path: Path) -> None:
    import keras

    @keras.saving.register_keras_serializable("tests")
    class Halve(keras.layers.Layer):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            return inputs / 2

    inputs = keras.Input((8, 8, 3))
    for form in ("m.keras", "m.h5"):
        name = saved(keras.Model(inputs, Halve()(inputs)), tmp_path / form)
        found = resolve(name).build()(pixels())
        np.testing.assert_allclose(found, pixels().mean(axis=(1, 2)) / 2, rtol=1e-5)


def test_a_class_that_is_not_registered_is_named(tmp_path: Path) -> None:
    import keras

    class Unknown(keras.layers.Layer):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            return inputs

    inputs = keras.Input((8, 8, 3))
    for form in ("m.keras", "m.h5"):
        name = saved(keras.Model(inputs, Unknown()(inputs)), tmp_path / form)
        message = refusal(name)
        assert message.startswith(
            f"features.backbones = '{name}': it holds a custom object that is not registered here ("
        )
        assert message.endswith(
            "): import the module that registers it with keras.saving.register_keras_serializable; "
            "Python workers have to be able to import it too"
        )


def test_a_model_of_ones_own_class_is_taken(tmp_path: Path) -> None:
    import keras

    @keras.saving.register_keras_serializable("tests")
    class Mine(keras.Model):  # type: ignore[misc]
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.dense = keras.layers.Dense(2)

        def call(self, inputs: Any) -> Any:
            return self.dense(keras.ops.mean(inputs, axis=(1, 2)))

    model = Mine()
    expected = np.asarray(model(pixels()))
    backbone = resolve(saved(model, tmp_path / "m.keras"))
    assert (backbone.height, backbone.length) == (8, 2)
    np.testing.assert_allclose(backbone.build()(pixels()), expected, rtol=1e-5)


def test_lambda_layers_are_refused_with_the_remedy(tmp_path: Path) -> None:
    import keras

    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.layers.Lambda(lambda x: x / 2)(inputs))
    for form in ("m.keras", "m.h5"):
        name = saved(model, tmp_path / form)
        assert refusal(name) == (
            f"features.backbones = '{name}': it holds a Lambda layer, whose code Keras does not "
            "run from a file: save it anew with a layer of Keras or a class registered with "
            "keras.saving.register_keras_serializable"
        )


def wrong_models() -> dict[str, Any]:
    import keras

    picture = keras.Input((8, 8, 3))
    return {
        "open": keras.Model(
            (sizes := keras.Input((None, None, 3))), keras.layers.Conv2D(5, 3)(sizes)
        ),
        "grey": keras.Model((grey := keras.Input((8, 8, 1))), keras.layers.Conv2D(5, 3)(grey)),
        "flat": keras.Model((flat := keras.Input((8,))), keras.layers.Dense(2)(flat)),
        "two": keras.Model(
            [picture, (other := keras.Input((8, 8, 3)))], keras.layers.Add()([picture, other])
        ),
        "both": keras.Model(
            picture, [keras.layers.Conv2D(5, 3)(picture), keras.layers.Conv2D(5, 3)(picture)]
        ),
        "rows": keras.Model(picture, keras.layers.Reshape((8, 24))(picture)),
        "unbuilt": keras.Sequential([keras.layers.Dense(2)]),
    }


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("open", "its input is (None, None, None, 3): save it with a fixed (height, width, 3)"),
        ("grey", "its input is (None, 8, 8, 1): save it with a fixed (height, width, 3)"),
        ("flat", "its input is (None, 8): save it with a fixed (height, width, 3)"),
        ("two", "it has several inputs, and a picture is one"),
        ("both", "it has several outputs: save a model with one of them"),
        (
            "rows",
            "its output is (None, 8, 24), not (batch, n) or (batch, rows, columns, n): "
            "save it with such a one",
        ),
        ("unbuilt", "its input is unknown: save it with a fixed (height, width, 3)"),
    ],
)
def test_models_that_take_no_pictures_are_refused(tmp_path: Path, kind: str, message: str) -> None:
    name = saved(wrong_models()[kind], tmp_path / "m.keras")
    assert refusal(name) == f"features.backbones = '{name}': {message}"


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (
            {"pooling": "max"},
            "its output is a vector, so there is nothing to pool: leave pooling at avg",
        ),
        (
            {"top": True},
            "its output is (None, 6, 6, 5), not class probabilities (batch, n): "
            "save it with such a one",
        ),
    ],
)
@pytest.mark.parametrize("form", ["m.keras", "m"])
def test_an_output_that_does_not_fit_is_refused(
    tmp_path: Path, choices: dict[str, Any], message: str, form: str
) -> None:
    model = convolution() if "top" in choices else classifier()
    name = saved(model, tmp_path / form)
    assert refusal(name, **choices) == f"features.backbones = '{name}': {message}"


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.keras"
    broken.write_text("no model")
    assert "': Keras cannot load it: " in refusal(str(broken))
    assert refusal(str(tmp_path)) == (
        f"features.backbones = '{tmp_path}': "
        "this folder is no SavedModel: it holds no saved_model.pb"
    )
    (tmp_path / "saved_model.pb").write_text("no model")
    assert "': TensorFlow cannot load it: " in refusal(str(tmp_path))
    assert refusal("none/m.keras") == (
        "features.backbones = 'none/m.keras': "
        "there is no such file: put it there or correct the path"
    )


def test_a_saved_model_cannot_become_part_of_a_keras_model(tmp_path: Path) -> None:
    backbone = resolve(saved(convolution(), tmp_path / "m"))
    with pytest.raises(ConfigError, match=r"cannot be part of a Keras model: save it as a \.keras"):
        backbone.build()


def test_changed_content_is_another_key(tmp_path: Path) -> None:
    for form in ("m.keras", "m"):
        first = resolve(saved(convolution(), tmp_path / form)).key
        assert resolve(saved(convolution(), tmp_path / form)).key != first
