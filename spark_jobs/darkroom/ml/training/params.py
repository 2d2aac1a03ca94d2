"""Params of KerasImageFileEstimator and of the model that it fits, checked where they are set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self

from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasLabelCol

from darkroom.contract import ConfigError
from darkroom.ml.base.callables import check_callable
from darkroom.ml.base.params import HasEngine, HasErrorCol, HasModelFile, one_of
from darkroom.ml.pictures.params import HasImageLoader
from darkroom.ml.training.fit_params import parse_fit_params, parse_loss, parse_optimizer, plain

DROP: Final = "drop"
BAD_IMAGES: Final = ("error", DROP)


def checked_by(parse: Callable[[object], Any]) -> Callable[[Any], Any]:
    """Makes a converter that keeps a value as JSON knows it, once ``parse`` took it."""

    def convert(value: Any) -> Any:
        kept = plain(value)
        parse(kept)
        return kept

    return convert


def _labels(value: Any) -> list[str | int]:
    kept = plain(value)
    if isinstance(kept, list) and kept and all(type(item) in (str, int) for item in kept):
        return kept
    raise ConfigError("classLabels", value, "give a list of the labels, such as ['cat', 'dog']")


class ImageModelParams(HasImageLoader, HasErrorCol, HasEngine, HasModelFile):
    """Params that the estimator hands to the model it fits."""

    predictionCol: Param[str] = Param(
        Params._dummy(),
        "predictionCol",
        "column that gets the index of the best class as a double, for pyspark.ml's evaluators; "
        "no such column when it is not set",
        typeConverter=TypeConverters.toString,
    )
    classLabels: Param[list[str | int]] = Param(
        Params._dummy(),
        "classLabels",
        "labels in the order of the network's outputs; not set: those of the data, sorted",
        typeConverter=_labels,
    )

    def getPredictionCol(self) -> str:
        """Gets the value of predictionCol."""
        return self.getOrDefault(self.predictionCol)

    def setPredictionCol(self, value: str) -> Self:
        """Sets the value of predictionCol."""
        return self._set(predictionCol=value)

    def getClassLabels(self) -> list[str | int]:
        """Gets the value of classLabels."""
        return self.getOrDefault(self.classLabels)

    def setClassLabels(self, value: Sequence[str | int]) -> Self:
        """Sets the value of classLabels."""
        return self._set(classLabels=value)


class TrainingParams(ImageModelParams, HasLabelCol):
    """Params that say how to train."""

    modelFn: Param[Any] = Param(
        Params._dummy(),
        "modelFn",
        "a function without arguments that returns an uncompiled keras.Model, or where it is "
        "found, as 'module:function'; it is called on the workers",
        typeConverter=check_callable("modelFn"),
    )
    kerasOptimizer: Param[Any] = Param(
        Params._dummy(),
        "kerasOptimizer",
        "a Keras optimizer by name, or a dict such as {'name': 'adam', 'learning_rate': 0.001}",
        typeConverter=checked_by(parse_optimizer),
    )
    kerasLoss: Param[Any] = Param(
        Params._dummy(),
        "kerasLoss",
        "a Keras loss by name, or a dict such as {'name': 'categorical_crossentropy', "
        "'label_smoothing': 0.1}",
        typeConverter=checked_by(parse_loss),
    )
    kerasFitParams: Param[dict[str, Any]] = Param(
        Params._dummy(),
        "kerasFitParams",
        "a dict of batch_size, epochs, verbose, shuffle, seed, validation_split, early_stopping, "
        "callbacks and class_weight, all optional",
        typeConverter=checked_by(parse_fit_params),
    )
    badImages: Param[str] = Param(
        Params._dummy(),
        "badImages",
        "what becomes of training rows without a readable image or a label: error or drop",
        typeConverter=one_of("badImages", BAD_IMAGES),
    )

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(
            kerasOptimizer="adam",
            kerasLoss="categorical_crossentropy",
            kerasFitParams={},
            badImages="error",
        )

    def setLabelCol(self, value: str) -> Self:
        """Sets the value of labelCol."""
        return self._set(labelCol=value)

    def getModelFn(self) -> Any:
        """Gets the value of modelFn."""
        return self.getOrDefault(self.modelFn)

    def setModelFn(self, value: Callable[[], Any] | str) -> Self:
        """Sets the value of modelFn."""
        return self._set(modelFn=value)

    def getKerasOptimizer(self) -> Any:
        """Gets the value of kerasOptimizer or its default value."""
        return self.getOrDefault(self.kerasOptimizer)

    def setKerasOptimizer(self, value: str | Mapping[str, Any]) -> Self:
        """Sets the value of kerasOptimizer."""
        return self._set(kerasOptimizer=value)

    def getKerasLoss(self) -> Any:
        """Gets the value of kerasLoss or its default value."""
        return self.getOrDefault(self.kerasLoss)

    def setKerasLoss(self, value: str | Mapping[str, Any]) -> Self:
        """Sets the value of kerasLoss."""
        return self._set(kerasLoss=value)

    def getKerasFitParams(self) -> dict[str, Any]:
        """Gets the value of kerasFitParams or its default value."""
        return self.getOrDefault(self.kerasFitParams)

    def setKerasFitParams(self, value: Mapping[str, Any]) -> Self:
        """Sets the value of kerasFitParams."""
        return self._set(kerasFitParams=value)

    def getBadImages(self) -> str:
        """Gets the value of badImages or its default value."""
        return self.getOrDefault(self.badImages)

    def setBadImages(self, value: str) -> Self:
        """Sets the value of badImages."""
        return self._set(badImages=value)
