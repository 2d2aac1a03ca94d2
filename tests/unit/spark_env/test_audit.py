"""What the audit says of pictures that are known, and that nothing crashes it."""

from __future__ import annotations

import hashlib
import io
import warnings
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from darkroom.contract import RejectReason
from darkroom.images import ImageFacts, ImageRejectedError, audit_image, image_id_of
from tests.unit.spark_env.pictures import encode, noise, photo


def test_facts_of_a_known_picture() -> None:
    half = np.zeros((40, 60, 3), dtype=np.uint8)
    half[:, 30:] = 255
    facts = audit_image(encode(Image.fromarray(half)))
    assert facts == ImageFacts(
        format="PNG",
        mode="RGB",
        width=60,
        height=40,
        brightness=127.5,
        perceptual_hash=facts.perceptual_hash,
    )
    assert len(bytes.fromhex(facts.perceptual_hash)) == 8


def test_width_and_height_are_those_of_the_upright_picture() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    facts = audit_image(encode(Image.new("RGB", (60, 40)), "JPEG", exif=exif))
    assert (facts.width, facts.height) == (40, 60)


@pytest.mark.parametrize(
    ("image", "image_format", "mode"),
    [
        (Image.new("CMYK", (9, 9)), "JPEG", "CMYK"),
        (Image.fromarray(np.zeros((9, 9), dtype=np.uint16)), "PNG", "I;16"),
        (Image.new("LA", (9, 9)), "PNG", "LA"),
        (Image.new("1", (9, 9)), "PNG", "1"),
        (Image.new("P", (9, 9)), "GIF", "P"),
    ],
)
def test_format_and_mode_are_the_stored_ones(
    image: Image.Image, image_format: str, mode: str
) -> None:
    facts = audit_image(encode(image, image_format))
    assert (facts.format, facts.mode) == (image_format, mode)


def test_luma_weighs_the_colours() -> None:
    green = audit_image(encode(Image.new("RGB", (9, 9), (0, 255, 0))))
    assert green.brightness == 150  # ITU-R 601: 0.587 x 255


def test_another_size_of_the_same_picture_has_the_same_perceptual_hash() -> None:
    # Shades in every direction, so that no bit of the hash hangs on rounding.
    coarse = np.random.default_rng(5).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    large = Image.fromarray(coarse).resize((240, 240), Image.Resampling.BICUBIC)
    small = large.resize((120, 120), Image.Resampling.LANCZOS)
    other = Image.fromarray(coarse[::-1]).resize((240, 240), Image.Resampling.BICUBIC)
    hashes = [audit_image(encode(image)).perceptual_hash for image in (large, small, other)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_the_id_is_the_sha256_of_the_bytes() -> None:
    assert image_id_of(b"abc") == hashlib.sha256(b"abc").hexdigest()


@pytest.mark.parametrize(("side", "accepted"), [(7, False), (8, True)])
def test_small_pictures_are_refused(side: int, accepted: bool) -> None:
    data = encode(Image.new("RGB", (side, 30)))
    if accepted:
        assert audit_image(data, min_side=8).width == side
        return
    with pytest.raises(ImageRejectedError) as caught:
        audit_image(data, min_side=8)
    assert caught.value.reason is RejectReason.TOO_SMALL
    assert caught.value.detail == "7x30 pixels, each side needs at least 8"


def facts_or_rejection(data: bytes) -> ImageFacts | ImageRejectedError:
    """Whatever else is raised fails the test."""
    try:
        return audit_image(data)
    except ImageRejectedError as rejected:
        return rejected


ORIGINALS = [photo(n, kind) for n, kind in enumerate(("JPEG", "PNG", "GIF", "TIFF", "WEBP"))]
ORIGINALS += [
    encode(Image.fromarray(noise(7)), "JPEG", progressive=True),
    encode(Image.fromarray(noise(8)), "TIFF", compression="tiff_lzw"),
]

slices = st.tuples(st.integers(0, 5000), st.integers(0, 60))


@settings(max_examples=300, deadline=timedelta(seconds=20))
@given(
    original=st.sampled_from(ORIGINALS),
    changes=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=6),
    removed=slices,
    doubled=slices,
    cut=st.integers(0, 40),
)
def test_damaged_bytes_are_accepted_only_if_pillow_decodes_all_of_them(
    original: bytes,
    changes: list[tuple[int, int]],
    removed: tuple[int, int],
    doubled: tuple[int, int],
    cut: int,
) -> None:
    data = bytearray(original[: len(original) - cut])
    for position, value in changes:
        data[position % len(data)] = value
    gap = removed[0] % len(data)
    del data[gap : gap + removed[1]]
    if not data:
        return
    start = doubled[0] % len(data)
    data[start:start] = data[start : start + doubled[1]]
    found = facts_or_rejection(bytes(data))
    if isinstance(found, ImageRejectedError):
        assert found.detail == " ".join(found.detail.split()) != ""
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = Image.open(io.BytesIO(data))
        image.load()
    assert found.width * found.height == image.width * image.height


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_bytes_that_are_no_picture_get_a_reason(data: bytes) -> None:
    found = facts_or_rejection(data)
    assert isinstance(found, ImageRejectedError)
    assert found.reason in {
        RejectReason.EMPTY,
        RejectReason.NOT_AN_IMAGE,
        RejectReason.CORRUPT,
        RejectReason.TRUNCATED,
    }
