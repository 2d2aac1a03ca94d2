"""Airflow's notifiers as a pipeline's file names them: who hears of a question, and how."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from airflow.sdk import BaseNotifier, Context
from airflow.sdk._shared.secrets_masker import DEFAULT_SENSITIVE_FIELDS

from darkroom.contract import ConfigError, NotifierConfig, class_and_text

_HIDDEN: Final = "***"


class Announcement(BaseNotifier):
    """Has a notifier tell people; where it cannot, the question stands, and the log says so.

    By itself, Airflow fails the task that asks.

    Args:
        notifier: Tells them.
    """

    def __init__(self, notifier: BaseNotifier) -> None:
        super().__init__()
        self.notifier = notifier

    def notify(self, context: Context) -> None:
        """Tells them."""
        try:
            self.notifier(context)
        except Exception as error:
            name, why = type(self.notifier).__name__, class_and_text(error)
            self.log.error("People are asked, but %s did not tell them: %s", name, why)


def make_notifiers(configs: Sequence[NotifierConfig]) -> list[Announcement]:
    """Makes the notifiers of ``approval.notifiers``; nothing is sent yet.

    Args:
        configs: What the file names.

    Returns:
        One for each.

    Raises:
        ConfigError: There is no such class, it is no notifier, it does not take the arguments, or
            one of them is a secret.
    """
    return [
        Announcement(_make(config, f"approval.notifiers[{number}]"))
        for number, config in enumerate(configs)
    ]


def _make(config: NotifierConfig, where: str) -> BaseNotifier:
    _check_no_secret(config.arguments, f"{where}.arguments")
    kind: Callable[..., BaseNotifier] = _find(config.notifier, f"{where}.notifier")
    try:
        return kind(**config.arguments)
    except Exception as error:
        remedy = f"{kind.__name__} does not take them ({class_and_text(error)}): correct them"
        raise ConfigError(f"{where}.arguments", dict(config.arguments), remedy) from None


def _find(path: str, where: str) -> type[BaseNotifier]:
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:
        remedy = f"Airflow's environment does not have it ({class_and_text(error)}): install it"
        raise ConfigError(where, path, f"{remedy}, or correct the path") from None
    # Airflow calls them here, where nothing is awaited.
    if not _is_notifier(found) or found.notify is BaseNotifier.notify:
        remedy = "it is no airflow.sdk.BaseNotifier with a method notify: name a class that is one"
        raise ConfigError(where, path, remedy)
    notifier: type[BaseNotifier] = found
    return notifier


def _is_notifier(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, BaseNotifier)


def _check_no_secret(value: object, where: str, name: str = "") -> None:
    """Refuses what Airflow would hide in its logs by its name, and a password in an address."""
    if value and (_hides(name) or _has_password(value)):
        remedy = (
            "a secret does not belong in this file: keep it in a connection of Airflow's, and "
            "give the notifier that connection's id"
        )
        raise ConfigError(where, _HIDDEN, remedy)
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _check_no_secret(inner, f"{where}.{key}", str(key))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            _check_no_secret(inner, f"{where}[{number}]")


def _hides(name: str) -> bool:
    plain = re.sub(r"\W+", "_", name.lower())
    return any(field in plain for field in DEFAULT_SENSITIVE_FIELDS)


def _has_password(value: object) -> bool:
    try:
        return isinstance(value, str) and urlsplit(value).password is not None
    except ValueError:
        return False
