"""Facts of a small data set that meets everything, for tests to change."""

from __future__ import annotations

from darkroom.contract import GateConfig, PipelineConfig, SourceConfig, ValidationConfig
from darkroom.validation.facts import Fact, Facts

CONFIG = PipelineConfig(
    name="signs",
    function="signs_function",
    view="signs_view",
    source=SourceConfig(path="signs", min_side=16),
    gate=GateConfig(thresholds={"accuracy": 0.5}),
    validation=ValidationConfig(
        min_images_per_class=10, max_rejected_share=0.25, max_class_ratio=3
    ),
)

GOOD = Facts(
    {
        Fact.IMAGE_IDS: {"": 40},
        Fact.LABEL: {"a": 30, "b": 10},
        Fact.TRAIN: {"a": 27, "b": 1},
        Fact.TEST: {"a": 1, "b": 9},
        Fact.EXCLUDED: {"a": 2},
        Fact.FORMAT: {"JPEG": 39, "PNG": 1},
        Fact.SMALLER_SIDE: {"16": 1, "400": 39},
        Fact.LARGER_SIDE: {"16": 1, "1000": 39},
        Fact.BRIGHTNESS: {"0": 20, "240": 20},
        Fact.SIZE: {"8": 1, "18": 39},
        Fact.FOUND: {"": 60},
        Fact.REJECTED: {"EMPTY": 9, "DUPLICATE": 6},
    }
)
"""Every limit of the built-in suite with `CONFIG` is reached, and none is passed."""
