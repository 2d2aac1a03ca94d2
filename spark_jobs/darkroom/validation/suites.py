"""What is expected of a pipeline's images: a file that people edit, or the built-in suite."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from darkroom.contract import ConfigError, PipelineConfig
from darkroom.contract import columns as c
from darkroom.contract.names import near_matches
from darkroom.lake.schema import column_names
from darkroom.validation.facts import SMALLER_SIDE

if TYPE_CHECKING:
    from great_expectations.compatibility.pydantic import ValidationError
    from great_expectations.expectations import Expectation

FOLDER: Final = Path("config/expectations")
"""Where the files are, one per pipeline; relative to the project's root."""

KNOWN_FORMATS: Final = ("BMP", "GIF", "JPEG", "MPO", "PNG", "PPM", "TIFF", "WEBP")
"""Formats, as Pillow names them, that other programs of a pipeline can open as well."""

COLUMNS: Final = (
    *(name for name in column_names(c.IMAGES) if name not in (c.IMAGE, c.METADATA)),
    SMALLER_SIDE,
)
"""What Great Expectations' own expectations may name: what is known of an image, no pixels."""

DRIFT: Final = "expect_drift_to_be_at_most"
"""Type of the expectations that compare with the last accepted snapshot."""

BUILT_IN: Final = "built-in"
_ENTRIES: Final = "expectations"
_PROFILE: Final = "profile"
_TYPE: Final = "type"
_SEVERITY: Final = "severity"
_NOTES: Final = "notes"
_COLUMN_FIELDS: Final = ("column", "column_A", "column_B", "column_list")


class Severity(StrEnum):
    """What becomes of a run when an expectation is not met."""

    ERROR = "error"
    """It stops."""
    WARN = "warn"
    """It goes on, and says so."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One expectation.

    Attributes:
        type: Its type, as Great Expectations spells types.
        arguments: Its fields.
        severity: One of `Severity`.
        notes: Why it is there, for people.
    """

    type: str
    arguments: Mapping[str, Any]
    severity: Severity = Severity.ERROR
    notes: str | None = None


@dataclass(frozen=True, kw_only=True)
class Suite:
    """All expectations of a pipeline.

    Attributes:
        entries: They, in order.
        origin: The file, or ``built-in``.
    """

    entries: tuple[Entry, ...]
    origin: str = BUILT_IN

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what is expected; comments and notes do not count."""
        wanted = [{**asdict(entry), _NOTES: None} for entry in self.entries]
        # YAML knows dates, which JSON does not.
        text = json.dumps(wanted, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def where(self, number: int) -> str:
        """Names an entry in a message."""
        return f"{self.origin}: {_ENTRIES}[{number}]"


def suite_of(config: PipelineConfig) -> Suite:
    """The pipeline's own file, where it has one, or the built-in suite.

    Raises:
        ConfigError: The file cannot be used.
    """
    named = config.validation.expectations
    file = Path(named) if named else default_file(config.name)
    if file.exists():
        return read_suite(file)
    if named:
        remedy = "there is no such file: correct the path, or write one with make profile"
        raise ConfigError("validation.expectations", named, remedy)
    return built_in(config)


def default_file(pipeline: str) -> Path:
    """Where a pipeline's expectations are unless its configuration says otherwise."""
    return FOLDER / f"{pipeline}.yaml"


def built_in(config: PipelineConfig) -> Suite:
    """What is expected where nobody has written anything else down."""
    limits = config.validation
    error, warn = Severity.ERROR, Severity.WARN
    return Suite(
        entries=(
            _entry("expect_every_image_once", error),
            _entry("expect_unlabelled_images_to_be_at_most", error, max_value=0),
            _entry(
                "expect_images_per_class_to_be_between",
                error,
                min_value=limits.min_images_per_class,
            ),
            _entry("expect_images_per_class_to_be_between", error, min_value=1, split=c.TRAIN),
            _entry("expect_images_per_class_to_be_between", error, min_value=1, split=c.TEST),
            _entry("expect_class_ratio_to_be_at_most", error, max_value=limits.max_class_ratio),
            _entry("expect_formats_to_be_in_set", error, formats=list(KNOWN_FORMATS)),
            _entry("expect_resolution_to_be_between", error, min_side=config.source.min_side),
            _entry(
                "expect_rejected_ratio_to_be_at_most", error, max_value=limits.max_rejected_share
            ),
            _entry("expect_split_leaks_to_be_at_most", error, max_value=0),
            _entry("expect_excluded_ratio_to_be_at_most", warn, max_value=0.05),
            _entry("expect_label_conflicts_to_be_at_most", warn, max_value=0),
            _entry("expect_duplicate_ratio_to_be_at_most", warn, max_value=0.1),
            *(_entry(DRIFT, warn, of=of) for of in ("label", "brightness", "size")),
        )
    )


def read_suite(file: Path) -> Suite:
    """Reads a file of expectations; their own fields are looked at by `expectations_of`.

    Args:
        file: YAML: a list ``expectations`` of mappings with ``type``, optionally ``severity``
            and ``notes``, and the expectation's own fields.

    Returns:
        The suite.

    Raises:
        ConfigError: The file is not YAML, or not of that form.
    """
    try:
        values = yaml.safe_load(file.read_text())
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(_ENTRIES, str(file), f"not valid YAML: {reason}") from None
    if not isinstance(values, dict):
        raise ConfigError(_ENTRIES, str(file), f"the file must hold a mapping with {_ENTRIES}")
    for name in values:
        if name not in (_ENTRIES, _PROFILE):
            remedy = f"there is no such field, {near_matches(str(name), (_ENTRIES, _PROFILE))}"
            raise ConfigError(f"{file}: {name}", values[name], remedy)
    entries = values.get(_ENTRIES)
    if not isinstance(entries, list) or not entries:
        raise ConfigError(f"{file}: {_ENTRIES}", entries, "give a list of at least one expectation")
    suite = Suite(entries=(), origin=str(file))
    read = tuple(_read(entry, suite.where(number)) for number, entry in enumerate(entries))
    return Suite(entries=read, origin=str(file))


def expectations_of(suite: Suite) -> list[Expectation]:
    """Makes the expectations; imports Great Expectations.

    Returns:
        One per entry, in order; instances of `darkroom.validation.expectations.FactsExpectation`
        look at the facts, others at the images' metadata.

    Raises:
        ConfigError: An entry is of no known type, or a field of it is wrong: the message names
            file, entry, field, value and remedy.
    """
    known = _known_types()
    return [
        _expectation(entry, suite.where(number), known)
        for number, entry in enumerate(suite.entries)
    ]


def columns_of(suite: Suite) -> list[str]:
    """The columns that a suite's entries name; the id where they name none."""
    named: set[str] = set()
    for entry in suite.entries:
        for field in _COLUMN_FIELDS:
            given = entry.arguments.get(field, ())
            named.update(given if isinstance(given, list) else [given] if given else [])
    return sorted(named) or [c.IMAGE_ID]


def _entry(kind: str, severity: Severity, **arguments: Any) -> Entry:
    return Entry(type=kind, arguments=arguments, severity=severity)


def _read(entry: object, where: str) -> Entry:
    if not isinstance(entry, dict):
        raise ConfigError(where, entry, "give a mapping with the expectation's type and fields")
    arguments = {str(name): value for name, value in entry.items()}
    kind, notes = arguments.pop(_TYPE, None), arguments.pop(_NOTES, None)
    severity = arguments.pop(_SEVERITY, Severity.ERROR.value)
    if not isinstance(kind, str):
        raise ConfigError(f"{where}: {_TYPE}", kind, "name the expectation's type")
    if severity not in tuple(Severity):
        remedy = f"there is no such choice, {near_matches(str(severity), tuple(Severity))}"
        raise ConfigError(f"{where} {kind}: {_SEVERITY}", severity, remedy)
    if notes is not None and not isinstance(notes, str):
        raise ConfigError(f"{where} {kind}: {_NOTES}", notes, "give text")
    return Entry(type=kind, arguments=arguments, severity=Severity(severity), notes=notes)


def _known_types() -> dict[str, type[Expectation]]:
    """Expectations that a file may name: our own, and Great Expectations' about columns."""
    from great_expectations.expectations import core
    from great_expectations.expectations.expectation import (
        ColumnAggregateExpectation,
        ColumnMapExpectation,
        ColumnPairMapExpectation,
        MulticolumnMapExpectation,
    )

    from darkroom.validation.expectations import OWN

    about_columns = (
        ColumnAggregateExpectation,
        ColumnMapExpectation,
        ColumnPairMapExpectation,
        MulticolumnMapExpectation,
    )
    theirs = [
        found
        for found in vars(core).values()
        if isinstance(found, type) and issubclass(found, about_columns)
    ]
    return {found.expectation_type: found for found in (*OWN, *theirs)}


def _expectation(entry: Entry, where: str, known: Mapping[str, type[Expectation]]) -> Expectation:
    from great_expectations.compatibility.pydantic import ValidationError
    from great_expectations.expectations.expectation import Expectation
    from great_expectations.expectations.metadata_types import FailureSeverity

    if entry.type not in known:
        remedy = f"there is no such expectation, {_nearest(entry.type, known)}"
        raise ConfigError(f"{where}: {_TYPE}", entry.type, remedy)
    kind, place = known[entry.type], f"{where} {entry.type}"
    fields = [name for name in kind.__fields__ if name not in Expectation.__fields__]
    fields = [name for name in fields if name not in _NOT_FOR_PEOPLE]
    for name, value in entry.arguments.items():
        if name not in fields:
            remedy = f"there is no such field, {near_matches(name, fields)}"
            raise ConfigError(f"{place}: {name}", value, remedy if fields else "it has no fields")
    for name in _COLUMN_FIELDS:
        if name in entry.arguments:
            _check_columns(entry.arguments[name], f"{place}: {name}")
    gravest = {Severity.ERROR: FailureSeverity.CRITICAL, Severity.WARN: FailureSeverity.WARNING}
    try:
        return kind(
            **entry.arguments,
            severity=gravest[entry.severity],
            notes=entry.notes,
            meta={_SEVERITY: entry.severity.value},
        )
    except ValidationError as error:
        raise _explained(error, entry, place) from None


_NOT_FOR_PEOPLE: Final = ("batch_id", "row_condition", "condition_parser")


def _check_columns(given: object, where: str) -> None:
    for name in given if isinstance(given, list) else [given]:
        if name not in COLUMNS:
            remedy = f"there is no such column, {near_matches(str(name), COLUMNS)}"
            raise ConfigError(where, name, remedy)


def _nearest(kind: str, known: Iterable[str]) -> str:
    """Near matches without the long list of all that there are."""
    found = near_matches(kind, tuple(known))
    return found if found.endswith("?") else "docs/validation.md lists those that there are"


_REMEDIES: Final = {
    "value_error.missing": "this field is required",
    "type_error.integer": "give a whole number",
    "type_error.float": "give a number",
    "type_error.str": "give text",
    "type_error.bool": "give true or false",
    "type_error.list": "give a list",
    "value_error.list.min_items": "give at least one",
    "value_error.list.unique_items": "names something twice: remove one",
    "value_error.strictbool": "give true or false",
    "value_error.number.not_ge": "must be at least {limit_value}",
    "value_error.number.not_le": "must be at most {limit_value}",
    "value_error.number.not_gt": "must be above {limit_value}",
    "value_error.number.not_lt": "must be below {limit_value}",
}


def _explained(error: ValidationError, entry: Entry, place: str) -> ConfigError:
    """The first thing that Pydantic complains of, in this project's words."""
    first = error.errors()[0]
    name = str(first["loc"][0])
    remedy = _REMEDIES.get(first["type"], " ".join(str(first["msg"]).split()))
    value = entry.arguments.get(name)
    field = place if name == "__root__" else f"{place}: {name}"
    shown: Sequence[Any] | Any = dict(entry.arguments) if name == "__root__" else value
    return ConfigError(field, shown, remedy.format(**first.get("ctx", {})))
