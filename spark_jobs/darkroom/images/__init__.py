"""The one pixel path: every stage, the SQL function and scoring decode and resize here.

Nothing in this package imports Spark or TensorFlow, so a Python worker pays only for Pillow and
NumPy.
"""

from darkroom.images.audit import (
    AUDIT_VERSION,
    ImageFacts,
    audit_image,
    audit_images,
    image_id_of,
    perceptual_hash,
)
from darkroom.images.pixels import (
    PIXEL_PATH_VERSION,
    ImageRejectedError,
    decode_rgb,
    load_rgb,
    read_rgb,
    resize_rgb,
)
from darkroom.images.structs import (
    ImageStruct,
    arrayToImageStruct,
    imageStructToArray,
    imageStructToRGB,
    resizeImage,
    rgb_of,
)

__all__ = [
    "AUDIT_VERSION",
    "PIXEL_PATH_VERSION",
    "ImageFacts",
    "ImageRejectedError",
    "ImageStruct",
    "arrayToImageStruct",
    "audit_image",
    "audit_images",
    "decode_rgb",
    "imageStructToArray",
    "imageStructToRGB",
    "image_id_of",
    "load_rgb",
    "perceptual_hash",
    "read_rgb",
    "resizeImage",
    "resize_rgb",
    "rgb_of",
]
