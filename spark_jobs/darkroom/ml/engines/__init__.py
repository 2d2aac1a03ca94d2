"""Engines: the Keras model is the truth, and what runs it is chosen per model and machine.

A driver prepares a model file once (`prepare`), sends what came out of it to workers (`ship`),
and each Python worker loads that once (`load`). Only `prepare` may need TensorFlow.
"""

from darkroom.contract.names import Engine
from darkroom.ml.engines.loading import Forward, load
from darkroom.ml.engines.model import PreparedModel, TensorSpec
from darkroom.ml.engines.preparing import prefer, prepare, prepare_saved_model
from darkroom.ml.engines.shipping import ship

__all__ = [
    "Engine",
    "Forward",
    "PreparedModel",
    "TensorSpec",
    "load",
    "prefer",
    "prepare",
    "prepare_saved_model",
    "ship",
]
