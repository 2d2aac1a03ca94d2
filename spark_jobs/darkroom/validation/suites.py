"""What is expected of the images, of every class and of the source as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from darkroom.contract import PipelineConfig
from darkroom.contract import columns as c
from darkroom.validation.facts import CLASS_RATIO, IMAGES_OF_CLASS, REJECTED_SHARE, SMALLER_SIDE

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.expectations import Expectation
    from pyspark.sql import DataFrame

KNOWN_FORMATS: Final = ("BMP", "GIF", "JPEG", "MPO", "PNG", "PPM", "TIFF", "WEBP")
"""Formats, as Pillow names them, that other programs of a pipeline can open as well."""

WANTED: Final = "wanted"
"""Key of an expectation's ``meta``: what it wants, in words."""


@dataclass(frozen=True)
class Facts:
    """What is validated.

    Attributes:
        images: Spark or pandas frame, a row per image: image_id, label, format, smaller_side.
        classes: Pandas frame, a row per class: label, images, train, test.
        source: Pandas frame of one row: rejected_share, class_ratio.
    """

    images: DataFrame | pd.DataFrame
    classes: pd.DataFrame
    source: pd.DataFrame


def image_expectations(config: PipelineConfig) -> list[Expectation]:
    """Expectations of `Facts.images`."""
    import great_expectations.expectations as gxe

    least = config.source.min_side
    return [
        gxe.ExpectTableRowCountToBeBetween(min_value=1, meta=_wants("at least 1 image")),
        gxe.ExpectColumnValuesToNotBeNull(column=c.LABEL, meta=_wants("a label for each image")),
        gxe.ExpectColumnValuesToNotBeNull(column=c.IMAGE_ID, meta=_wants("an id for each image")),
        gxe.ExpectColumnValuesToBeUnique(column=c.IMAGE_ID, meta=_wants("each image once")),
        gxe.ExpectColumnMinToBeBetween(
            column=SMALLER_SIDE, min_value=least, meta=_wants(f"at least {least} pixels")
        ),
        gxe.ExpectColumnValuesToBeInSet(
            column=c.FORMAT,
            value_set=list(KNOWN_FORMATS),
            meta=_wants(f"one of {', '.join(KNOWN_FORMATS)}"),
        ),
    ]


def class_expectations(config: PipelineConfig) -> list[Expectation]:
    """Expectations of `Facts.classes`."""
    least = config.validation.min_images_per_class
    return [
        _at_least(IMAGES_OF_CLASS, least, f"at least {least} images in each class"),
        _at_least(c.TRAIN, 1, "at least 1 training image in each class"),
        _at_least(c.TEST, 1, "at least 1 test image in each class"),
    ]


def source_expectations(config: PipelineConfig) -> list[Expectation]:
    """Expectations of `Facts.source`."""
    limits = config.validation
    return [
        _at_most(REJECTED_SHARE, limits.max_rejected_share),
        _at_most(CLASS_RATIO, limits.max_class_ratio),
    ]


def _at_least(column: str, least: float, wanted: str) -> Expectation:
    import great_expectations.expectations as gxe

    return gxe.ExpectColumnValuesToBeBetween(column=column, min_value=least, meta=_wants(wanted))


def _at_most(column: str, most: float) -> Expectation:
    import great_expectations.expectations as gxe

    return gxe.ExpectColumnMaxToBeBetween(
        column=column, max_value=most, meta=_wants(f"at most {most:g}")
    )


def _wants(text: str) -> dict[str, str]:
    return {WANTED: text}
