"""Asks a person whether a challenger may become champion."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Asset, Param, XComArg
from airflow.sdk.exceptions import AirflowFailException

from darkroom.contract import GateDecision
from darkroom_airflow.links import file_url

if TYPE_CHECKING:
    from airflow.sdk import Context

REASON = "reason"
APPROVED = (
    "version",
    "model_digest",
    "decision_digest",
    "approved_by",
    REASON,
    "requested_run_id",
)
"""Options of the stage promote that come from an approval."""

_SUBJECT = "May {which} of {name} become champion?"


class ChallengerApprovalOperator(ApprovalOperator):
    """Waits for *Approve* (with a reason) or *Reject* of the newest challenger.

    Each item of the return value is an XCom of its own: ``version``, ``model_digest``,
    ``decision_digest``, ``requested_run_id``, ``approved_by``, ``approved_at``, ``reason``.
    A rejection skips everything downstream. No answer in time counts as a rejection. An approval
    without a reason is asked again, and its time starts anew.

    Args:
        challenger: The asset whose event describes the model in question.
        timeout_hours: Hours until the request counts as rejected.

    Raises:
        AirflowFailException: There is no challenger to ask about.
    """

    def __init__(self, *, challenger: Asset, timeout_hours: float, **kwargs: Any) -> None:
        super().__init__(
            subject=_SUBJECT.format(name=_model_name(challenger), which="the newest version"),
            defaults=self.REJECT,
            response_timeout=timedelta(hours=timeout_hours),
            ignore_downstream_trigger_rules=True,
            # Without a default that fits its schema, the task would fail before it asks.
            params={
                REASON: Param(
                    None,
                    type=["null", "string"],
                    maxLength=1000,
                    title="Reason",
                    description="Why; an approval needs one. It goes to the ledger.",
                )
            },
            multiple_outputs=True,
            inlets=[challenger],
            **kwargs,
        )
        self.challenger = challenger

    @property
    def approved(self) -> dict[str, XComArg]:
        """The options of the stage promote, as far as they come from here."""
        return {name: XComArg(self, key=name) for name in APPROVED}

    def execute(self, context: Context) -> Any:
        """Asks; the task then waits without a process."""
        model = self.newest(context)
        self.subject = _SUBJECT.format(
            name=_model_name(self.challenger), which=f"version {model['version']}"
        )
        self.body = request_text(model)
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Continues with the answer."""
        approved = event.get("chosen_options") == [self.APPROVE]
        reason = str((event.get("params_input") or {}).get(REASON) or "").strip()
        if approved and not reason:
            self.log.error("Approved without a reason: asking again. Write why in 'Reason'.")
            self.execute(context)
        answer = super().execute_complete(context=context, event=event)
        who = (answer["responded_by_user"] or {}).get("name")
        self.log.info("%s by %s: %s", answer["chosen_options"][0], who or "timeout", reason)
        model = self.newest(context)
        return {
            "version": model["version"],
            "model_digest": model["model_digest"],
            "decision_digest": model["decision_digest"],
            "requested_run_id": model["training_run_id"],
            "decision": answer["chosen_options"][0],
            "approved_by": who,
            "approved_at": answer["responded_at"].isoformat(),
            "reason": reason,
        }

    def newest(self, context: Context) -> Mapping[str, Any]:
        """What the run's event says of the challenger; by hand: the newest event of all."""
        events = context["triggering_asset_events"].get(self.challenger)
        if events:
            return dict(events[-1].extra)
        history = context["inlet_events"][self.challenger]
        if not len(history):
            raise AirflowFailException(
                f"{self.challenger.uri} has no event: there is no challenger to approve, "
                "run the training first"
            )
        return dict(history[-1].extra or {})


def request_text(model: Mapping[str, Any]) -> str:
    """The essence of the gate's decision, in Markdown.

    Args:
        model: The extra of the challenger's event.
    """
    decision = GateDecision.from_json(model["decision"])
    against = model["champion_version"]
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
        ["*Approve* needs a reason below: without one the question is asked again."],
    )
    return "\n\n".join("\n".join(lines) for lines in blocks if lines) + "\n"


def _model_name(challenger: Asset) -> str:
    """The pipeline's: ``darkroom://<pipeline>/challenger``."""
    return challenger.uri.split("/")[2]


def _report_line(report: str | None) -> str:
    if report is None:
        return "* No report"
    url = file_url(report)
    return f"* [Report]({url})" if url else f"* Report: `{report}`"
