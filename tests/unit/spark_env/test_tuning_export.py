"""The exported network computes what it is said to compute."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from darkroom.contract import DarkroomError
from darkroom.tuning.export import check_parity, portable_model
from darkroom.tuning.head import Head

HEAD = Head(
    kernel=np.array([[0.01, 0.0], [0.0, 0.02], [0.0, 0.0]]),
    bias=np.array([0.5, -0.5]),
)
IDS = ["image-one", "image-two"]


class MeanColour:
    """A backbone whose features are the mean red, green and blue."""

    height = 4
    width = 6

    def build(self) -> Any:
        import keras

        return keras.Sequential([keras.Input((4, 6, 3)), keras.layers.GlobalAveragePooling2D()])


def test_the_exported_model_is_backbone_then_softmax() -> None:
    model = portable_model(MeanColour(), HEAD)
    pixels = np.zeros((2, 4, 6, 3), np.float32)
    pixels[0] += [100, 50, 7]
    logits = np.array([[1.0 + 0.5, 1.0 - 0.5], [0.5, -0.5]])
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model(pixels).numpy(), expected, atol=1e-6)
    assert model.input.name == "pixels"
    assert model.input.shape == (None, 4, 6, 3)
    assert model.output.dtype == "float32"


def test_a_hidden_layer_is_exported_too() -> None:
    random = np.random.default_rng(2)
    deep = Head(
        kernel=random.normal(size=(5, 2)),
        bias=random.normal(size=2),
        hidden_kernel=random.normal(size=(3, 5)) / 100,
        hidden_bias=random.normal(size=5),
    )
    pixels = random.uniform(0, 255, (4, 4, 6, 3)).astype(np.float32)
    expected = deep.probabilities(pixels.mean(axis=(1, 2)))
    model = portable_model(MeanColour(), deep)
    np.testing.assert_allclose(model(pixels).numpy(), expected, atol=1e-5)
    hidden = np.maximum(pixels.mean(axis=(1, 2)) @ deep.hidden_kernel + deep.hidden_bias, 0)
    odds = np.exp(hidden @ deep.kernel + deep.bias)
    np.testing.assert_allclose(expected, odds / odds.sum(axis=1, keepdims=True), atol=1e-5)


def test_equal_probabilities_agree() -> None:
    exported = [np.array([0.25, 0.75], np.float32), np.array([0.5, 0.5], np.float32)]
    expected = [np.array([0.25, 0.75]), np.array([0.50005, 0.49995])]
    assert check_parity(exported, expected, IDS) == pytest.approx(5e-5, rel=1e-2)


@pytest.mark.parametrize(
    ("second", "gap"),
    [
        (np.array([0.501, 0.499], np.float32), "0.001"),
        (np.array([np.nan, np.nan], np.float32), "nan"),
        (None, "inf"),
    ],
)
def test_any_other_probability_stops_the_export(second: Any, gap: str) -> None:
    exported = [np.array([0.25, 0.75], np.float32), second]
    expected = [np.array([0.25, 0.75]), np.array([0.5, 0.5])]
    with pytest.raises(DarkroomError) as refused:
        check_parity(exported, expected, IDS)
    assert str(refused.value) == (
        f"the exported model disagrees with Spark by {gap} on image image-two (at most 0.0001 is "
        "tolerated): compute the features anew with featurize --force, for these are from another "
        "network or machine"
    )


def test_nothing_to_compare_is_no_agreement() -> None:
    with pytest.raises(DarkroomError, match=r"could not be compared with Spark: no train image$"):
        check_parity([], [], [])
