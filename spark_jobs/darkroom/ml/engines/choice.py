"""Which engine is the quickest, by what a network is made of; measured in docs/performance.md."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Final

from darkroom.contract.names import Engine

_DEPTHWISE: Final = '"DepthwiseConv2D"'

_ONNX_BYTES: Final = 64 << 20
"""Largest file that goes to ONNX Runtime by itself. Writing ONNX takes 40 times a file's size in
memory (12 GB for EfficientNetB7), and large networks gain little by it."""


def by_speed(model_file: Path) -> tuple[Engine, ...]:
    """The engines to try for a model on a CPU, the quickest first.

    Args:
        model_file: A ``.keras`` or ``.h5`` file; only its description of the layers is read.
    """
    if model_file.stat().st_size <= _ONNX_BYTES and _DEPTHWISE in _layers(model_file):
        return Engine.ONNXRUNTIME, Engine.OPENVINO
    return (Engine.OPENVINO,)


def has_gpu() -> bool:
    """Whether TensorFlow sees a GPU; it is only asked on a machine that has one."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    if not any(Path(device).exists() for device in ("/dev/nvidia0", "/dev/kfd")):
        return False
    from darkroom.ml.engines.libraries import single_thread_tensorflow

    return bool(single_thread_tensorflow().config.list_physical_devices("GPU"))


def _layers(model_file: Path) -> str:
    """The JSON in which Keras describes a network; empty when the file has none."""
    if zipfile.is_zipfile(model_file):
        with zipfile.ZipFile(model_file) as archive:
            return (
                archive.read("config.json").decode() if "config.json" in archive.namelist() else ""
            )
    import h5py

    if not h5py.is_hdf5(model_file):
        return ""
    with h5py.File(model_file) as archive:
        return str(archive.attrs.get("model_config", ""))
