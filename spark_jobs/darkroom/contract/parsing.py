"""Turns plain mappings (from any YAML or JSON parser) into frozen dataclasses."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from darkroom.contract.errors import ConfigError
from darkroom.contract.names import near_matches

Built = TypeVar("Built")

_KINDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def build(cls: type[Built], values: object, where: str = "") -> Built:
    """Builds a dataclass, nested ones included.

    Args:
        cls: The dataclass.
        values: A mapping of its fields.
        where: Dotted name of the mapping inside the whole configuration, for messages.

    Returns:
        The instance; its ``__post_init__`` has validated it.

    Raises:
        ConfigError: A field is unknown, missing or of the wrong type.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(where or cls.__name__, values, "give a mapping of fields")
    assert is_dataclass(cls)
    hints = get_type_hints(cls)
    known = tuple(f.name for f in fields(cls))
    for name in values:
        if name not in known:
            field = _join(where, str(name) or '""')
            raise ConfigError(field, values[name], _unknown(str(name), known))
    arguments = {}
    for f in fields(cls):
        dotted = _join(where, f.name)
        if f.name in values:
            arguments[f.name] = _convert(hints[f.name], values[f.name], dotted)
        elif f.default is MISSING and f.default_factory is MISSING:
            raise ConfigError(dotted, None, "this field is required")
    return cls(**arguments)


def _convert(kind: Any, value: object, where: str) -> object:
    if get_origin(kind) in {Union, types.UnionType}:
        if value is None and type(None) in get_args(kind):
            return None
        kind = _choose(get_args(kind), value)
    if get_origin(kind) is tuple:
        return _convert_list(get_args(kind)[0], value, where)
    if get_origin(kind) is Mapping:
        return _convert_mapping(get_args(kind)[1], value, where)
    if is_dataclass(kind):
        assert isinstance(kind, type)
        return build(kind, value, where)
    return _convert_scalar(kind, value, where)


def _choose(options: tuple[Any, ...], value: object) -> Any:
    """Of several kinds the one that a value can be meant as: a mapping is a dataclass."""
    named = [option for option in options if option is not type(None)]
    if isinstance(value, Mapping):
        return next(filter(is_dataclass, named), named[0])
    if isinstance(value, list | tuple):
        return next((option for option in named if get_origin(option) is tuple), named[0])
    return named[0]


def _convert_scalar(kind: type, value: object, where: str) -> object:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    # bool is an int to Python, not to the person who wrote the file.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ConfigError(where, value, f"give {_KINDS[kind]}")
    return value


def _convert_list(kind: Any, value: object, where: str) -> tuple[object, ...]:
    if isinstance(value, str) or not isinstance(value, list | tuple):
        raise ConfigError(where, value, "give a list")
    return tuple(_convert(kind, item, f"{where}[{i}]") for i, item in enumerate(value))


def _convert_mapping(kind: Any, value: object, where: str) -> dict[str, object]:
    if not isinstance(value, Mapping):
        raise ConfigError(where, value, "give a mapping")
    return {str(key): _convert(kind, item, f"{where}.{key}") for key, item in value.items()}


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _unknown(name: str, known: tuple[str, ...]) -> str:
    return f"there is no such field, {near_matches(name, known)}"
