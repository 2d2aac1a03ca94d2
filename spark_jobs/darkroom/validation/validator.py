"""Has Great Expectations evaluate a suite and render its Data Docs; writes nothing but these."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from string import Template
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

from darkroom.contract import ConfigError
from darkroom.contract.workspace import safe_name
from darkroom.validation.facts import Facts
from darkroom.validation.suites import Entry, Severity, Suite, columns_of, expectations_of

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.core.batch_definition import BatchDefinition
    from great_expectations.core.expectation_validation_result import ExpectationValidationResult
    from great_expectations.data_context import EphemeralDataContext
    from great_expectations.expectations import Expectation
    from pyspark.sql import DataFrame

FACTS: Final = "facts"
IMAGES: Final = "images"
"""Names of the two batches, and so of their pages in the Data Docs."""

SHOWN_VALUES: Final = 3
_NUMBER: Final = "entry"

Metadata = Callable[[Sequence[str]], "DataFrame | pd.DataFrame"]


@dataclass(frozen=True, kw_only=True)
class Checked:
    """An expectation that was evaluated, in words.

    Attributes:
        expectation: Its type and what tells it from others of the type, for example
            ``expect_images_per_class_to_be_between(train)``.
        wanted: What is expected.
        observed: What the data say.
        met: Whether that is the same.
        severity: What becomes of the run if it is not.
        notes: Why it is there, in the words of whoever wrote it; empty if they wrote none.
    """

    expectation: str
    wanted: str
    observed: str
    met: bool
    severity: Severity
    notes: str = ""

    def __str__(self) -> str:
        """One line."""
        return f"{self.expectation}: observed {self.observed}, wanted {self.wanted}"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a validation found.

    Attributes:
        checked: All expectations, in the suite's order.
        pages: The Data Docs' page of each batch, by the batch's name.
    """

    checked: tuple[Checked, ...]
    pages: Mapping[str, Path]

    def unmet(self, severity: Severity) -> list[Checked]:
        """The expectations of a severity that were not met."""
        return [one for one in self.checked if not one.met and one.severity is severity]


def import_expectations_meanwhile() -> None:
    """Starts to import Great Expectations, which takes seconds, while Spark works."""
    Thread(target=import_module, args=("great_expectations",), name="import-expectations").start()


def validate_facts(
    suite: Suite, facts: Facts, metadata: Metadata, run_id: str, docs: Path
) -> Outcome:
    """Evaluates a suite and writes the Data Docs.

    Args:
        suite: What is expected.
        facts: What is held against our own expectations.
        metadata: Makes a frame of the named columns, a row per image, for Great Expectations'
            own ones; not called when the suite has none.
        run_id: Names the run in the Data Docs.
        docs: Folder of the Data Docs.

    Returns:
        The outcome.

    Raises:
        ConfigError: An entry of the suite is wrong, or does not fit its column.
        RuntimeError: One of our own expectations could not be evaluated.
    """
    from great_expectations.core.run_identifier import RunIdentifier

    from darkroom.validation.data_docs import build, open_context, page_of
    from darkroom.validation.facts_expectation import FactsExpectation

    batches: dict[str, list[Expectation]] = {FACTS: [], IMAGES: []}
    for number, expectation in enumerate(expectations_of(suite)):
        expectation.meta = {**(expectation.meta or {}), _NUMBER: number}
        own = isinstance(expectation, FactsExpectation)
        batches[FACTS if own else IMAGES].append(expectation)
    context = open_context(docs)
    run = RunIdentifier(run_name=safe_name(run_id), run_time=dt.datetime.now(dt.UTC))
    checked: dict[int, Checked] = {}
    for name, expectations in batches.items():
        if expectations:
            frame = facts.frame() if name == FACTS else metadata(columns_of(suite))
            for result in _evaluate(context, name, frame, expectations, run):
                number, one = _checked(result, suite)
                checked[number] = one
    build(context)
    return Outcome(
        checked=tuple(checked[number] for number in sorted(checked)),
        pages={name: page_of(docs, name, run) for name in batches if batches[name]},
    )


def _batch(
    context: EphemeralDataContext, name: str, frame: DataFrame | pd.DataFrame
) -> BatchDefinition[Any]:
    import pandas as pd

    in_memory = isinstance(frame, pd.DataFrame)
    sources = context.data_sources
    source = sources.add_pandas(name) if in_memory else sources.add_spark(name)
    return source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("snapshot")


def _evaluate(
    context: EphemeralDataContext,
    name: str,
    frame: DataFrame | pd.DataFrame,
    expectations: list[Expectation],
    run: Any,
) -> list[ExpectationValidationResult]:
    import great_expectations as gx

    suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=expectations))
    definition = context.validation_definitions.add(
        gx.ValidationDefinition(name=name, data=_batch(context, name, frame), suite=suite)
    )
    parameters = {"dataframe": frame}
    return definition.run(batch_parameters=parameters, result_format="BASIC", run_id=run).results


def _checked(result: ExpectationValidationResult, suite: Suite) -> tuple[int, Checked]:
    """The entry's number, and what was found."""
    from darkroom.validation.facts_expectation import FactsExpectation

    assert result.expectation_config is not None
    number: int = result.expectation_config.meta[_NUMBER]
    entry, expectation = suite.entries[number], result.expectation_config.to_domain_obj()
    if trouble := _trouble(result.exception_info or {}):
        if isinstance(expectation, FactsExpectation):
            raise RuntimeError(f"{entry.type} could not be evaluated: {trouble}")
        remedy = f"it could not be evaluated, does it fit the column? {trouble}"
        where = f"{suite.where(number)} {entry.type}"
        raise ConfigError(where, dict(entry.arguments), " ".join(remedy.split()))
    words = (
        expectation.wanted()
        if isinstance(expectation, FactsExpectation)
        else _in_words(expectation)
    )
    return number, Checked(
        expectation=_name(entry),
        wanted=words,
        observed=_observed(result.result),
        met=bool(result.success),
        severity=entry.severity,
        notes=entry.notes or "",
    )


def _name(entry: Entry) -> str:
    """The type, and the first argument that says what of the data is looked at."""
    about = ("column", "split", "of")
    which = next((str(entry.arguments[name]) for name in about if entry.arguments.get(name)), "")
    return f"{entry.type}({which})" if which else entry.type


def _in_words(expectation: Expectation) -> str:
    """What Great Expectations' own pages say of an expectation."""
    expectation.render()
    value: Any = (expectation.rendered_content or [])[0].value
    values = {name: param["value"] for name, param in (value.params or {}).items()}
    return Template(value.template).safe_substitute(values).rstrip(".")


def _trouble(info: Mapping[str, Any]) -> str:
    """What was raised: by the expectation itself, or by each of the metrics that it asked for."""
    raised = [info] if "exception_message" in info else list(info.values())
    return "; ".join(str(one["exception_message"]) for one in raised if one["exception_message"])


def _observed(found: Mapping[str, Any]) -> str:
    if "observed_value" in found:
        value = found["observed_value"]
        return f"{value:.4g}" if isinstance(value, float) else str(value)
    examples = list(dict.fromkeys(map(str, found.get("partial_unexpected_list", ()))))
    count = f"{found['unexpected_count']:,} of {found['element_count']:,} values against it"
    shown = ", ".join(examples[:SHOWN_VALUES])
    return f"{count} ({shown})" if shown else count
