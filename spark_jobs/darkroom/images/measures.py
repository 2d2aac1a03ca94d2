"""What is measured of luma: of many pictures at once, for a small one costs less than a call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_HASH_SIDE = 32
"""Both hashes look at the luma at this size, so that it is shrunk once."""

_HASH_BITS = 8
"""Either hash has so many rows of so many bits."""

_SHARPNESS_SIDE = 512
"""A longer side is shrunk below it first: sharpness is then about what one sees, and cheap."""

_STACK_PIXELS = 1 << 16
"""Of the pictures that are measured together: what is worked out of them stays in the cache."""

_FEW_PIXELS = 1 << 13
"""Up to here NumPy counts them sooner than Pillow hands over its counts, one object each."""

_LEVELS = np.arange(256, dtype=np.float64)

Pixels = NDArray[np.uint8]
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Luma:
    """As much of a picture's luma as is measured.

    Attributes:
        counts: Pixels of each level, shape (256,).
        grey: Shape (height, width), uint8, at most 512 a side.
        small: At 32 x 32 pixels, mode L.
    """

    counts: Sequence[int] | NDArray[np.int64]
    grey: Pixels
    small: Image.Image

    @classmethod
    def of(cls, picture: Image.Image) -> Luma:
        """The luma (ITU-R 601) of a loaded picture."""
        luma = picture.convert("L")
        factor = -(-max(luma.size) // _SHARPNESS_SIDE)
        grey = _pixels(luma.reduce(factor) if factor > 1 else luma)
        few = factor == 1 and grey.size <= _FEW_PIXELS
        return cls(
            counts=np.bincount(grey.ravel(), minlength=256) if few else luma.histogram(),
            grey=grey,
            small=luma.resize((_HASH_SIDE, _HASH_SIDE), Image.Resampling.LANCZOS),
        )


class Measures(NamedTuple):
    """What `darkroom.images.ImageFacts` has of one picture's luma."""

    brightness: float
    contrast: float
    sharpness: float
    perceptual_hash: str
    difference_hash: str


def measure(lumas: Sequence[Luma]) -> list[Measures]:
    """Measures pictures; each as if it were the only one, to the last bit.

    Args:
        lumas: At least one.

    Returns:
        The measures, in the order of the pictures.
    """
    brightness, contrast = _moments(np.array([one.counts for one in lumas], np.float64))
    column = _below_each_other([one.small for one in lumas])
    columns = (
        brightness.tolist(),
        contrast.tolist(),
        _sharpness([one.grey for one in lumas]),
        _perceptual_hashes(column),
        _difference_hashes(column),
    )
    return [Measures(*row) for row in zip(*columns, strict=True)]


def _below_each_other(small: Sequence[Image.Image]) -> Image.Image:
    """One picture of many: NumPy has its pixels in one call, and Pillow shrinks its rows in one."""
    column = Image.new("L", (_HASH_SIDE, _HASH_SIDE * len(small)))
    for place, one in enumerate(small):
        column.paste(one, (0, _HASH_SIDE * place))
    return column


def _perceptual_hashes(column: Image.Image) -> list[str]:
    """Bit for bit imagehash's pHash of each."""
    from scipy.fftpack import dct

    small = _pixels(column).reshape(-1, _HASH_SIDE, _HASH_SIDE)
    low = dct(dct(small, axis=1)[:, :_HASH_BITS], axis=2)[:, :, :_HASH_BITS]
    low = low.reshape(len(small), _HASH_BITS**2)
    middle = np.sort(low, axis=1)[:, _HASH_BITS**2 // 2 - 1 : _HASH_BITS**2 // 2 + 1]
    return _hexadecimal(low > (middle[:, :1] + middle[:, 1:]) / 2)


def _difference_hashes(column: Image.Image) -> list[str]:
    """Bit for bit imagehash's dHash of each.

    Pillow shrinks rows first and the result's columns then. So the pictures can lie below each
    other for the one, and side by side for the other, without seeing each other.
    """
    wide = _HASH_BITS + 1
    narrow = _pixels(column.resize((wide, column.height), Image.Resampling.LANCZOS))
    beside = narrow.reshape(-1, _HASH_SIDE, wide).swapaxes(0, 1).reshape(_HASH_SIDE, -1)
    row = Image.fromarray(beside)
    low = _pixels(row.resize((row.width, _HASH_BITS), Image.Resampling.LANCZOS))
    pixels = low.reshape(_HASH_BITS, -1, wide).swapaxes(0, 1)
    return _hexadecimal(pixels[:, :, 1:] > pixels[:, :, :-1])


def _hexadecimal(bits: NDArray[np.bool_]) -> list[str]:
    """As imagehash prints hashes: 64 bits each, and several times as fast."""
    digits = np.packbits(bits).tobytes().hex()
    width = _HASH_BITS**2 // 4
    return [digits[start : start + width] for start in range(0, len(digits), width)]


def _moments(counts: Numbers) -> tuple[Numbers, Numbers]:
    """Mean and standard deviation, exactly, from histograms of shape (n, 256)."""
    totals = counts.sum(axis=1)
    means = counts @ _LEVELS / totals
    squares = np.square(_LEVELS - means[:, np.newaxis])
    return means, np.sqrt(np.vecdot(counts, squares) / totals)


def _sharpness(greys: Sequence[Pixels]) -> list[float]:
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for place, grey in enumerate(greys):
        by_shape.setdefault(grey.shape, []).append(place)
    found = [0.0] * len(greys)
    for shape, places in by_shape.items():
        if min(shape) < 3:
            continue
        for some in _parts(places, max(1, _STACK_PIXELS // (shape[0] * shape[1]))):
            variances = _laplacian_variances(np.stack([greys[place] for place in some]))
            for place, variance in zip(some, variances, strict=True):
                found[place] = variance
    return found


def _parts(places: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (places[start : start + size] for start in range(0, len(places), size))


def _laplacian_variances(greys: Pixels) -> list[float]:
    """Of pictures of one size: shape (n, height, width), at least 3 pixels a side."""
    wide = greys.astype(np.int16)
    edges = wide[:, :-2, 1:-1] + wide[:, 2:, 1:-1]
    edges += wide[:, 1:-1, :-2]
    edges += wide[:, 1:-1, 2:]
    edges -= 4 * wide[:, 1:-1, 1:-1]
    # Whole numbers below 2**53: exact, and quicker than numpy.var.
    exact = edges.reshape(len(greys), -1).astype(np.float64)
    count, totals = exact.shape[1], exact.sum(axis=1)
    variances: list[float] = ((np.vecdot(exact, exact) - totals * totals / count) / count).tolist()
    return variances


def _pixels(luma: Image.Image) -> Pixels:
    """As `numpy.asarray` has them, in half the time."""
    return np.frombuffer(luma.tobytes(), np.uint8).reshape(luma.height, luma.width)
