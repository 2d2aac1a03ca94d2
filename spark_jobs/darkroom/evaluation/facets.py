"""What the test images are sliced by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from darkroom.contract import ConfigError
from darkroom.contract import columns as c
from darkroom.contract.names import METADATA_SLICE, near_matches

UNKNOWN: Final = "unknown"
OTHER: Final = "other values"
MOST_SLICES: Final = 100
"""Of one dimension: the commonest values; a column that names each image alone tells nothing."""

_SIZES: Final = ("small", "medium", "large")
_BRIGHTNESSES: Final = ("dark", "medium", "bright")


def facets(names: Sequence[str], facts: Mapping[str, Sequence[Any]]) -> dict[str, tuple[str, ...]]:
    """Puts every image into one slice of each dimension.

    Args:
        names: Dimensions: ``source``; ``size`` (pixels of the image) and ``brightness`` (mean
            luma), in thirds of the images; or ``metadata.`` and a column of the manifest.
        facts: Columns of the table of images, one value per image: root, width, height, brightness
            and metadata (mappings or lists of pairs).

    Returns:
        Per dimension one slice's name per image.

    Raises:
        ConfigError: No image has that column of the manifest.
    """
    made = {}
    for name in names:
        if name.startswith(METADATA_SLICE):
            made[name] = _metadata(name.removeprefix(METADATA_SLICE), facts[c.METADATA])
        elif name == "source":
            made[name] = _values(facts[c.ROOT])
        elif name == "size":
            pixels = [
                _product(width, height)
                for width, height in zip(facts[c.WIDTH], facts[c.HEIGHT], strict=True)
            ]
            made[name] = _thirds(pixels, _SIZES, "pixels")
        else:
            made[name] = _thirds(facts[c.BRIGHTNESS], _BRIGHTNESSES, "of 255")
    return made


def _metadata(column: str, metadata: Sequence[Any]) -> tuple[str, ...]:
    rows = [dict(row or {}) for row in metadata]
    known = sorted({name for row in rows for name in row})
    if rows and column not in known:
        remedy = (
            f"no test image has this column, {near_matches(column, known)}"
            if known
            else "no test image comes from a manifest with further columns: leave it out"
        )
        raise ConfigError("gate.slices", f"{METADATA_SLICE}{column}", remedy)
    return _values([row.get(column) for row in rows])


def _values(values: Sequence[Any]) -> tuple[str, ...]:
    """Each value is a slice; of very many the commonest are, and the others one together."""
    named = [UNKNOWN if value is None else str(value) for value in values]
    # Of equally common ones the first by name, whatever the order of the images.
    common = sorted(Counter(named).items(), key=lambda one: (-one[1], one[0]))
    if len(common) <= MOST_SLICES:
        return tuple(named)
    kept = {name for name, _ in common[: MOST_SLICES - 1]}
    return tuple(name if name in kept else OTHER for name in named)


def _product(width: float | None, height: float | None) -> float | None:
    return None if width is None or height is None else width * height


def _thirds(
    values: Sequence[float | None], names: tuple[str, str, str], unit: str
) -> tuple[str, ...]:
    """Names the third that each value is in, by its range; equal values share a slice."""
    numbers: NDArray[np.float64] = np.array(
        [np.nan if value is None else value for value in values], np.float64
    )
    known = np.isfinite(numbers)
    slices = np.full(len(numbers), UNKNOWN, dtype=object)
    if known.any():
        borders = np.unique(np.quantile(numbers[known], (1 / 3, 2 / 3), method="lower"))
        places = np.searchsorted(borders, numbers, side="left")
        # Where a third is empty, the ends keep their names.
        used = np.unique(places[known])
        chosen = names if len(used) == 3 else (names[0], names[2]) if len(used) == 2 else names[1:2]
        for name, place in zip(chosen, used, strict=True):
            inside = known & (places == place)
            low, high = numbers[inside].min(), numbers[inside].max()
            slices[inside] = f"{name}: {_span(low, high)} {unit}"
    return tuple(slices)


def _span(low: float, high: float) -> str:
    first, last = f"{low:,.0f}", f"{high:,.0f}"
    return first if first == last else f"{first} to {last}"
