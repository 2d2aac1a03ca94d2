"""Reading at a network's size: the pixels of a full decode, sooner."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ExifTags, Image

from darkroom.contract import RejectReason
from darkroom.images import ImageRejectedError, decode_rgb, read_rgb, resize_rgb
from tests.unit.spark_env.pictures import encode, noise, photo


def smooth(width: int, height: int) -> Image.Image:
    """A picture with structure in every corner, none of it finer than JPEG keeps."""
    few = Image.fromarray(noise(5, 6))
    return few.resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(("width", "height"), [(64, 48), (31, 63), (16, 16), (5, 200)])
def test_a_small_jpeg_has_the_pixels_of_a_full_decode(width: int, height: int) -> None:
    data = encode(smooth(width, height), "JPEG")

    np.testing.assert_array_equal(read_rgb(data, 32, 32), resize_rgb(decode_rgb(data), 32, 32))


@pytest.mark.parametrize("image_format", ["PNG", "BMP", "GIF"])
def test_other_formats_have_the_pixels_of_a_full_decode(image_format: str) -> None:
    data = photo(1, image_format, side=200)

    np.testing.assert_array_equal(read_rgb(data, 16, 16), resize_rgb(decode_rgb(data), 16, 16))


@pytest.mark.parametrize("scale", [4, 9, 17])
def test_a_large_jpeg_has_almost_the_pixels_of_a_full_decode(scale: int) -> None:
    data = encode(smooth(32 * scale, 32 * scale), "JPEG", quality=90)

    ours = read_rgb(data, 32, 32).astype(int)

    full = resize_rgb(decode_rgb(data), 32, 32).astype(int)
    assert np.abs(ours - full).max() <= 6
    assert np.abs(ours - full).mean() <= 0.7


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_large_jpeg_is_upright_and_of_the_size(orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data = encode(smooth(400, 250), "JPEG", quality=90, exif=exif)

    ours = read_rgb(data, 20, 44).astype(int)

    assert ours.shape == (20, 44, 3)
    assert np.abs(ours - resize_rgb(decode_rgb(data), 20, 44)).mean() <= 0.7


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_large_jpeg_of_another_mode_is_rgb(mode: str) -> None:
    data = encode(smooth(400, 400).convert(mode), "JPEG", quality=90)

    ours = read_rgb(data, 32, 32).astype(int)

    assert np.abs(ours - resize_rgb(decode_rgb(data), 32, 32)).mean() <= 0.7


def test_a_large_jpeg_that_ends_early_is_refused() -> None:
    data = encode(smooth(800, 800), "JPEG")

    with pytest.raises(ImageRejectedError) as caught:
        read_rgb(data[: len(data) // 2], 32, 32)

    assert caught.value.reason is RejectReason.TRUNCATED
