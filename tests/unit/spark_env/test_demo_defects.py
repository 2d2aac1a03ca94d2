"""Each planted file provokes what it declares, through the project's own pixel path."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from darkroom.contract.reasons import RejectReason
from darkroom.images import ImageRejectedError, decode_rgb
from demo.defects import (
    ANIMATED,
    CMYK,
    COPY,
    EXIF_ROTATED,
    GREY_16_BIT,
    ONE_LABEL,
    ORIGINAL,
    OTHER_LABEL,
    PLANTED,
    PlantedFile,
    planted_bytes,
)
from demo.signs import SIGN_CLASSES

UNREADABLE = {RejectReason.TRUNCATED, RejectReason.EMPTY, RejectReason.NOT_AN_IMAGE}


@pytest.fixture(scope="module")
def planted() -> dict[str, bytes]:
    return planted_bytes(seed=7, difficulty=1.0)


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_every_declared_file_is_made_in_a_class_folder(planted: dict[str, bytes]) -> None:
    assert set(planted) == {file.path for file in PLANTED}
    assert {file.label for file in PLANTED} <= set(SIGN_CLASSES)


def test_it_is_made_the_same_each_time(planted: dict[str, bytes]) -> None:
    assert planted_bytes(seed=7, difficulty=1.0) == planted


@pytest.mark.parametrize("file", PLANTED, ids=lambda file: file.path)
def test_the_pixel_path_agrees(planted: dict[str, bytes], file: PlantedFile) -> None:
    if file.reason in UNREADABLE:
        with pytest.raises(ImageRejectedError) as caught:
            decode_rgb(planted[file.path])
        assert caught.value.reason is file.reason
    else:
        assert decode_rgb(planted[file.path]).shape[2] == 3


def test_duplicates_are_exact_and_only_where_declared(planted: dict[str, bytes]) -> None:
    assert planted[COPY.path] == planted[ORIGINAL.path]
    assert COPY.label == ORIGINAL.label
    assert ORIGINAL.path < COPY.path, "the first in the order of paths is the one to keep"
    assert planted[ONE_LABEL.path] == planted[OTHER_LABEL.path]
    assert ONE_LABEL.label != OTHER_LABEL.label
    assert len(set(planted.values())) == len(PLANTED) - 2


def test_16_bit_grey_keeps_its_high_byte(planted: dict[str, bytes]) -> None:
    image = opened(planted[GREY_16_BIT.path])
    assert image.mode == "I;16"
    wide = np.asarray(image)
    assert wide.max() > 255
    assert np.array_equal(decode_rgb(planted[GREY_16_BIT.path])[..., 0], wide >> 8)


def test_the_cmyk_file_is_cmyk(planted: dict[str, bytes]) -> None:
    image = opened(planted[CMYK.path])
    assert (image.format, image.mode) == ("JPEG", "CMYK")


def test_the_exif_photograph_lies_and_is_set_upright(planted: dict[str, bytes]) -> None:
    image = opened(planted[EXIF_ROTATED.path])
    assert image.getexif()[0x0112] == 6
    upright = np.asarray(image.transpose(Image.Transpose.ROTATE_270))
    assert np.array_equal(decode_rgb(planted[EXIF_ROTATED.path]), upright)


def test_the_gif_moves(planted: dict[str, bytes]) -> None:
    image = opened(planted[ANIMATED.path])
    assert (image.format, getattr(image, "n_frames", 1)) == ("GIF", 3)
