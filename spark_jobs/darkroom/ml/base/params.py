"""Params that several stages share, checked where they are set."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Self

from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasInputCol, HasOutputCol

from darkroom.contract import ConfigError
from darkroom.contract.names import Engine, near_matches
from darkroom.files.local import existing
from darkroom.ml.base.attaching import Answer

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


to_engine = one_of("engine", tuple(item.value for item in Engine))
"""Takes the name of an engine."""


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
        text = plain_path(value)
        if isinstance(text, str) and text:
            return text
        raise ConfigError(field, value, "give the path of a model as text")

    return convert


def plain_path(value: Any) -> Any:
    """A `pathlib.Path` as text; anything else as it is."""
    return str(value) if isinstance(value, Path) else value


class KeywordParams(Params):
    """Mixin: Params by keyword, as every constructor and ``setParams`` of pyspark.ml takes them."""

    _input_kwargs: dict[str, Any]

    def setParams(self, **params: Any) -> Self:
        """Sets Params by keyword, those of the constructor; None leaves a Param as it is.

        Raises:
            ConfigError: The constructor has no such keyword, or a value cannot be used.
        """
        known = tuple(inspect.signature(type(self)).parameters)
        for name, value in params.items():
            if name not in known:
                remedy = f"no such keyword of {type(self).__name__}, {near_matches(name, known)}"
                raise ConfigError(name, value, remedy)
        return self._set_given(params)

    def _set_given(self, params: Mapping[str, Any]) -> Self:
        return self._set(**{name: value for name, value in params.items() if value is not None})

    def _require(self, param: str) -> None:
        if not self.isDefined(param):
            raise ConfigError(param, None, f"set {param} of {type(self).__name__}")

    def _either(self, first: str, second: str) -> str:
        """Which of two Params is set; exactly one has to be."""
        given = [name for name in (first, second) if self.isSet(name)]
        if len(given) == 1:
            return given[0]
        raise ConfigError(
            first,
            self.getOrDefault(first) if given else None,
            f"set either {first} or {second} of {type(self).__name__}, "
            f"{'not both' if given else 'neither is set'}",
        )


class HasColumns(HasInputCol, HasOutputCol, KeywordParams):
    """Mixin for params inputCol and outputCol."""

    def setInputCol(self, value: str) -> Self:
        """Sets the value of inputCol."""
        return self._set(inputCol=value)

    def setOutputCol(self, value: str) -> Self:
        """Sets the value of outputCol."""
        return self._set(outputCol=value)


class HasErrorCol(KeywordParams):
    """Mixin for param errorCol."""

    errorCol: Param[str] = Param(
        Params._dummy(),
        "errorCol",
        "column that gets the reason, one line, where the output is null although the input is "
        "not; no such column when it is not set",
        typeConverter=TypeConverters.toString,
    )

    def _error_answer(self) -> Answer:
        """The errors' column, if there is to be one."""
        from pyspark.sql.types import StringType

        name = self.getErrorCol() if self.isSet(self.errorCol) else None
        return Answer("errorCol", name, StringType())

    def getErrorCol(self) -> str:
        """Gets the value of errorCol."""
        return self.getOrDefault(self.errorCol)

    def setErrorCol(self, value: str) -> Self:
        """Sets the value of errorCol."""
        return self._set(errorCol=value)


class HasEngine(KeywordParams):
    """Mixin for param engine."""

    engine: Param[str] = Param(
        Params._dummy(),
        "engine",
        "what runs the network: auto, tensorflow, openvino or onnxruntime",
        typeConverter=to_engine,
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


class HasModelFile(KeywordParams):
    """Mixin for param modelFile."""

    modelFile: Param[str] = Param(
        Params._dummy(),
        "modelFile",
        "path of a Keras model (.keras, .h5) or of a SavedModel folder, on the driver",
        typeConverter=path_text("modelFile"),
    )

    def _model_file(self) -> Path:
        """The path, checked."""
        self._require("modelFile")
        return existing("modelFile", self.getModelFile())

    def getModelFile(self) -> str:
        """Gets the value of modelFile."""
        return self.getOrDefault(self.modelFile)

    def setModelFile(self, value: str | Path) -> Self:
        """Sets the value of modelFile."""
        return self._set(modelFile=value)
