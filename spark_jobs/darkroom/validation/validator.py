"""Runs the expectations and renders the Data Docs; writes nothing but these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.contract import PipelineConfig
from darkroom.contract import columns as c
from darkroom.validation.suites import (
    WANTED,
    Facts,
    class_expectations,
    image_expectations,
    source_expectations,
)

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.core import ExpectationSuiteValidationResult
    from great_expectations.core.batch_definition import BatchDefinition
    from great_expectations.core.expectation_validation_result import ExpectationValidationResult
    from great_expectations.data_context import EphemeralDataContext
    from great_expectations.expectations import Expectation
    from pyspark.sql import DataFrame

SITE = "data_docs"


@dataclass(frozen=True)
class Failure:
    """An expectation that was not met, in words.

    Attributes:
        expectation: Its type and column, for example ``expect_column_max_to_be_between(ratio)``.
        observed: What the data say.
        expected: What was wanted.
    """

    expectation: str
    observed: str
    expected: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.expectation}: observed {self.observed}, wanted {self.expected}"


@dataclass(frozen=True)
class Outcome:
    """What a validation found.

    Attributes:
        expectations: Number of expectations that were evaluated.
        failures: Those that were not met.
        index: The Data Docs' start page.
    """

    expectations: int
    failures: tuple[Failure, ...]
    index: Path


def validate_facts(facts: Facts, config: PipelineConfig, run_id: str, docs: Path) -> Outcome:
    """Evaluates all expectations and writes the Data Docs.

    Args:
        facts: What is validated.
        config: Sets the limits.
        run_id: Names the run in the Data Docs.
        docs: Folder of the Data Docs.

    Returns:
        The outcome.

    Raises:
        RuntimeError: An expectation could not be evaluated.
    """
    from great_expectations.core.run_identifier import RunIdentifier

    context = _context(docs)
    run = RunIdentifier(run_name=run_id)
    suites = (
        ("images", facts.images, image_expectations(config)),
        ("classes", facts.classes, class_expectations(config)),
        ("source", facts.source, source_expectations(config)),
    )
    results = [_validate(context, *suite, run) for suite in suites]
    context.build_data_docs([SITE])
    checked = [one for result in results for one in result.results]
    failures = tuple(_failure(one) for one in checked if not one.success)
    return Outcome(len(checked), failures, docs / "index.html")


def _context(docs: Path) -> EphemeralDataContext:
    """A context that keeps everything but the Data Docs in memory and reports to nobody."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    backend = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs)}
    settings = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(),
        data_docs_sites={
            SITE: {
                "class_name": "SiteBuilder",
                "show_how_to_buttons": False,
                "store_backend": backend,
                "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            }
        },
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False, metric_calculations=False),
    )
    return gx.get_context(project_config=settings, mode="ephemeral")


def _batch(
    context: EphemeralDataContext, name: str, frame: DataFrame | pd.DataFrame
) -> BatchDefinition[Any]:
    import pandas as pd

    in_memory = isinstance(frame, pd.DataFrame)
    sources = context.data_sources
    source = sources.add_pandas(name) if in_memory else sources.add_spark(name)
    return source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("snapshot")


def _validate(
    context: EphemeralDataContext,
    name: str,
    frame: DataFrame | pd.DataFrame,
    expectations: list[Expectation],
    run: Any,
) -> ExpectationSuiteValidationResult:
    import great_expectations as gx

    suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=expectations))
    definition = context.validation_definitions.add(
        gx.ValidationDefinition(name=name, data=_batch(context, name, frame), suite=suite)
    )
    return definition.run(
        batch_parameters={"dataframe": frame}, result_format=_detail(frame), run_id=run
    )


def _detail(frame: DataFrame | pd.DataFrame) -> dict[str, Any]:
    """Which rows fail is worth knowing of the few classes, not of all images."""
    if c.IMAGE_ID in frame.columns or c.LABEL not in frame.columns:
        return {"result_format": "BASIC"}
    return {"result_format": "COMPLETE", "unexpected_index_column_names": [c.LABEL]}


def _failure(result: ExpectationValidationResult) -> Failure:
    configuration = result.expectation_config
    assert configuration is not None
    column = configuration.kwargs.get("column")
    name = f"{configuration.type}({column})" if column else str(configuration.type)
    if trouble := _trouble(result.exception_info or {}):
        raise RuntimeError(f"{name} could not be evaluated: {trouble}")
    return Failure(name, _observed(result.result, column), configuration.meta[WANTED])


def _trouble(info: Mapping[str, Any]) -> str:
    """What was raised: by the expectation itself, or by each of the metrics that it asked for."""
    raised = [info] if "exception_message" in info else list(info.values())
    return "; ".join(str(one["exception_message"]) for one in raised if one["exception_message"])


def _observed(found: Mapping[str, Any], column: str | None) -> str:
    if "observed_value" in found:
        value = found["observed_value"]
        return f"{value:.4g}" if isinstance(value, float) else str(value)
    if rows := found.get("unexpected_index_list"):
        return ", ".join(f"{row[c.LABEL]} with {row[column]}" for row in rows)
    examples = ", ".join(dict.fromkeys(map(str, found["partial_unexpected_list"][:3])))
    count = f"{found['unexpected_count']} of {found['element_count']} values"
    return f"{count} ({examples})" if examples else count
