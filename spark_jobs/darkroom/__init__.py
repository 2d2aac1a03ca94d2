"""Darkroom: from a folder of labelled images to an approved model that answers from SQL.

The image library's public names are here, for example ``from darkroom import readImages``. They
are imported when they are first asked for: `darkroom.contract` is part of this package too, and
is used where there is no Spark.
"""

import importlib
from typing import Any

_PUBLIC = {
    "DeepImageFeaturizer": "darkroom.ml.pictures.featurizer",
    "DeepImagePredictor": "darkroom.ml.pictures.predictor",
    "ImageCrossValidator": "darkroom.tuning.validators.cross_validator",
    "ImageTrainValidationSplit": "darkroom.tuning.validators.train_validation_split",
    "KerasImageFileEstimator": "darkroom.ml.training.estimator",
    "KerasImageFileModel": "darkroom.ml.training.model",
    "KerasImageFileTransformer": "darkroom.ml.pictures.file_transformer",
    "KerasTransformer": "darkroom.ml.tensors.keras_transformer",
    "TFTransformer": "darkroom.ml.tensors.tf_transformer",
    "arrayToImageStruct": "darkroom.images",
    "createResizeImageUDF": "darkroom.ml.pictures.reading",
    "decodeImages": "darkroom.ml.pictures.reading",
    "imageStructToArray": "darkroom.images",
    "imageStructToRGB": "darkroom.images",
    "readImages": "darkroom.ml.pictures.reading",
    "registerKerasImageUDF": "darkroom.ml.recognition.sql_udf",
    "resizeImage": "darkroom.images",
}


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
