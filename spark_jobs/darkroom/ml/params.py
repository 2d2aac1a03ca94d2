"""Params that several stages share, checked where they are set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Self

from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasInputCol, HasOutputCol

from darkroom.contract import ConfigError, WeightsFile
from darkroom.contract.names import BACKBONES, Engine, near_matches
from darkroom.ml.callables import check_callable

Weights = Mapping[str, "str | Path | Mapping[str, str]"]
"""Path or URI by model name; with a SHA-256 as ``{"uri": ..., "sha256": ...}``."""


MANY: Final = 6
"""So many words are not all listed in an error."""


def one_of(field: str, known: tuple[str, ...]) -> Callable[[Any], str]:
    """Makes a converter that takes one of some words."""

    def convert(value: Any) -> str:
        if value in known:
            return str(value)
        long = isinstance(value, str) and len(known) > MANY
        remedy = near_matches(value, known) if long else f"known are {', '.join(known)}"
        raise ConfigError(field, value, f"unknown, {remedy}")

    return convert


def text_map(field: str, example: str) -> Callable[[Any], dict[str, str]]:
    """Makes a converter that takes a mapping of texts to texts."""

    def convert(value: Any) -> dict[str, str]:
        texts = isinstance(value, Mapping) and [text for pair in value.items() for text in pair]
        if texts and all(isinstance(text, str) for text in texts):
            return dict(value)
        raise ConfigError(field, value, f"give a dict of texts such as {example}")

    return convert


def whole(field: str, low: int) -> Callable[[Any], int]:
    """Makes a converter that takes a whole number, at least ``low``."""

    def convert(value: Any) -> int:
        try:
            number = TypeConverters.toInt(value)
        except TypeError:
            number = low - 1
        if number < low or isinstance(value, bool):
            raise ConfigError(field, value, f"give a whole number of at least {low}")
        return number

    return convert


def path_text(field: str) -> Callable[[Any], str]:
    """Makes a converter that takes a path as text or `pathlib.Path`."""

    def convert(value: Any) -> str:
        text = _plain(value)
        if isinstance(text, str) and text:
            return text
        raise ConfigError(field, value, "give the path of a model as text")

    return convert


def to_weights(value: Any) -> dict[str, str | dict[str, str]]:
    """Converts weights to what JSON knows."""
    if not isinstance(value, Mapping):
        raise ConfigError("weights", value, "give a dict such as {'ResNet50': '/models/r50.h5'}")
    files = {name: WeightsFile.of(name, _plain(item)) for name, item in value.items()}
    return {
        name: {"uri": file.uri, "sha256": file.sha256} if file.sha256 else file.uri
        for name, file in files.items()
    }


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


class KeywordParams(Params):
    """Mixin: Params by keyword, as every constructor and ``setParams`` of pyspark.ml takes them."""

    _input_kwargs: dict[str, Any]

    def _set_given(self) -> Self:
        """Sets what the method under ``@keyword_only`` was given; None stands for not given."""
        given = {name: value for name, value in self._input_kwargs.items() if value is not None}
        return self._set(**given)


class HasColumns(HasInputCol, HasOutputCol, KeywordParams):
    """Mixin for params inputCol and outputCol."""

    def setInputCol(self, value: str) -> Self:
        """Sets the value of inputCol."""
        return self._set(inputCol=value)

    def setOutputCol(self, value: str) -> Self:
        """Sets the value of outputCol."""
        return self._set(outputCol=value)


class HasErrorCol(Params):
    """Mixin for param errorCol."""

    errorCol: Param[str] = Param(
        Params._dummy(),
        "errorCol",
        "column that gets the reason, one line, where the output is null although the input is "
        "not; no such column when it is not set",
        typeConverter=TypeConverters.toString,
    )

    def getErrorCol(self) -> str:
        """Gets the value of errorCol."""
        return self.getOrDefault(self.errorCol)

    def setErrorCol(self, value: str) -> Self:
        """Sets the value of errorCol."""
        return self._set(errorCol=value)


class HasEngine(Params):
    """Mixin for param engine."""

    engine: Param[str] = Param(
        Params._dummy(),
        "engine",
        "what runs the network: auto, tensorflow, openvino or onnxruntime",
        typeConverter=one_of("engine", tuple(item.value for item in Engine)),
    )

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(engine=Engine.AUTO.value)

    def getEngine(self) -> str:
        """Gets the value of engine or its default value."""
        return self.getOrDefault(self.engine)

    def setEngine(self, value: str) -> Self:
        """Sets the value of engine."""
        return self._set(engine=value)


class HasModelFile(Params):
    """Mixin for param modelFile."""

    modelFile: Param[str] = Param(
        Params._dummy(),
        "modelFile",
        "path of a Keras model (.keras, .h5) or of a SavedModel folder, on the driver",
        typeConverter=path_text("modelFile"),
    )

    def _model_file(self) -> Path:
        """The path, checked."""
        if not self.isSet(self.modelFile):
            raise ConfigError("modelFile", None, f"set modelFile of {type(self).__name__}")
        file = Path(self.getModelFile())
        if not file.exists():
            raise ConfigError(
                "modelFile", str(file), "there is no such file: put it there or correct the path"
            )
        return file

    def getModelFile(self) -> str:
        """Gets the value of modelFile."""
        return self.getOrDefault(self.modelFile)

    def setModelFile(self, value: str | Path) -> Self:
        """Sets the value of modelFile."""
        return self._set(modelFile=value)


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


class HasImageLoader(Params):
    """Mixin for param imageLoader."""

    imageLoader: Param[Any] = Param(
        Params._dummy(),
        "imageLoader",
        "a function from a path or URI to an array of the model's input shape (a leading batch "
        "axis of 1 is dropped), or where it is found, as 'module:function'; not set: the picture "
        "is read, decoded and resized as everywhere in Darkroom",
        typeConverter=check_callable("imageLoader"),
    )

    def getImageLoader(self) -> Any:
        """Gets the value of imageLoader."""
        return self.getOrDefault(self.imageLoader)

    def setImageLoader(self, value: Callable[[str], Any] | str) -> Self:
        """Sets the value of imageLoader."""
        return self._set(imageLoader=value)
