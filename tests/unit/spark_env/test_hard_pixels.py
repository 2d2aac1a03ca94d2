"""Pictures that decoders disagree about: each against values known beforehand."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from darkroom.contract import RejectReason
from darkroom.images import ImageRejectedError, decode_rgb
from tests.unit.spark_env.pictures import encode, noise, photo
from tests.unit.spark_env.png_files import GREY, RGB, chunk, png

WIDE = np.array([[0, 255, 256, 0x1234, 32768, 65535]], dtype=np.uint16)
HIGH = [0, 0, 1, 0x12, 128, 255]
RED, BLUE = (255, 0, 0), (0, 0, 255)
SMOOTH = Image.fromarray(noise(3, 8)).resize((64, 48), Image.Resampling.BICUBIC)


def rejection(data: bytes) -> ImageRejectedError:
    with pytest.raises(ImageRejectedError) as caught:
        decode_rgb(data)
    return caught.value


def greys(data: bytes) -> list[int]:
    """The first row of a picture whose three channels are the same."""
    pixels = decode_rgb(data)
    np.testing.assert_array_equal(pixels[..., 0], pixels[..., 1])
    np.testing.assert_array_equal(pixels[..., 0], pixels[..., 2])
    return [int(value) for value in pixels[0, :, 0]]


# ---- sixteen bits and more


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
def test_sixteen_bit_tiff_keeps_its_high_byte(compression: str | None) -> None:
    assert greys(encode(Image.fromarray(WIDE), "TIFF", compression=compression)) == HIGH


def test_sixteen_bit_rgb_png_keeps_its_high_bytes() -> None:
    data = png(2, [WIDE.astype(">u2").tobytes()], depth=16, colour=RGB)
    np.testing.assert_array_equal(decode_rgb(data), [[HIGH[:3], HIGH[3:]]])


def test_the_transparent_grey_of_a_sixteen_bit_png_becomes_white() -> None:
    transparent = chunk(b"tRNS", struct.pack(">H", 256))
    data = png(6, [WIDE.astype(">u2").tobytes()], depth=16, colour=GREY, extra=transparent)
    assert greys(data) == [0, 0, 255, 0x12, 128, 255]


def test_a_sixteen_bit_colour_key_is_not_taken_for_an_eight_bit_one() -> None:
    # The key (0, 0, 1) is no pixel of this picture, whose high bytes are (0, 0, 1).
    key = chunk(b"tRNS", struct.pack(">HHH", 0, 0, 1))
    data = png(2, [WIDE.astype(">u2").tobytes()], depth=16, colour=RGB, extra=key)
    np.testing.assert_array_equal(decode_rgb(data), [[HIGH[:3], HIGH[3:]]])


def test_sixteen_bit_tiff_whose_zero_is_white_is_inverted() -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[262] = 0
    data = encode(Image.fromarray(WIDE), "TIFF", tiffinfo=tags)
    assert greys(data) == [255 - value for value in HIGH]


def test_twelve_bit_tiff_keeps_its_upper_eight_bits() -> None:
    packed = bytes([0xAB, 0xC0, 0x1F])  # 0xABC and 0x01F, two values in three bytes
    # Tag -> value: width, height, bits, no compression, black is zero, offset, rows, bytes.
    tags = {256: 2, 257: 1, 258: 12, 259: 1, 262: 1, 273: 8, 278: 1, 279: len(packed)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    folder = struct.pack("<H", len(tags)) + entries + bytes(4)
    data = b"II*\0" + struct.pack("<I", 8 + len(packed)) + packed + folder
    assert greys(data) == [0xAB, 0x01]


def test_whole_numbers_of_32_bits_count_as_16_and_are_clipped() -> None:
    values = np.array([[-3, 0, 256, 65535, 70000]], dtype=np.int32)
    assert greys(encode(Image.fromarray(values), "TIFF")) == [0, 0, 1, 255, 255]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 0.25, 0.5, 1.0], [0, 64, 128, 255]),
        ([0, 0.4, 127.6, 255, 300, -5], [0, 0, 128, 255, 255, 0]),
        ([float("nan"), float("inf"), 10, float("-inf")], [0, 255, 10, 0]),
    ],
)
def test_floating_point_tiff_is_0_to_1_or_0_to_255(
    values: list[float], expected: list[int]
) -> None:
    data = encode(Image.fromarray(np.array([values], dtype=np.float32)), "TIFF")
    assert greys(data) == expected


# ---- colour


def ycck_jpeg(ink: tuple[int, int, int, int]) -> bytes:
    """A JPEG as Photoshop writes them: inverted CMYK, its first three channels as YCbCr."""
    cyan, magenta, yellow, black = ink
    printed = Image.new("RGB", (1, 1), (cyan, magenta, yellow)).convert("YCbCr")
    luma, blue, red = printed.tobytes()
    # Pillow writes channels inverted and as they are (Adobe transform 0).
    stored = Image.new("CMYK", (16, 16), (255 - luma, 255 - blue, 255 - red, black))
    data = bytearray(encode(stored, "JPEG", quality=100))
    marker = data.index(b"Adobe")
    assert data[marker + 11] == 0
    data[marker + 11] = 2
    return bytes(data)


@pytest.mark.parametrize(
    ("ink", "expected"),
    [
        ((0, 255, 255, 0), (255, 0, 0)),
        ((200, 0, 100, 0), (55, 255, 155)),
        ((0, 0, 0, 255), (0, 0, 0)),
        ((0, 128, 0, 64), (191, 95, 191)),
    ],
)
def test_ycck_becomes_the_colour_that_it_prints(
    ink: tuple[int, int, int, int], expected: tuple[int, int, int]
) -> None:
    difference = decode_rgb(ycck_jpeg(ink)).astype(int) - np.array(expected)
    assert np.abs(difference).max() <= 3


@pytest.mark.parametrize(
    ("depth", "row", "expected"),
    [(1, 0b01000000, [0, 255]), (2, 0b00011011, [0, 85, 170, 255]), (4, 0x18, [17, 136])],
)
def test_grey_of_few_bits_spans_the_whole_range(depth: int, row: int, expected: list[int]) -> None:
    assert greys(png(len(expected), [bytes([row])], depth=depth, colour=GREY)) == expected


def test_the_transparent_colour_of_an_rgb_png_becomes_white() -> None:
    key = chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3))
    data = png(2, [bytes([1, 2, 3, 4, 5, 6])], depth=8, colour=RGB, extra=key)
    np.testing.assert_array_equal(decode_rgb(data), [[[255, 255, 255], [4, 5, 6]]])


@pytest.mark.parametrize(
    ("image_format", "options"),
    [
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
        ("JPEG2000", {}),
        ("PPM", {}),
        ("QOI", {}),
        ("TGA", {}),
        ("ICO", {}),
    ],
)
def test_lossless_formats_give_the_stored_pixels(
    image_format: str, options: dict[str, Any]
) -> None:
    pixels = noise(1, 32)
    data = encode(Image.fromarray(pixels), image_format, **options)
    np.testing.assert_array_equal(decode_rgb(data), pixels)


def test_a_colour_profile_changes_nothing() -> None:
    data = encode(Image.fromarray(noise(1)), icc_profile=b"any profile")
    np.testing.assert_array_equal(decode_rgb(data), noise(1))


# ---- orientation


@pytest.mark.parametrize("image_format", ["TIFF", "WEBP", "PNG"])
def test_orientation_is_applied_once_in_every_format(image_format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"lossless": True} if image_format == "WEBP" else {}
    data = encode(Image.fromarray(noise(1, 8)[:5]), image_format, exif=exif, **options)
    np.testing.assert_array_equal(decode_rgb(data), np.rot90(noise(1, 8)[:5], -1))


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"x"])
def test_damaged_metadata_do_not_cost_the_picture(exif: bytes) -> None:
    np.testing.assert_array_equal(
        decode_rgb(encode(Image.fromarray(noise(1)), exif=exif)), noise(1)
    )


@pytest.mark.parametrize("orientation", [0, 9, 300])
def test_orientations_that_do_not_exist_are_left_alone(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(Image.fromarray(noise(1)), exif=exif)
    np.testing.assert_array_equal(decode_rgb(data), noise(1))


# ---- animations and several pages


def rgba_frames() -> list[Image.Image]:
    first = np.zeros((4, 4, 4), dtype=np.uint8)
    first[:2] = (*RED, 255)
    return [Image.fromarray(first), Image.new("RGBA", (4, 4), (*BLUE, 255))]


HALF_RED = np.full((4, 4, 3), 255, dtype=np.uint8)
HALF_RED[:2] = RED


@pytest.mark.parametrize("disposal", [0, 1, 2, 3])
def test_the_first_frame_of_a_gif_with_transparency(disposal: int) -> None:
    first, *more = rgba_frames()
    data = encode(first, "GIF", save_all=True, append_images=more, disposal=disposal)
    np.testing.assert_array_equal(decode_rgb(data), HALF_RED)


def test_the_first_frame_of_a_webp_with_transparency() -> None:
    first, *more = rgba_frames()
    data = encode(
        first, "WEBP", save_all=True, append_images=more, lossless=True, background=(0, 9, 0, 255)
    )
    np.testing.assert_array_equal(decode_rgb(data), HALF_RED)


@pytest.mark.parametrize("image_format", ["TIFF", "PNG", "WEBP"])
def test_the_first_of_several_pages_or_frames(image_format: str) -> None:
    pages = [Image.new("RGB", (4, 4), colour) for colour in (RED, BLUE)]
    options = {"lossless": True} if image_format == "WEBP" else {}
    data = encode(pages[0], image_format, save_all=True, append_images=pages[1:], **options)
    np.testing.assert_array_equal(decode_rgb(data), np.full((4, 4, 3), RED))


# ---- sizes and names


@pytest.mark.parametrize("image_format", ["PNG", "BMP", "TIFF", "GIF"])
def test_one_pixel_is_a_picture(image_format: str) -> None:
    data = encode(Image.new("RGB", (1, 1), (0, 0, 255)), image_format)
    np.testing.assert_array_equal(decode_rgb(data), [[[0, 0, 255]]])


def test_of_an_icon_the_largest_size_is_taken() -> None:
    icon = encode(Image.fromarray(noise(1, 48)), "ICO", sizes=[(16, 16), (48, 48), (32, 32)])
    np.testing.assert_array_equal(decode_rgb(icon), noise(1, 48))


def test_twelve_thousand_squared_is_refused_by_its_header() -> None:
    header = struct.pack(">IIBBBBB", 12_000, 12_000, 8, RGB, 0, 0, 0)
    # No pixels follow: whoever tried to decode it would find it truncated.
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"")
    assert str(rejection(data)) == "TOO_LARGE: 12000x12000 pixels, the limit is 89478485"


def test_a_bomb_inside_an_icon_is_too_large() -> None:
    inside = b"\x89PNG\r\n\x1a\n" + chunk(
        b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, RGB, 0, 0, 0)
    )
    inside += chunk(b"IDAT", b"")
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(inside), 22)
    assert rejection(struct.pack("<HHH", 0, 1, 1) + entry + inside).reason is RejectReason.TOO_LARGE


def test_programs_are_not_pictures() -> None:
    # Pillow would hand PostScript to Ghostscript, where that is installed.
    data = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    assert str(rejection(data)) == (
        "UNSUPPORTED_FORMAT: EPS files are not decoded here: save the picture as JPEG or PNG"
    )


# ---- damage


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize(
    ("image_format", "options"),
    [
        ("JPEG", {"progressive": True}),
        ("JPEG", {"restart_marker_rows": 1}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
        ("PPM", {}),
    ],
)
def test_a_cut_file_of_any_format_is_refused(
    image_format: str, options: dict[str, Any], share: float
) -> None:
    whole = encode(SMOOTH, image_format, **options)
    assert rejection(whole[: int(len(whole) * share)]).reason is RejectReason.TRUNCATED


def test_progressive_jpeg_decodes_to_what_the_baseline_one_does() -> None:
    baseline, progressive = (
        decode_rgb(encode(SMOOTH, "JPEG", quality=90, progressive=wanted))
        for wanted in (False, True)
    )
    np.testing.assert_array_equal(baseline, progressive)


def reference() -> NDArray[np.uint8]:
    return decode_rgb(encode(SMOOTH, "JPEG"))


def test_garbage_behind_a_jpeg_is_left_alone() -> None:
    np.testing.assert_array_equal(decode_rgb(encode(SMOOTH, "JPEG") + b"garbage" * 50), reference())


@pytest.mark.parametrize("missing", [2, 10, 400])
def test_a_jpeg_whose_end_is_missing_is_truncated(missing: int) -> None:
    assert rejection(encode(SMOOTH, "JPEG")[:-missing]).reason is RejectReason.TRUNCATED


def test_a_jpeg_whose_end_was_overwritten_with_zeros_is_truncated() -> None:
    whole = encode(SMOOTH, "JPEG")
    assert rejection(whole[:-400] + bytes(400)).reason is RejectReason.TRUNCATED


def test_a_wrong_checksum_around_whole_pixels_is_left_alone() -> None:
    # The compressed pixels carry a checksum of their own, and it is right.
    data = png(2, [bytes([1, 2, 3, 4, 5, 6])], depth=8, colour=RGB, damage=1)
    np.testing.assert_array_equal(decode_rgb(data), [[[1, 2, 3], [4, 5, 6]]])


def test_a_wrong_checksum_of_the_pixels_themselves_is_corrupt() -> None:
    data = photo(1)
    end = data.index(b"IEND") - 8  # the pixels' own checksum stands right before the chunk's
    damaged = data[: end - 1] + bytes([data[end - 1] ^ 1]) + data[end:]
    assert rejection(damaged).reason is RejectReason.CORRUPT


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (
            photo(1)[:29] + b"\0\0\0\0" + photo(1)[33:],
            "CORRUPT: the PNG header cannot be read: broken PNG file (bad header checksum in "
            "b'IHDR')",
        ),
        (
            png(
                2,
                [bytes(6)],
                depth=8,
                colour=RGB,
                extra=chunk(b"tEXt", b"a\0b", damage=1),
            ),
            "CORRUPT: the PNG header cannot be read: broken PNG file (bad header checksum in "
            "b'tEXt')",
        ),
        (photo(1)[:20], "TRUNCATED: Truncated File Read"),
        (
            photo(1)[:30],
            "TRUNCATED: the PNG header cannot be read: broken PNG file (incomplete checksum in "
            "b'IHDR')",
        ),
        (
            photo(1, "GIF")[:30],
            "TRUNCATED: the GIF header cannot be read: no more images in GIF file",
        ),
    ],
)
def test_damage_right_behind_a_known_signature_is_no_unknown_format(data: bytes, text: str) -> None:
    assert str(rejection(data)) == text


@pytest.mark.parametrize("stored", ["PNG", "WEBP", "TIFF", "BMP"])
def test_the_bytes_say_what_a_file_is_and_not_its_name(stored: str) -> None:
    # decode_rgb never sees a name; that the stages do not either is tested with readImages.
    options = {"lossless": True} if stored == "WEBP" else {}
    pixels = noise(2)
    np.testing.assert_array_equal(
        decode_rgb(encode(Image.fromarray(pixels), stored, **options)), pixels
    )
