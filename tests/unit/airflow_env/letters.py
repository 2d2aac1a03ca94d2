"""Notifiers as a company may write them: each letter is a line of a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from airflow.sdk import BaseNotifier, Context


class Letter(BaseNotifier):
    """Adds its text to a file."""

    template_fields: Sequence[str] = ("text",)

    def __init__(self, file: str, text: str) -> None:
        super().__init__()
        self.file = file
        self.text = text

    def notify(self, context: Context) -> None:
        """Writes the letter."""
        del context
        with Path(self.file).open("a") as lines:
            lines.write(f"{self.text}\n")


class Unsent(Letter):
    """Fails as a mail server that is down does."""

    def notify(self, context: Context) -> None:
        """Raises."""
        raise ConnectionRefusedError("no post today")


class Unfinished(BaseNotifier):
    """A notifier that cannot notify."""
