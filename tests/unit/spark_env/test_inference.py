"""Images in, predictions out: order, batches, errors, and how much is in memory at a time."""

from __future__ import annotations

import dataclasses
import gc
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darkroom.contract import DataError
from darkroom.ml import inference
from darkroom.ml.answers import float_lists
from darkroom.ml.engines import Engine, PreparedModel, TensorSpec
from darkroom.ml.inference import (
    ImageSource,
    Prediction,
    image_predictor,
    map_batches,
    predictions,
)
from tests.unit.spark_env.pictures import encode, noise, photo

SIDE = 8
MODEL = PreparedModel(
    Engine.OPENVINO,
    "mean.xml",
    (TensorSpec("pixels", (SIDE, SIDE, 3), "float32"),),
    (TensorSpec("mean", (1,), "float32"),),
)


@pytest.fixture(autouse=True)
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A model that answers the mean of the pixels; the list has the size of each forward pass."""
    sizes: list[int] = []

    def forward(arrays: dict[str, Any]) -> dict[str, Any]:
        pixels = arrays["pixels"]
        assert pixels.dtype == np.float32
        sizes.append(len(pixels))
        return {"mean": pixels.reshape(len(pixels), -1).mean(axis=1, keepdims=True)}

    monkeypatch.setattr(inference, "load", lambda prepared: forward)
    return sizes


def grey(level: int) -> Any:
    """An encoded picture whose every pixel is the same."""
    from PIL import Image

    return encode(Image.new("RGB", (SIDE, SIDE), (level,) * 3))


def value_of(prediction: Prediction) -> float | None:
    return None if prediction.value is None else float(prediction.value[0])


def test_every_kind_of_image_is_answered_in_its_place() -> None:
    images: list[ImageSource] = [
        grey(10),
        None,
        b"no picture",
        np.full((3, 5, 3), 20, np.uint8),
        np.full((SIDE, SIDE, 3), 0.5, np.float32),
        lambda: grey(30),
        lambda: None,
        lambda: dict[str, bytes]()["gone"],
        np.zeros((4, 4), np.float32),
    ]

    found = image_predictor(MODEL)(images)

    assert [value_of(one) for one in found] == [10, None, None, 20, 0.5, 30, None, None, None]
    assert [one.error for one in found] == [
        None,
        None,
        "NOT_AN_IMAGE: no known image format starts with bytes 6e 6f 20 70 69 63 74 75 72 65",
        None,
        None,
        None,
        None,
        "KeyError: 'gone'",
        "pixels must be (height, width, 3) of uint8, or (8, 8, 3) of any type, not (4, 4) of "
        "float32",
    ]


def test_nothing_usable_never_loads_a_model(passes: list[int]) -> None:
    assert image_predictor(MODEL)([None, b""])[0] == Prediction(None)
    assert passes == []


def test_a_forward_pass_is_cut_by_pixels(
    passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(inference.PASS_PIXELS, Engine.OPENVINO, 4 * SIDE * SIDE + 1)

    assert len(image_predictor(MODEL)([grey(level) for level in range(10)])) == 10
    assert passes == [4, 4, 2]


def test_an_image_larger_than_a_pass_goes_alone(
    passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(inference.PASS_PIXELS, Engine.OPENVINO, 1)

    image_predictor(MODEL)([grey(1), grey(2)])

    assert passes == [1, 1]


def test_few_images_are_read_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(inference.PASS_PIXELS, Engine.OPENVINO, 2 * SIDE * SIDE)
    monkeypatch.setattr(inference, "AHEAD_PIXELS", 5 * SIDE * SIDE)
    read = 0

    def images() -> Iterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield grey(7)

    endless = predictions(images(), MODEL)

    for answered in range(1, 20):
        assert value_of(next(endless)) == 7
        assert read <= answered + 2 + 5
    endless.close()  # type: ignore[attr-defined]


def images_of(batch: pa.RecordBatch) -> list[ImageSource]:
    return [np.full((SIDE, SIDE, 3), n, np.float32) for n in batch.column("n").to_pylist()]


def finish(batch: pa.RecordBatch, found: Sequence[Prediction]) -> pa.RecordBatch:
    assert batch.num_rows == len(found)
    column = float_lists([one.value for one in found])
    return batch.append_column("mean", column)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 9), max_size=8), st.integers(1, 7), st.integers(1, 5))
def test_rows_keep_their_order_across_the_borders_of_batches(
    lengths: list[int], per_pass: int, per_answer: int
) -> None:
    numbers = iter(range(100))
    batches = [
        pa.record_batch({"n": pa.array([next(numbers) for _ in range(length)], pa.int64())})
        for length in lengths
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(inference.PASS_PIXELS, Engine.OPENVINO, per_pass * SIDE * SIDE)
        patch.setattr(inference, "ANSWER_ROWS", per_answer)
        answers = list(map_batches(batches, MODEL, images_of, finish))

    rows = [row for answer in answers for row in answer.to_pylist()]
    assert rows == [{"n": n, "mean": [n]} for n in range(sum(lengths))]
    assert all(0 < answer.num_rows <= per_answer for answer in answers)


def test_a_forward_pass_takes_rows_of_several_batches(
    passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(inference.PASS_PIXELS, Engine.OPENVINO, 6 * SIDE * SIDE)
    batches = [pa.record_batch({"n": [n]}) for n in range(12)]

    assert len(list(map_batches(batches, MODEL, images_of, finish))) == 12
    assert passes == [6, 6]


class Ring:
    """Refers to itself: nothing but a garbage collection ends it."""

    def __init__(self) -> None:
        self.self = self


def test_collections_pass_over_a_loaded_model_and_end_what_the_one_before_has_left() -> None:
    batch = pa.record_batch({"n": [1]})
    first, second = (dataclasses.replace(MODEL, file=f"{name}.xml") for name in ("one", "two"))
    left = Ring()
    ended = weakref.ref(left)

    list(map_batches([batch], first, images_of, finish))
    assert gc.get_freeze_count() > 10_000
    del left
    gc.collect()
    assert ended() is not None

    list(map_batches([batch], first, images_of, finish))
    assert ended() is not None
    list(map_batches([batch], second, images_of, finish))
    assert ended() is None


def test_large_outputs_are_answered_in_smaller_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "ANSWER_BYTES", 8)  # Two values of four bytes.
    batch = pa.record_batch({"n": list(range(5))})

    parts = [part.num_rows for part in map_batches([batch], MODEL, images_of, finish)]

    assert parts == [2, 2, 1]


@pytest.mark.parametrize(
    ("inputs", "shown"),
    [
        ((TensorSpec("x", (None, None, 3), "float32"),), "x (batch, None, None, 3)"),
        (MODEL.inputs * 2, "pixels (batch, 8, 8, 3), pixels (batch, 8, 8, 3)"),
    ],
)
def test_a_model_of_something_else_is_refused(inputs: tuple[TensorSpec, ...], shown: str) -> None:
    other = PreparedModel(Engine.OPENVINO, "other.xml", inputs, MODEL.outputs)

    with pytest.raises(DataError) as caught:
        image_predictor(other)

    assert str(caught.value) == (
        "other.xml is no model of images: it needs one input (batch, height, width, 3) of fixed "
        f"size and one output, and has inputs {shown} and outputs mean (batch, 1)"
    )


def test_a_real_picture_is_resized(tmp_path: Path) -> None:
    from darkroom.images import resize_rgb

    (found,) = image_predictor(MODEL)([photo(3, side=40)])

    expected = resize_rgb(noise(3, 40), SIDE, SIDE).astype(np.float32).mean()
    assert value_of(found) == pytest.approx(float(expected), rel=1e-6)
