"""What all expectations of a data set of pictures share.

Each is a real expectation of Great Expectations. It is evaluated on a small frame of counts,
`darkroom.validation.facts.Facts`, and says in words what it wants and what it found: in the Data
Docs, on the page of the run, in the task's log.

Importing this module imports Great Expectations, which takes seconds: do it where it is needed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from great_expectations.compatibility import pydantic
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.execution_engine import ExecutionEngine, PandasExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider
from great_expectations.render import (
    LegacyDiagnosticRendererType,
    LegacyRendererType,
    RenderedStringTemplateContent,
)
from great_expectations.render.renderer.renderer import renderer
from great_expectations.render.renderer_configuration import (
    RendererConfiguration,
    RendererValueType,
)

from darkroom.validation.facts import Fact, Facts
from darkroom.validation.words import percent

METRIC: Final = "darkroom.facts"

if TYPE_CHECKING:
    Count = int
    Pixels = int
    Share = float
    Chance = float
    Ratio = float
    Names = list[str]
else:
    Count = pydantic.conint(strict=True, ge=0)
    Pixels = pydantic.conint(strict=True, ge=1)
    Share = pydantic.confloat(ge=0, le=1)
    Chance = pydantic.confloat(gt=0, lt=1)
    Ratio = pydantic.confloat(ge=1)
    Names = pydantic.conlist(pydantic.StrictStr, min_items=1, unique_items=True)


class FactsMetric(TableMetricProvider):
    """The batch, read back as `Facts`."""

    metric_name = METRIC

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(
        cls,  # noqa: N805 - Great Expectations makes a class method of it
        execution_engine: PandasExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> Facts:
        frame, _, _ = execution_engine.get_compute_domain(
            metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE
        )
        return Facts.of_frame(frame)


@dataclass(frozen=True)
class Judgement:
    """What an expectation found.

    Attributes:
        met: Whether that is what it wants.
        observed: In words.
    """

    met: bool
    observed: str


class FactsExpectation(BatchExpectation, ABC):
    """Base: evaluated on `Facts`, and says in words what it wants and what it found."""

    metric_dependencies: ClassVar[tuple[str, ...]] = (METRIC,)
    domain_keys: ClassVar[tuple[str, ...]] = ("batch_id",)

    @pydantic.validator("*", pre=True)
    def _is_a_number(cls, value: object, field: Any) -> object:  # noqa: N805
        """Pydantic would take true for 1 and "2" for 2."""
        numeric = isinstance(field.type_, type) and issubclass(field.type_, float)
        if numeric and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ValueError("give a number")
        return value

    @abstractmethod
    def wanted(self) -> str:
        """What is expected, in words."""

    @abstractmethod
    def judge(self, facts: Facts) -> Judgement:
        """Holds facts against it."""

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: ExecutionEngine[Any] | None = None,
    ) -> dict[str, Any]:
        judgement = self.judge(metrics[METRIC])
        return {"success": judgement.met, "result": {"observed_value": judgement.observed}}

    @classmethod
    def _prescriptive_template(
        cls, renderer_configuration: RendererConfiguration[Any]
    ) -> RendererConfiguration[Any]:
        words = cls(**_own(renderer_configuration.kwargs)).wanted()
        renderer_configuration.add_param(
            name="words", param_type=RendererValueType.STRING, value=words
        )
        renderer_configuration.template_str = "$words"
        return renderer_configuration

    @classmethod
    @renderer(renderer_type=LegacyRendererType.PRESCRIPTIVE)
    def _prescriptive_renderer(
        cls,
        configuration: Any = None,
        result: Any = None,
        runtime_configuration: dict[Any, Any] | None = None,
        **_: Any,
    ) -> list[RenderedStringTemplateContent]:
        """The sentence that the Data Docs show."""
        configuration = configuration or result.expectation_config
        return [_text(cls(**_own(configuration.kwargs)).wanted())]

    @classmethod
    @renderer(renderer_type=LegacyDiagnosticRendererType.STATUS_ICON)
    def _diagnostic_status_icon_renderer(
        cls,
        configuration: Any = None,
        result: Any = None,
        runtime_configuration: dict[Any, Any] | None = None,
    ) -> RenderedStringTemplateContent:
        """In words: the icons are a font that is loaded from the internet."""
        return _text("met" if result.success else "not met")


class ShareExpectation(FactsExpectation, ABC):
    """Base: a share that is to be small.

    Args:
        max_value: Largest share, 0..1.
    """

    max_value: Share
    success_keys: ClassVar[tuple[str, ...]] = ("max_value",)
    unit: ClassVar[str] = "files"

    @abstractmethod
    def parts(self, facts: Facts) -> tuple[int, int]:
        """How many count, and of how many."""

    def judge(self, facts: Facts) -> Judgement:
        """Holds facts against it."""
        counted, total = self.parts(facts)
        share = counted / total if total else 1.0
        return Judgement(
            share <= self.max_value, f"{percent(share)} ({counted:,} of {total:,} {self.unit})"
        )


def _text(words: str) -> RenderedStringTemplateContent:
    """Words as a parameter, so that a dollar sign in them starts no placeholder."""
    return RenderedStringTemplateContent(
        content_block_type="string_template",
        string_template={"template": "$words", "params": {"words": words}},
    )


def _own(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the expectation itself, without the name of the batch."""
    return {name: value for name, value in kwargs.items() if name != "batch_id"}


def one_of(value: str | None, known: Iterable[Fact]) -> str | None:
    """Refuses a value that is not the name of one of the facts.

    Raises:
        ValueError: It is none of them.
    """
    names = [str(fact) for fact in known]
    if value is not None and value not in names:
        raise ValueError(f"give {', '.join(names[:-1])} or {names[-1]}")
    return value


def no_less(most: int | None, values: Mapping[str, Any], name: str) -> int | None:
    """Refuses an upper limit below the lower one, the field ``name``.

    Raises:
        ValueError: It is below.
    """
    least = values.get(name)
    if most is not None and least is not None and most < least:
        raise ValueError(f"must be at least {name} = {least}")
    return most
