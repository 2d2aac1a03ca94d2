"""Imports the libraries that run networks, each quietly and for one thread."""

from __future__ import annotations

import os
import sys
from typing import Any


def import_tensorflow() -> Any:
    """Imports TensorFlow; the caller's own settings stand where it is in use already."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    # Spark runs one task per core: more threads here would only compete with other tasks.
    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        pass
    return tf


def import_keras() -> Any:
    """Imports Keras, on TensorFlow."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    return keras


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
