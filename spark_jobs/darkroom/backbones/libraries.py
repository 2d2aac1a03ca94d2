"""Imports Keras and TensorFlow without TensorFlow's messages; each takes seconds."""

from __future__ import annotations

import os
from typing import Any


def import_keras() -> Any:
    """Imports Keras, on TensorFlow."""
    _silence()
    import keras

    return keras


def import_tensorflow(threads: int | None = None) -> Any:
    """Imports TensorFlow.

    Args:
        threads: Of each of its two pools; None leaves them alone. Where TensorFlow runs already,
            its threads stay as they are.
    """
    _silence()
    import tensorflow as tf

    if threads is not None:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        except RuntimeError:
            pass  # It runs.
    return tf


def _silence() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
