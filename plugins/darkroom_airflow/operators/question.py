"""The text of a request for approval."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from darkroom.contract import ApprovalConfig, GateDecision, ShadowComparison, one_line
from darkroom_airflow.links import file_url
from darkroom_airflow.registry import APPROVAL, APPROVAL_REASON, APPROVED, REJECTED

Shadow = tuple[ShadowComparison | None, str | None]
"""How the model answers beside the deployed one, or what is wrong with the file that says so."""


def request_text(
    model: Mapping[str, Any],
    config: ApprovalConfig,
    answers: Sequence[Mapping[str, str]] = (),
    requesters: Collection[str] = (),
    shadow: Shadow = (None, None),
) -> str:
    """The essence of the gate's decision, and what an approval of it means, in Markdown.

    Args:
        model: The extra of the challenger's event.
        config: Who is asked.
        answers: The approvals so far: ``name`` and ``reason`` each.
        requesters: Who has asked for the model.
        shadow: Of `darkroom_airflow.shadow.shadow_of`.
    """
    decision = GateDecision.from_json(model["decision"])
    against = decision.champion
    compared = f"champion version {against}" if against else "no champion yet"
    checks = [f"| {' | '.join(check.cells)} |" for check in decision.checks]
    blocks = (
        [f"**Verdict: {decision.verdict}** ({compared}, {model['test_images']} held-out images)"],
        [f"* {reason}" for reason in decision.reasons],
        ["| check | value | needed | verdict |", "|---|---|---|---|", *checks],
        [
            f"* Model version {model['version']}, digest `{model['model_digest']}`",
            f"* Decision `{model['decision_digest']}`",
            f"* Training run `{model['training_run_id']}`",
            _report_line(model["report"]),
        ],
        _people(config, answers, requesters),
        _in_registry(config, model["version"]),
        # Between two paragraphs: Markdown makes one list of two that follow each other.
        _in_shadow(*shadow),
        [
            f"An approval is of this model alone, and void once {_moved(against)}. "
            "*Approve* needs a reason below: without one the question is asked again."
        ],
    )
    return "\n\n".join("\n".join(lines) for lines in blocks if lines) + "\n"


def _in_shadow(found: ShadowComparison | None, problem: str | None) -> list[str]:
    if found is None:
        return [problem] if problem else []
    url = file_url(found.page)
    pages = f": [the pictures]({url})" if url and found.differing else ""
    more = found.differing - len(found.examples)
    return [
        f"**In shadow**, on the newest images, {found.sentence}{pages}",
        *(
            f"* {_literal(one.path)}: {_answer(one.champion)} → {_answer(one.challenger)}"
            for one in found.examples
        ),
        *([f"* and {more:,} more"] if more else []),
    ]


def _answer(label: str | None) -> str:
    return "no answer" if label is None else _literal(label)


def _literal(text: str) -> str:
    """A file's or a class's name as it is written, whatever Markdown would make of it."""
    plain = one_line(text, limit=None).replace("`", "'")
    return f"`{plain}`"


def _moved(against: str | None) -> str:
    return f"version {against} is champion no more" if against else "there is a champion"


def _people(
    config: ApprovalConfig, answers: Sequence[Mapping[str, str]], requesters: Collection[str]
) -> list[str]:
    if config.questions == 1:
        return []
    but = f", but not {' or '.join(sorted(requesters))}, who asked for it" if requesters else ""
    needed = f"* Approval {len(answers) + 1} of {config.questions}, each by somebody else{but}"
    return [needed, *(_approval(answer) for answer in answers)]


def _in_registry(config: ApprovalConfig, version: str) -> list[str]:
    if not config.in_registry:
        return []
    return [
        f"* Or answer in MLflow: give version {version} the tags `{APPROVAL_REASON}` and "
        f"`{APPROVAL}` (`{APPROVED}` or `{REJECTED}`) while this question is open"
    ]


def _approval(answer: Mapping[str, str]) -> str:
    return f"* Approved by {answer['name']}: {one_line(answer['reason'], limit=None)}"


def _report_line(report: str | None) -> str:
    if report is None:
        return "* No report"
    url = file_url(report)
    return f"* [Report]({url})" if url else f"* Report: `{report}`"
