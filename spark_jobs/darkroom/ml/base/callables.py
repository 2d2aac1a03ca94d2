"""Functions as values that can be saved: by the name under which they are imported."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from darkroom.contract import ConfigError, class_and_text


def check_callable(field: str) -> Callable[[Any], Any]:
    """Makes a converter that takes a function or ``module:function``, unchanged."""

    def convert(value: Any) -> Any:
        if callable(value):
            return value
        if isinstance(value, str) and all(part for part in value.partition(":")):
            return value
        raise ConfigError(field, value, "give a function, or where it is found: 'module:function'")

    return convert


def find_callable(field: str, value: Any) -> Callable[..., Any]:
    """The function itself.

    Raises:
        ConfigError: The module cannot be imported, or has no such function.
    """
    if callable(value):
        return value  # type: ignore[no-any-return]
    module, _, name = value.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:
        remedy = f"it cannot be imported ({class_and_text(error)})"
        raise ConfigError(field, value, remedy) from None
    if not callable(found):
        raise ConfigError(field, value, f"it is no function but of type {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def name_of(field: str, value: Any) -> str:
    """``module:function`` of a function, so that it can be saved without pickle.

    Raises:
        ConfigError: Another process could not import it.
    """
    if isinstance(value, str):
        return value
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if module and name and module != "__main__":
        text = f"{module}:{name}"
        try:
            if find_callable(field, text) is value:
                return text
        except ConfigError:
            pass  # A lambda or an inner function: its name leads nowhere.
    raise ConfigError(
        field,
        value,
        "it cannot be saved: put the function into a module of its own and set it as "
        "'module:function'",
    )
