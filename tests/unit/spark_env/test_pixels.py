"""The one pixel path, against pixels known beforehand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from darkroom.contract import RejectReason
from darkroom.images import ImageRejectedError, decode_rgb, resize_rgb
from tests.unit.spark_env.pictures import encode, noise, photo

PIXELS = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)

UPRIGHT = {
    1: PIXELS,
    2: PIXELS[:, ::-1],
    3: PIXELS[::-1, ::-1],
    4: PIXELS[::-1],
    5: PIXELS.transpose(1, 0, 2),
    6: np.rot90(PIXELS, -1),
    7: PIXELS[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90(PIXELS, 1),
}


def rejection(data: bytes) -> ImageRejectedError:
    with pytest.raises(ImageRejectedError) as caught:
        decode_rgb(data)
    return caught.value


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_applied(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = encode(Image.fromarray(PIXELS), exif=exif)
    np.testing.assert_array_equal(decode_rgb(stored), UPRIGHT[orientation])


def test_sixteen_bit_grey_keeps_its_high_byte() -> None:
    grey = np.array([[0, 255, 256, 32768, 65535]], dtype=np.uint16)
    expected = np.repeat(np.array([[[0], [0], [1], [128], [255]]], dtype=np.uint8), 3, axis=2)
    np.testing.assert_array_equal(decode_rgb(encode(Image.fromarray(grey))), expected)


def test_cmyk_becomes_the_colour_that_it_prints() -> None:
    red = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    decoded = decode_rgb(encode(red, "JPEG", quality=95)).astype(int)
    assert np.abs(decoded - np.array([255, 0, 0])).max() <= 3
    np.testing.assert_array_equal(decode_rgb(encode(red, "TIFF"))[0, 0], [255, 0, 0])


def test_transparent_palette_entries_become_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putdata([0, 1])
    decoded = decode_rgb(encode(image, transparency=0))
    np.testing.assert_array_equal(decoded, [[[255, 255, 255], [40, 50, 60]]])


def test_palette_entries_that_are_partly_transparent_are_laid_over_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 40, 50, 60])
    image.putdata([0, 1])
    decoded = decode_rgb(encode(image, transparency=bytes([128, 255])))
    np.testing.assert_array_equal(decoded, [[[127, 127, 127], [40, 50, 60]]])


def test_grey_with_alpha_is_laid_over_white() -> None:
    image = Image.fromarray(np.array([[[0, 255], [0, 128], [0, 0]]], dtype=np.uint8), mode="LA")
    decoded = decode_rgb(encode(image))
    np.testing.assert_array_equal(decoded, [[[0] * 3, [127] * 3, [255] * 3]])


def test_colour_with_alpha_is_laid_over_white() -> None:
    image = Image.new("RGBA", (1, 1), (200, 0, 0, 128))
    np.testing.assert_array_equal(decode_rgb(encode(image)), [[[227, 127, 127]]])


def test_one_bit_pictures_are_black_and_white() -> None:
    image = Image.fromarray(np.array([[0, 255]], dtype=np.uint8)).convert("1")
    np.testing.assert_array_equal(decode_rgb(encode(image)), [[[0] * 3, [255] * 3]])


def test_of_an_animation_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    animation = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decode_rgb(animation)[0, 0], [255, 0, 0])


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_a_cut_file_is_refused(image_format: str, share: float) -> None:
    whole = photo(1, image_format, side=120)
    refused = rejection(whole[: int(len(whole) * share)])
    assert refused.reason is RejectReason.TRUNCATED


def test_damage_inside_is_told_from_a_cut() -> None:
    whole = bytearray(photo(1, side=120))
    middle = len(whole) // 2
    whole[middle : middle + 50] = bytes(50)
    assert rejection(bytes(whole)).reason is RejectReason.CORRUPT


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "EMPTY: the file holds no bytes"),
        (
            b"just words",
            "NOT_AN_IMAGE: no known image format starts with bytes 6a 75 73 74 20 77 6f 72 64 73",
        ),
    ],
)
def test_what_is_no_picture_is_refused(data: bytes, text: str) -> None:
    assert str(rejection(data)) == text


def test_a_bomb_is_refused_by_its_header() -> None:
    bomb = encode(Image.new("1", (10_000, 10_000)))
    # Only the header is left: decoding would fail for another reason.
    refused = rejection(bomb[:64])
    assert str(refused) == "TOO_LARGE: 10000x10000 pixels, the limit is 89478485"


def test_a_bomb_that_pillow_refuses_itself_is_too_large_as_well() -> None:
    refused = rejection(encode(Image.new("1", (20_000, 10_000)))[:64])
    assert refused.reason is RejectReason.TOO_LARGE
    assert "200000000 pixels" in refused.detail


def test_resizing_averages_what_it_shrinks() -> None:
    board = np.indices((8, 8)).sum(axis=0) % 2 * 255
    pixels = np.repeat(board[..., np.newaxis], 3, axis=2).astype(np.uint8)
    shrunk: NDArray[np.int64] = resize_rgb(pixels, 2, 4).astype(np.int64)
    assert shrunk.shape == (2, 4, 3)
    assert np.abs(shrunk - 127.5).max() <= 16


def test_resizing_to_the_same_size_changes_nothing() -> None:
    pixels = noise(3)
    assert resize_rgb(pixels, 24, 24) is pixels
