"""Params of the stages over pictures, checked where they are set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pyspark.ml.param import Param, Params

from darkroom.contract import ConfigError, WeightsFile
from darkroom.contract.names import BACKBONES
from darkroom.ml.base.callables import check_callable, find_callable
from darkroom.ml.base.params import HasColumns, HasModelFile, one_of, plain_path
from darkroom.ml.pictures.column import ImageKind, Loader, image_kind

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Weights = Mapping[str, "str | Path | Mapping[str, str]"]
"""Path or URI by model name; with a SHA-256 as ``{"uri": ..., "sha256": ...}``."""


def to_weights(value: Any) -> dict[str, str | dict[str, str]]:
    """Converts weights to what JSON knows."""
    if not isinstance(value, Mapping):
        raise ConfigError("weights", value, "give a dict such as {'ResNet50': '/models/r50.h5'}")
    files = {name: WeightsFile.of(name, plain_path(item)) for name, item in value.items()}
    return {
        name: {"uri": file.uri, "sha256": file.sha256} if file.sha256 else file.uri
        for name, file in files.items()
    }


class HasBackbone(HasModelFile):
    """Mixin for params modelName, modelFile and weights: which network."""

    modelName: Param[str] = Param(
        Params._dummy(),
        "modelName",
        "a classifier of keras.applications, spelled as there, or embedded",
        typeConverter=one_of("modelName", BACKBONES),
    )
    weights: Param[dict[str, Any]] = Param(
        Params._dummy(),
        "weights",
        "path or URI of a weights file by model name, alone or as {'uri': ..., 'sha256': ...}, "
        "where Keras' own are not wanted",
        typeConverter=to_weights,
    )

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(weights={})

    def getModelName(self) -> str:
        """Gets the value of modelName."""
        return self.getOrDefault(self.modelName)

    def setModelName(self, value: str) -> Self:
        """Sets the value of modelName."""
        return self._set(modelName=value)

    def getWeights(self) -> dict[str, Any]:
        """Gets the value of weights or its default value."""
        return self.getOrDefault(self.weights)

    def setWeights(self, value: Weights) -> Self:
        """Sets the value of weights."""
        return self._set(weights=value)


class HasImageLoader(HasColumns):
    """Mixin for param imageLoader."""

    imageLoader: Param[Any] = Param(
        Params._dummy(),
        "imageLoader",
        "a function from a path or URI to an array of the model's input shape (a leading batch "
        "axis of 1 is dropped), or where it is found, as 'module:function'; not set: the picture "
        "is read, decoded and resized as everywhere in Darkroom",
        typeConverter=check_callable("imageLoader"),
    )

    def _loader(self, dataset: DataFrame) -> Loader | None:
        """The function, if one is set; the input column's type is checked in any case."""
        kind = image_kind(dataset, self.getInputCol())
        if not self.isSet(self.imageLoader):
            return None
        if kind is not ImageKind.URI:
            raise ConfigError(
                "inputCol",
                self.getInputCol(),
                f"it holds {kind}, and imageLoader takes a path or URI: give a STRING column",
            )
        return find_callable("imageLoader", self.getImageLoader())

    def getImageLoader(self) -> Any:
        """Gets the value of imageLoader."""
        return self.getOrDefault(self.imageLoader)

    def setImageLoader(self, value: Callable[[str], Any] | str) -> Self:
        """Sets the value of imageLoader."""
        return self._set(imageLoader=value)
