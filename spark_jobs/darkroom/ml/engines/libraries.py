"""Imports the libraries that run networks, each without its messages."""

from __future__ import annotations

import sys
from typing import Any

from darkroom.backbones import libraries


def single_thread_tensorflow() -> Any:
    """Imports TensorFlow for one thread.

    Spark runs one task per core: more threads here would only compete with other tasks.
    """
    return libraries.import_tensorflow(threads=1)


def import_openvino() -> Any:
    """Imports OpenVINO without its telemetry.

    Its import would write an identifier to the home folder and report to its makers, without
    having asked; where that package cannot be imported, OpenVINO does without.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def import_onnxruntime() -> Any:
    """Imports ONNX Runtime, of whose log only errors are shown."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    return onnxruntime
