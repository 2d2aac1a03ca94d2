"""Errors that a person can act on, and the exit codes that programs see."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit status of every entrypoint."""

    OK = 0
    INTERNAL = 1
    """An unexpected error: the traceback is in the log; a retry may help."""
    CONFIG = 2
    """The configuration or the command line is wrong: a retry cannot help."""
    DATA = 3
    """The source or its images cannot be used: a retry cannot help."""
    GATE = 4
    """The gate did not let the candidate pass."""
    MISSING_INPUT = 5
    """An earlier stage's result is not there."""


class DarkroomError(Exception):
    """Base of all errors whose message is one line for a person.

    Attributes:
        exit_code: What the process exits with.
        permanent: True when running the same thing again cannot succeed.
    """

    exit_code: ExitCode = ExitCode.INTERNAL
    permanent: bool = False


class ConfigError(DarkroomError):
    """A setting is wrong; the message names the field, the value and the remedy."""

    exit_code = ExitCode.CONFIG
    permanent = True

    def __init__(self, field: str, value: object, remedy: str) -> None:
        """Args: field: dotted name; value: what was received; remedy: what to do instead."""
        super().__init__(f"{field} = {value!r}: {remedy}")
        self.field = field
        self.value = value
        self.remedy = remedy


class DataError(DarkroomError):
    """The images cannot be used as they are."""

    exit_code = ExitCode.DATA
    permanent = True


class ConflictError(DarkroomError):
    """Another process changed a table meanwhile; nothing was written, and a new try may succeed."""


class DiskFullError(DarkroomError):
    """There is no room left for what a stage writes; what it had committed before stands."""


class GateFailedError(DarkroomError):
    """A gate refused to go on; its reasons are in the message."""

    exit_code = ExitCode.GATE
    permanent = True


class MissingInputError(DarkroomError):
    """A stage was started before the one whose result it needs."""

    exit_code = ExitCode.MISSING_INPUT
    permanent = True


def one_line(error: object, limit: int | None = 200) -> str:
    """What an error says, on one line of at most ``limit`` characters; its class if it is mute."""
    return " ".join(str(error).split())[:limit] or type(error).__name__


def class_and_text(error: BaseException, limit: int = 200) -> str:
    """Like `one_line`, after the error's class: many libraries' texts say little without it."""
    kind, text = type(error).__name__, one_line(error, limit)
    return kind if text == kind else f"{kind}: {text}"
