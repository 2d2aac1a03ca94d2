"""What the audit says of pictures that are known, and that nothing crashes it."""

from __future__ import annotations

import hashlib
import io
import os
import re
import warnings
from datetime import timedelta
from typing import Any

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter
from scipy import ndimage

from darkroom.contract import RejectReason
from darkroom.images import (
    ImageFacts,
    ImageRejectedError,
    audit_image,
    audit_images,
    decode_rgb,
    image_id_of,
)
from tests.unit.spark_env.pictures import encode, noise, photo

MUTATIONS = int(os.environ.get("DARKROOM_MUTATIONS", "300"))
"""How many damaged files are tried; make test-long tries 2,000."""


def test_facts_of_a_known_picture() -> None:
    half = np.zeros((40, 60, 3), dtype=np.uint8)
    half[:, 30:] = 255
    facts = audit_image(encode(Image.fromarray(half)))
    # Of 38 x 58 inner pixels those left and right of the edge have a Laplacian of +-255.
    assert facts.sharpness == pytest.approx(2 * 38 * 255**2 / (38 * 58))
    assert facts == ImageFacts(
        format="PNG",
        mode="RGB",
        bit_depth=8,
        orientation=1,
        animated=False,
        width=60,
        height=40,
        brightness=127.5,
        contrast=127.5,
        sharpness=facts.sharpness,
        perceptual_hash=facts.perceptual_hash,
        difference_hash=facts.difference_hash,
    )
    assert len(bytes.fromhex(facts.perceptual_hash)) == 8

    assert len(bytes.fromhex(facts.difference_hash)) == 8


SIDES = st.one_of(st.integers(1, 70), st.sampled_from([90, 513, 600]))
SHADES = st.sampled_from(["noise", "flat", "ramp"])
MODES = st.sampled_from(["RGB", "L", "1", "CMYK", "LA", "P", "I;16"])


def drawn(width: int, height: int, shade: str, mode: str, seed: int) -> bytes:
    """A file whose pixels depend on nothing but these."""
    random = np.random.default_rng(seed)
    if shade == "noise":
        grey = random.integers(0, 256, (height, width), dtype=np.uint8)
    elif shade == "flat":
        grey = np.full((height, width), random.integers(0, 256), dtype=np.uint8)
    else:
        grey = np.linspace(0, 255, width * height).astype(np.uint8).reshape(height, width)
    if mode == "I;16":
        return encode(Image.fromarray(grey.astype(np.uint16) * 257), "PNG")
    return encode(Image.fromarray(grey).convert(mode), "TIFF" if mode == "CMYK" else "PNG")


pictures = st.builds(drawn, SIDES, SIDES, SHADES, MODES, st.integers(0, 2**32 - 1))


@settings(max_examples=25, deadline=None)
@given(files=st.lists(st.one_of(pictures, st.just(b"words")), min_size=1, max_size=8))
def test_what_is_measured_of_many_pictures_is_what_is_measured_of_each(files: list[bytes]) -> None:
    together = audit_images([*files, files[0]], min_side=2)
    assert together[0] == together[-1] or isinstance(together[0], ImageRejectedError)
    for data, found in zip(files, together, strict=False):
        if isinstance(found, ImageRejectedError):
            # Nothing that refers to the picture is kept until the others are done.
            assert found.__traceback__ is None is found.__context__
            with pytest.raises(ImageRejectedError, match=re.escape(str(found))):
                audit_image(data, min_side=2)
            continue
        assert found == audit_image(data, min_side=2)
        luma = Image.fromarray(decode_rgb(data)).convert("L")
        assert found.perceptual_hash == str(imagehash.phash(luma))
        small = luma.resize((32, 32), Image.Resampling.LANCZOS)
        assert found.difference_hash == str(imagehash.dhash(small))
        grey = np.asarray(luma, dtype=np.float64)
        assert found.brightness == pytest.approx(grey.mean(), rel=1e-12)
        assert found.contrast == pytest.approx(grey.std(), rel=1e-9, abs=1e-9)
        assert found.sharpness == pytest.approx(sharpness(luma), rel=1e-9, abs=1e-9)


def sharpness(luma: Image.Image) -> float:
    """As docs/data.md has it, in the words of another library."""
    grey = np.asarray(luma.reduce(-(-max(luma.size) // 512)), dtype=np.float64)
    if min(grey.shape) < 3:
        return 0.0
    return float(ndimage.laplace(grey)[1:-1, 1:-1].var())


def test_sharpness_falls_when_a_picture_is_blurred_and_is_0_where_nothing_changes() -> None:
    sharp = Image.fromarray(noise(4, 64))
    blurred = sharp.filter(ImageFilter.GaussianBlur(1))
    measured = [audit_image(encode(image)).sharpness for image in (sharp, blurred)]
    assert measured[0] > 10 * measured[1] > 0
    flat = audit_image(encode(Image.new("RGB", (9, 9), (7, 8, 9))))
    assert (flat.sharpness, flat.contrast) == (0, 0)
    assert audit_image(encode(Image.fromarray(noise(5, 2)))).sharpness == 0


def test_a_large_picture_is_shrunk_before_its_sharpness_is_measured() -> None:
    large = Image.fromarray(noise(6, 600))
    facts = audit_image(encode(large))
    small = audit_image(encode(large.convert("L").reduce(2)))
    assert facts.sharpness == pytest.approx(small.sharpness)
    assert (facts.width, facts.height) == (600, 600)


@pytest.mark.parametrize(
    ("image", "image_format", "options", "depth"),
    [
        (Image.new("1", (9, 9)), "PNG", {}, 1),
        (Image.fromarray(noise(1, 9)).quantize(4), "PNG", {}, 2),
        (Image.new("L", (9, 9)), "JPEG", {}, 8),
        (Image.fromarray(np.zeros((9, 9), dtype=np.uint16)), "PNG", {}, 16),
        (Image.new("F", (9, 9)), "TIFF", {}, 32),
    ],
)
def test_bit_depth_is_that_of_the_file(
    image: Image.Image, image_format: str, options: dict[str, Any], depth: int
) -> None:
    assert audit_image(encode(image, image_format, **options)).bit_depth == depth


@pytest.mark.parametrize("image_format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_more_than_one_frame_is_seen_and_the_first_is_used(image_format: str) -> None:
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("white", "black")]
    moving = encode(frames[0], image_format, save_all=True, append_images=frames[1:])
    facts = audit_image(moving)
    assert (facts.animated, facts.brightness) == (True, 255)
    assert not audit_image(encode(frames[0], image_format)).animated


def test_width_and_height_are_those_of_the_upright_picture() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    facts = audit_image(encode(Image.new("RGB", (60, 40)), "JPEG", exif=exif))
    assert (facts.width, facts.height, facts.orientation) == (40, 60, 6)


def test_an_impossible_orientation_counts_as_none() -> None:
    exif = Image.Exif()
    exif[0x0112] = 9
    assert audit_image(encode(Image.new("RGB", (9, 9)), "JPEG", exif=exif)).orientation == 1


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"%PDF-1.7\n", "PDF"),
        (b"\0\0\0\x1cftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x1cftypavif\0\0\0\0mif1", "AVIF"),
        (b"\xff\x0a\xfa\x1f", "JPEG XL"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"<!-- drawn by hand --><svg >", "SVG"),
    ],
)
def test_a_picture_of_a_kind_that_is_not_decoded_is_unsupported(data: bytes, kind: str) -> None:
    found = facts_or_rejection(data)
    assert str(found) == (
        f"UNSUPPORTED_FORMAT: {kind} files are not decoded here: save the picture as JPEG or PNG"
    )


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


@settings(max_examples=MUTATIONS, deadline=timedelta(seconds=20))
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
        RejectReason.UNSUPPORTED_FORMAT,
    }
