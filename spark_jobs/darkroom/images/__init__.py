"""The one pixel path: every stage, the SQL function and scoring decode and resize here.

Nothing in this package imports Spark or TensorFlow, so a Python worker pays only for Pillow and
NumPy.
"""

from darkroom.images.audit import (
    AUDIT_VERSION,
    ImageFacts,
    audit_image,
    image_id_of,
    perceptual_hash,
)
from darkroom.images.pixels import (
    PIXEL_PATH_VERSION,
    ImageRejectedError,
    decode_rgb,
    load_rgb,
    resize_rgb,
)

__all__ = [
    "AUDIT_VERSION",
    "PIXEL_PATH_VERSION",
    "ImageFacts",
    "ImageRejectedError",
    "audit_image",
    "decode_rgb",
    "image_id_of",
    "load_rgb",
    "perceptual_hash",
    "resize_rgb",
]
