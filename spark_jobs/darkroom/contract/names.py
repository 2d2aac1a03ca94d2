"""Names a configuration may use (backbones, engines, metrics, identifiers), and lists of names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

IDENTIFIER: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
"""Pipeline, function and view names: safe in SQL, in URLs and as a file name."""

CHALLENGER_SUFFIX: Final = "_challenger"


def with_companions(function: str) -> tuple[str, str, str]:
    """The three SQL functions of one version: the plain one, the detailed one, the top ones."""
    return function, f"{function}_detail", f"{function}_top"


def predictions_view(pipeline: str) -> str:
    """The SQL view of a pipeline's predictions."""
    return f"{pipeline}_predictions"


def shadow_view(pipeline: str) -> str:
    """The SQL view of what versions answered that were waiting for approval."""
    return f"{pipeline}_shadow_predictions"


def functions_of(function: str) -> tuple[str, ...]:
    """The SQL functions that a configured name stands for, its own first."""
    return with_companions(function) + with_companions(f"{function}{CHALLENGER_SUFFIX}")


SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")
"""A digest as text."""

EMBEDDED: Final = "embedded"
"""The backbone whose weights are part of the repository."""

KERAS_BACKBONES: Final = (
    "ConvNeXtBase",
    "ConvNeXtLarge",
    "ConvNeXtSmall",
    "ConvNeXtTiny",
    "ConvNeXtXLarge",
    "DenseNet121",
    "DenseNet169",
    "DenseNet201",
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetB3",
    "EfficientNetB4",
    "EfficientNetB5",
    "EfficientNetB6",
    "EfficientNetB7",
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2B2",
    "EfficientNetV2B3",
    "EfficientNetV2L",
    "EfficientNetV2M",
    "EfficientNetV2S",
    "InceptionResNetV2",
    "InceptionV3",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Large",
    "MobileNetV3Small",
    "NASNetLarge",
    "NASNetMobile",
    "ResNet101",
    "ResNet101V2",
    "ResNet152",
    "ResNet152V2",
    "ResNet50",
    "ResNet50V2",
    "VGG16",
    "VGG19",
    "Xception",
)
"""The image classifiers of keras.applications, spelled as Keras spells them."""

BACKBONES: Final = (EMBEDDED, *KERAS_BACKBONES)

MODEL_FILE_SUFFIXES: Final = (".keras", ".h5")
"""What the path of a user's own Keras model ends in."""

POOLINGS: Final = ("avg", "max", "none")
"""What becomes of a feature map: its means, its maxima, or all of it, flattened."""


class Engine(StrEnum):
    """What runs a network's forward pass; the Keras model says what it has to answer."""

    AUTO = "auto"
    """The quickest of the others for the model and the machine."""
    TENSORFLOW = "tensorflow"
    OPENVINO = "openvino"
    ONNXRUNTIME = "onnxruntime"


METRICS: Final = ("accuracy", "macro_f1", "macro_precision", "macro_recall")
"""Metrics of predicted classes; all in 0..1, higher is better."""

LOG_LOSS: Final = "log_loss"
AUC: Final = "auc"
LOWER_IS_BETTER: Final = (LOG_LOSS, "ece")
"""Metrics of probabilities that measure an error: log loss in nats, calibration error in 0..1."""

GATE_METRICS: Final = (*METRICS, AUC, *LOWER_IS_BETTER)
"""Metrics that a gate can hold a candidate to."""

SLICES: Final = ("source", "size", "brightness")
"""What test images can be sliced by, whatever they are."""

METADATA_SLICE: Final = "metadata."
"""Before the name of a manifest's column that test images are to be sliced by."""


def near_matches(name: str, known: Sequence[str]) -> str:
    """Lists up to three known names that resemble a name, for an error message."""
    lower = {item.lower(): item for item in known}
    found = difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.5)
    if found:
        return "did you mean " + " or ".join(lower[item] for item in found) + "?"
    return "known are " + ", ".join(known)


def named(names: Iterable[str], total: int | None = None, most: int = 10) -> str:
    """The first names, and how many there are besides; ``total`` where not all are given."""
    shown = list(names)
    more = (len(shown) if total is None else total) - len(shown[:most])
    text = ", ".join(shown[:most])
    return f"{text} and {more:,} more" if more > 0 and text else text
