"""What a stage hands back: one line for a person, one JSON for a program."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Self

from darkroom.contract.stages import Stage


class StageStatus(StrEnum):
    """How a stage ended."""

    DONE = "done"
    UNCHANGED = "unchanged"
    """Nothing that the result depends on has changed: the earlier result stands."""
    FAILED = "failed"


class Verdict(StrEnum):
    """What a gate says of a candidate."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """The outcome of one stage.

    Attributes:
        stage: Which stage.
        status: How it ended.
        summary: One line for a person.
        outputs: What later stages and people need: snapshot ids, counts, names. JSON values only.
        report: Path below the workspace of the page that shows it, or None.
        seconds: Wall seconds of the stage's own work, without process start-up.
        started_up_seconds: From the launch of the process to the start of that work, or None.
        permanent: For a failure: True when a retry cannot help.
    """

    stage: Stage
    status: StageStatus
    summary: str
    outputs: Mapping[str, Any] = field(default_factory=dict)
    report: str | None = None
    seconds: float = 0.0
    started_up_seconds: float | None = None
    permanent: bool = False

    def to_json(self) -> str:
        """Serialises to indented JSON; `from_json` reads it back."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what `to_json` wrote.

        Raises:
            ValueError: The text is not a stage result.
        """
        values = json.loads(text)
        try:
            values["stage"] = Stage(values["stage"])
            values["status"] = StageStatus(values["status"])
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a stage result: {error}") from None


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing a gate looked at.

    Attributes:
        name: What was checked, for example ``accuracy``.
        verdict: The outcome of this check alone.
        value: The measured number, or None when it could not be measured (which fails).
        threshold: What it was held against, or None where there is no number.
        reason: One line for a person.
        low: Lower end of the value's interval, or None where it has none.
        high: Upper end.
    """

    name: str
    verdict: Verdict
    value: float | None
    threshold: float | None
    reason: str
    low: float | None = None
    high: float | None = None

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """Name, value, threshold and verdict as texts for a table; ``-`` where there is none."""
        return self.name, _cell(self.value), _cell(self.threshold), str(self.verdict)

    @property
    def line(self) -> str:
        """Verdict and reason in one line."""
        return f"{self.verdict}: {self.reason}"


def _cell(number: float | None) -> str:
    return "-" if number is None else f"{number:.4g}"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Candidate and champion on the same images: one metric of all, or one class or slice.

    Attributes:
        dimension: ``metric``, ``class``, or what the images are sliced by.
        name: Which metric, class or slice.
        images: Number of images.
        candidate: The candidate's value: the metric, or the share of the images it recognises.
        champion: The champion's.
        difference: Between the two; positive is in the candidate's favour, whatever the metric.
        low: Lower end of the difference's interval.
        high: Upper end.
        p_worse: How likely such a difference is for a candidate that is no worse, 0-1; of a class
            or slice adjusted for their number; None where that is not tested.
        verdict: PASS if the loss is shown to be tolerable, FAIL if it is shown not to be.
        only_candidate: Number of images that only the candidate gets right; None where other
            things than right and wrong are compared.
        only_champion: Number that only the champion gets right.
    """

    dimension: str
    name: str
    images: int
    candidate: float
    champion: float
    difference: float
    low: float
    high: float
    p_worse: float | None
    verdict: Verdict
    only_candidate: int | None = None
    only_champion: int | None = None


@dataclass(frozen=True, kw_only=True)
class GateDecision:
    """A gate's verdict with every number and reason behind it.

    Attributes:
        candidate: Digest of the model that was judged.
        champion: Version it was compared with, or None for a first model.
        checks: All checks, in the order they were made.
        comparisons: What the checks against the champion rest on.
    """

    candidate: str
    champion: str | None
    checks: tuple[Check, ...]
    comparisons: tuple[Comparison, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """FAIL if any check fails or none was made, else INCONCLUSIVE if any is, else PASS."""
        verdicts = {check.verdict for check in self.checks}
        if not verdicts or Verdict.FAIL in verdicts:
            return Verdict.FAIL
        return Verdict.INCONCLUSIVE if Verdict.INCONCLUSIVE in verdicts else Verdict.PASS

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the verdict is not PASS; empty when it is."""
        return tuple(c.reason for c in self.checks if c.verdict is not Verdict.PASS) or (
            () if self.checks else ("no check was made",)
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON: what an approval and the ledger refer to."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Canonical JSON, verdict included; `from_json` reads it back."""
        values = {"verdict": self.verdict, **asdict(self)}
        return json.dumps(values, sort_keys=True, indent=2)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what `to_json` wrote; the verdict is derived again, never trusted.

        Raises:
            ValueError: The text is not a decision, or its verdict is not what its checks say.
        """
        values = json.loads(text)
        try:
            checks = tuple(
                Check(**{**check, "verdict": Verdict(check["verdict"])})
                for check in values["checks"]
            )
            comparisons = tuple(
                Comparison(**{**one, "verdict": Verdict(one["verdict"])})
                for one in values.get("comparisons", ())
            )
            decision = cls(
                candidate=values["candidate"],
                champion=values["champion"],
                checks=checks,
                comparisons=comparisons,
            )
            claimed = values["verdict"]
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a gate decision: {error}") from None
        if claimed != decision.verdict:
            raise ValueError(f"the verdict {claimed} is not what the checks say")
        return decision
