"""PNG files byte by byte, for what Pillow cannot write."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

GREY, RGB = 0, 2


def chunk(kind: bytes, content: bytes = b"", damage: int = 0) -> bytes:
    """One chunk; ``damage`` is added to its checksum."""
    checksum = (zlib.crc32(kind + content) + damage) & 0xFFFFFFFF
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png(
    width: int,
    rows: Iterable[bytes],
    *,
    depth: int,
    colour: int,
    extra: bytes = b"",
    damage: int = 0,
) -> bytes:
    """A PNG of unfiltered rows; ``extra`` chunks stand before the pixels."""
    lines = [b"\0" + row for row in rows]
    header = struct.pack(">IIBBBBB", width, len(lines), depth, colour, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"".join(lines)), damage)
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + extra + pixels + chunk(b"IEND")
