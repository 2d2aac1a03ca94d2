"""Formats by the first bytes of a file, whatever the file is called."""

from __future__ import annotations

import re
from typing import Final

_DECODED: Final = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
}
"""First bytes that nothing else has: what follows them is that format, or damage."""

_NOT_DECODED: Final = {
    b"%!PS": "EPS",
    b"\xc5\xd0\xd3\xc6": "EPS",
    b"%PDF-": "PDF",
    b"\xd7\xcd\xc6\x9a": "WMF",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL \r\n\x87\n": "JPEG XL",
    b"\x89HDF": "HDF5",
    b"GRIB": "GRIB",
    b"BUFR": "BUFR",
    b"FUJIFILMCCD-RAW": "camera raw",
}

_BRANDS: Final = {
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"hevc": "HEIC",
    b"heim": "HEIC",
    b"heis": "HEIC",
    b"mif1": "HEIF",
    b"msf1": "HEIF",
    b"avif": "AVIF",
    b"avis": "AVIF",
    b"crx ": "camera raw",
}
"""ISO base media files say in bytes 4-12 what they are."""

_SVG: Final = re.compile(rb"<svg[\s>]")
_SVG_STARTS: Final = (b"<svg", b"<?xml", b"<!--", b"<!DOCTYPE")
_SVG_START: Final = 4096


def known_format(data: bytes) -> str | None:
    """Pillow's name of the format that the first bytes claim, or None."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return next((name for start, name in _DECODED.items() if data.startswith(start)), None)


def unsupported_kind(data: bytes) -> str | None:
    """Name of a kind of picture that nothing here decodes, by its first bytes, or None."""
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12])
    head = data[:_SVG_START].removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(_SVG_STARTS) and _SVG.search(head):
        return "SVG"
    return next((name for start, name in _NOT_DECODED.items() if data.startswith(start)), None)
