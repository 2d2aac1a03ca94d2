"""Spark's image struct: lossless there and back, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from pyspark.sql import Row

from darkroom.contract import RejectReason
from darkroom.images import (
    ImageRejectedError,
    ImageStruct,
    arrayToImageStruct,
    imageStructToArray,
    imageStructToRGB,
    resize_rgb,
    resizeImage,
    rgb_of,
)
from tests.unit.spark_env.pictures import noise, photo

ARROW_TYPE = pa.struct(
    [
        ("origin", pa.string()),
        *((name, pa.int32()) for name in ("height", "width", "nChannels", "mode")),
        ("data", pa.binary()),
    ]
)
MODES = {
    ("uint8", 1): 0,
    ("uint8", 3): 16,
    ("uint8", 4): 24,
    ("float32", 1): 5,
    ("float32", 3): 21,
    ("float32", 4): 29,
}

arrays = st.sampled_from(sorted(MODES)).flatmap(
    lambda kind: hnp.arrays(
        dtype=kind[0],
        shape=st.tuples(st.integers(1, 5), st.integers(1, 5), st.just(kind[1])),
    )
)


def in_form(struct: ImageStruct, form: str) -> Any:
    fields = struct._asdict()
    arrow = pa.array([fields], ARROW_TYPE)[0]
    return {"tuple": struct, "dict": fields, "row": Row(**fields), "arrow": arrow}[form]


@settings(deadline=None, max_examples=150)
@given(
    array=arrays,
    order=st.sampled_from(["BGR", "RGB"]),
    form=st.sampled_from(["tuple", "dict", "row", "arrow"]),
)
def test_there_and_back_loses_nothing(array: NDArray[Any], order: str, form: str) -> None:
    struct = arrayToImageStruct(array, "here", order)
    assert struct[:5] == ("here", *array.shape, MODES[array.dtype.name, array.shape[2]])
    back = imageStructToArray(in_form(struct, form), order)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)
    back[...] = 0  # a copy, that its owner may write to


@settings(deadline=None, max_examples=50)
@given(array=arrays)
def test_rgb_and_bgr_differ_by_red_and_blue_alone(array: NDArray[Any]) -> None:
    struct = arrayToImageStruct(array, channelOrder="RGB")
    swapped = [2, 1, 0, 3][: array.shape[2]] if array.shape[2] > 1 else [0]
    np.testing.assert_array_equal(imageStructToArray(struct), array[..., swapped])


def test_the_struct_is_blue_first_row_by_row() -> None:
    red_then_blue = np.array([[[255, 1, 0], [0, 2, 254]]], dtype=np.uint8)
    struct = arrayToImageStruct(red_then_blue, "x", channelOrder="RGB")
    assert struct == ("x", 1, 2, 3, 16, bytes([0, 1, 255, 254, 2, 0]))


def test_grey_may_come_without_a_channel_axis() -> None:
    struct = arrayToImageStruct(np.array([[1.5, 2.5]], dtype=np.float32), channelOrder="L")
    assert struct[1:] == (1, 2, 1, 5, bytes.fromhex("0000c03f00002040"))
    np.testing.assert_array_equal(imageStructToArray(struct, "L"), [[[1.5], [2.5]]])


def test_a_view_with_steps_is_stored_in_order() -> None:
    array = noise(1)[::2, ::-3]
    np.testing.assert_array_equal(imageStructToArray(arrayToImageStruct(array)), array)


@pytest.mark.parametrize(
    ("array", "order", "kind", "text"),
    [
        ([[1]], "BGR", TypeError, "array of type list: give a NumPy array"),
        (
            np.zeros((2, 2, 3)),
            "BGR",
            TypeError,
            "array of dtype float64: give uint8 (0-255) or float32, for example "
            "array.astype('float32')",
        ),
        (
            np.zeros((2, 2, 2), np.uint8),
            "BGR",
            ValueError,
            "array of shape (2, 2, 2): give (height, width) or (height, width, channels) with "
            "1, 3 or 4 channels, none of them 0",
        ),
        (
            np.zeros((0, 2, 3), np.uint8),
            "BGR",
            ValueError,
            "array of shape (0, 2, 3): give (height, width) or (height, width, channels) with "
            "1, 3 or 4 channels, none of them 0",
        ),
        (
            np.zeros((2, 2, 3), np.uint8),
            "rgb",
            ValueError,
            "channelOrder = 'rgb': use one of BGR, RGB, L",
        ),
        (
            np.zeros((2, 2, 3), np.uint8),
            "L",
            ValueError,
            "channelOrder = 'L': the picture has 3 channels, use BGR or RGB",
        ),
    ],
)
def test_arrays_that_are_no_picture(
    array: Any, order: str, kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind) as caught:
        arrayToImageStruct(array, channelOrder=order)
    assert str(caught.value) == text


GOOD = arrayToImageStruct(noise(1), "a")
CONTRADICTIONS = [
    (
        GOOD._replace(mode=17),
        "mode = 17: no such OpenCV type here, use one of 0 (uint8 x 1), 16 (uint8 x 3), "
        "24 (uint8 x 4), 5 (float32 x 1), 21 (float32 x 3), 29 (float32 x 4)",
    ),
    (GOOD._replace(nChannels=4), "nChannels = 4: mode 16 (uint8) has 3"),
    (GOOD._replace(height=0), "height x width = 0 x 24: each must be at least 1"),
    (GOOD._replace(data=b"123"), "data of 3 bytes: 24 x 24 x 3 of uint8 need 1728"),
    (
        GOOD._replace(height=2**31 - 1, width=2**31 - 1),
        "data of 1728 bytes: 2147483647 x 2147483647 x 3 of uint8 need 13835058042397261827",
    ),
]


@pytest.mark.parametrize(("struct", "text"), CONTRADICTIONS)
def test_structs_that_contradict_themselves(struct: ImageStruct, text: str) -> None:
    with pytest.raises(ValueError, match=r"\S") as caught:
        imageStructToArray(struct)
    assert str(caught.value) == text
    with pytest.raises(ImageRejectedError) as rejected:
        rgb_of(struct)
    assert (rejected.value.reason, rejected.value.detail) == (RejectReason.CORRUPT, text)


def test_what_spark_could_not_decode_is_no_image() -> None:
    undefined = ImageStruct("file:/a.txt", -1, -1, -1, -1, b"")
    with pytest.raises(ImageRejectedError) as rejected:
        rgb_of(undefined)
    assert str(rejected.value) == "NOT_AN_IMAGE: the struct holds no picture (mode = -1)"


@pytest.mark.parametrize("value", [7, None, "photo.jpg", {"data": b""}])
def test_other_values_are_a_wrong_column(value: Any) -> None:
    expected = (
        f"image of type {type(value).__name__}: give Spark's image struct with the fields "
        "origin, height, width, nChannels, mode, data"
    )
    for function in (rgb_of, imageStructToArray):
        with pytest.raises(TypeError) as caught:
            function(value)
        assert str(caught.value) == expected


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, lambda data: pa.scalar(data)])
def test_encoded_bytes_in_any_wrapping(wrap: Any) -> None:
    np.testing.assert_array_equal(rgb_of(wrap(photo(4))), noise(4))


@pytest.mark.parametrize("form", ["tuple", "dict", "row", "arrow"])
def test_a_struct_gives_the_pixels_of_its_file(form: str) -> None:
    struct = arrayToImageStruct(noise(4), channelOrder="RGB")
    np.testing.assert_array_equal(rgb_of(in_form(struct, form)), noise(4))


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([[[7]]], np.uint8), [7, 7, 7]),
        (np.array([[[200, 0, 0, 128]]], np.uint8), [227, 127, 127]),
        (np.array([[[0.5, 0.25, 1]]], np.float32), [128, 64, 255]),
        (np.array([[[300, -1, 99.6]]], np.float32), [255, 0, 100]),
        (np.array([[[2.4]]], np.float32), [2, 2, 2]),
    ],
)
def test_grey_alpha_and_floating_point_become_rgb(array: NDArray[Any], expected: list[int]) -> None:
    struct = arrayToImageStruct(array, channelOrder="RGB")
    np.testing.assert_array_equal(imageStructToRGB(struct), [[expected]])


def test_resizing_a_struct_is_the_one_resize() -> None:
    struct = resizeImage(arrayToImageStruct(noise(5), "x", "RGB"), 7, 11)
    assert (struct.origin, struct.height, struct.width, struct.mode) == ("x", 7, 11, 16)
    np.testing.assert_array_equal(imageStructToArray(struct, "RGB"), resize_rgb(noise(5), 7, 11))


@settings(deadline=None, max_examples=40)
@given(array=arrays, height=st.integers(1, 6), width=st.integers(1, 6))
def test_resizing_keeps_dtype_and_channels(array: NDArray[Any], height: int, width: int) -> None:
    resized = resizeImage(array, height, width)
    assert resized.shape == (height, width, array.shape[2])
    assert resized.dtype == array.dtype


def test_floating_point_is_not_rounded_or_clipped_when_resized() -> None:
    array = np.array([[-1000.0, 1000.5]], dtype=np.float32)
    np.testing.assert_allclose(resizeImage(array, 1, 1), [[[0.25]]], atol=1e-3)


def test_resizing_nothing_gives_nothing() -> None:
    assert resizeImage(None, 2, 2) is None


@pytest.mark.parametrize(("size", "name"), [((0, 5), "height"), ((5, 2.5), "width")])
def test_sizes_are_whole_numbers(size: Any, name: str) -> None:
    value = size[0] if name == "height" else size[1]
    with pytest.raises(ValueError, match=f"^{name} = {value}: give a whole number of at least 1$"):
        resizeImage(noise(1), *size)
