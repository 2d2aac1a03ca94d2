"""Pictures whose pixels a test knows, and a class-per-folder tree of them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def encode(image: Image.Image, image_format: str = "PNG", **options: Any) -> bytes:
    """The picture's bytes in a format that Pillow names."""
    stream = io.BytesIO()
    image.save(stream, image_format, **options)
    return stream.getvalue()


def noise(seed: int, side: int = 24) -> NDArray[np.uint8]:
    """Pixels (side, side, 3) that no other seed shares."""
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def photo(seed: int, image_format: str = "PNG", side: int = 24) -> bytes:
    """An encoded picture that no other seed shares."""
    return encode(Image.fromarray(noise(seed, side)), image_format)


def write_tree(root: Path, files: Mapping[str, bytes]) -> Path:
    """Writes files by their path below a folder."""
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


def photos(label: str, count: int, first_seed: int) -> dict[str, bytes]:
    """So many pictures of a class, by path."""
    return {f"{label}/{n:03}.png": photo(first_seed + n) for n in range(count)}
