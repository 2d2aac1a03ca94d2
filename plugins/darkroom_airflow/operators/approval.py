"""Asks people whether a challenger may become champion."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

import httpx
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Asset, Param, XComArg, chain
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskAwaitingInput

from darkroom.contract import ApprovalConfig, ApprovalPolicy, GateDecision, Verdict
from darkroom_airflow.forms import REASON, REASON_LENGTH
from darkroom_airflow.notifiers import make_notifiers
from darkroom_airflow.operators.entrypoint import workspace
from darkroom_airflow.operators.question import request_text
from darkroom_airflow.registry import RegistryAnswer, read_answer
from darkroom_airflow.shadow import shadow_of
from darkroom_airflow.triggers.approval import FROM_REGISTRY, RegistryApprovalTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.execution_time.hitl import HITLUser

TASK = "approve"
APPROVED = (
    "version",
    "model_digest",
    "decision_digest",
    "approved_by",
    REASON,
    "requested_run_id",
)
"""Options of the stage promote that come from an approval."""

BY_POLICY = "approval.policy auto"
"""Who approves where nobody is asked."""

IN_REGISTRY = "MLflow"
"""Who approves by tags: MLflow does not say more."""

_TRIGGER_GRACE = timedelta(hours=1)
_SUBJECT = "May {which} of {name} become champion?"


@dataclass(frozen=True)
class Answer:
    """One person's approval.

    Attributes:
        id: Airflow's id of the user.
        name: The user's name.
        reason: Why.
    """

    id: str
    name: str
    reason: str


def ask_for_approval(
    config: ApprovalConfig, challenger: Asset, **kwargs: Any
) -> list[ChallengerApprovalOperator]:
    """One task per person who has to approve, each after the one before.

    Args:
        config: Who is asked.
        challenger: The asset whose event describes the model in question.
        kwargs: Of every task.

    Returns:
        The tasks; the last one's `ChallengerApprovalOperator.approved` is the whole approval.
    """
    tasks: list[ChallengerApprovalOperator] = []
    for number in range(config.questions):
        task_id = TASK if not tasks else f"{TASK}_{number + 1}"
        after = tasks[-1].task_id if tasks else None
        tasks.append(
            ChallengerApprovalOperator(
                task_id=task_id, challenger=challenger, config=config, after=after, **kwargs
            )
        )
    chain(*tasks)
    return tasks


class ChallengerApprovalOperator(ApprovalOperator):
    """Waits for *Approve* (with a reason) or *Reject* of the newest challenger.

    Each item of the return value is an XCom of its own: ``version``, ``model_digest``,
    ``decision_digest``, ``requested_run_id``, ``decision``, ``approved_by``, ``approved_at``,
    ``reason``, and ``answers``, a mapping per person.
    A rejection skips everything downstream. No answer in time counts as a rejection. An approval
    that does not count, because it lacks a reason or comes from somebody who may not approve, is
    asked again, and its time starts anew.

    Args:
        challenger: The asset whose event describes the model in question.
        config: Who is asked, for how long, and what tells them.
        after: The task that has asked the person before, if any.

    Raises:
        AirflowFailException: There is no challenger to ask about, nobody who may approve it, or no
            MLflow server to look at; or the event contradicts itself.
    """

    def __init__(
        self, *, challenger: Asset, config: ApprovalConfig, after: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(
            subject=_SUBJECT.format(name=_model_name(challenger), which="the newest version"),
            defaults=self.REJECT,
            response_timeout=timedelta(hours=config.timeout_hours),
            ignore_downstream_trigger_rules=True,
            # Without a default that fits its schema, the task would fail before it asks.
            params={
                REASON: Param(
                    None,
                    type=["null", "string"],
                    maxLength=REASON_LENGTH,
                    title="Reason",
                    description="Why; an approval needs one. It goes to the ledger.",
                )
            },
            notifiers=make_notifiers(config.notifiers),
            multiple_outputs=True,
            inlets=[challenger],
            **kwargs,
        )
        self.challenger = challenger
        self.config = config
        self.after = after

    @property
    def approved(self) -> dict[str, XComArg]:
        """The options of the stage promote, as far as they come from here."""
        return {name: XComArg(self, key=name) for name in APPROVED}

    def execute(self, context: Context) -> Any:
        """Asks, unless the policy does not want it; the task then waits without a worker."""
        model = self.newest(context)
        verdict = _decided(model).verdict
        if self.config.policy == ApprovalPolicy.AUTO and verdict is Verdict.PASS:
            self.log.info("The gate said PASS: approved without a question, see approval.policy.")
            answer = Answer(BY_POLICY, BY_POLICY, f"the gate said {verdict}")
            return self._result(model, self.APPROVE, [answer], datetime.now(UTC))
        self.assigned_users = self._respondents(context, model)
        name = _model_name(self.challenger)
        self.subject = _SUBJECT.format(name=name, which=f"version {model['version']}")
        answers = [asdict(answer) for answer in self._earlier(context)]
        shadow = shadow_of(workspace(), name, model["version"], model["model_digest"])
        requesters = _requesters(context, model)
        self.body = request_text(model, self.config, answers, requesters, shadow)
        if self.config.in_registry:
            self._ask_there_too(context, model)
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Continues with the answer."""
        model = self.newest(context)
        answer = _answer(event)
        if event.get("chosen_options") == [self.APPROVE]:
            problem = self._problem(answer, context, model)
            if problem:
                self.log.error("The approval does not count, asking again: %s", problem)
                self.execute(context)
        said = super().execute_complete(context=context, event=event)
        decision = said["chosen_options"][0]
        who = answer.name if answer else "timeout"
        self.log.info("%s by %s: %s", decision, who, answer.reason if answer else "")
        answers = [*self._earlier(context), *([answer] if answer else [])]
        return self._result(model, decision, answers, said["responded_at"])

    def newest(self, context: Context) -> Mapping[str, Any]:
        """What the run's event says of the challenger; by hand: the newest event before the run.

        A challenger that comes while the question is open is not what was approved.
        """
        events = context["triggering_asset_events"].get(self.challenger)
        if events:
            return dict(events[-1].extra)
        asked_at = context["dag_run"].run_after
        history = [
            event
            for event in context["inlet_events"][self.challenger]
            if event.timestamp <= asked_at
        ]
        if not history:
            raise AirflowFailException(
                f"{self.challenger.uri} has no event: there is no challenger to approve, "
                "run the training first"
            )
        return dict(history[-1].extra or {})

    def _ask_there_too(self, context: Context, model: Mapping[str, Any]) -> NoReturn:
        """Asks in Airflow, and waits for an answer in MLflow as well."""
        name, version = _model_name(self.challenger), model["version"]
        try:
            seen = asyncio.run(read_answer(name, version))
        except httpx.HTTPError as error:
            raise AirflowException(f"MLflow does not answer: {error!r}") from None
        if seen != RegistryAnswer():
            self.log.info("%s is from before this question: it has to be set anew.", seen)
        with contextlib.suppress(TaskAwaitingInput):
            super().execute(context)
        waits = timedelta(hours=self.config.timeout_hours)
        trigger = RegistryApprovalTrigger(
            model=name,
            version=version,
            seen=asdict(seen),
            ti_id=context["task_instance"].id,
            options=self.options,
            params=self.serialized_params,
            defaults=self.defaults,
            timeout_datetime=datetime.now(UTC) + waits,
        )
        # The trigger rejects in time. Should it not be there to do so, the task fails.
        self.defer(
            trigger=trigger,
            method_name="execute_complete",
            timeout=waits + _TRIGGER_GRACE,
        )

    def _problem(
        self, answer: Answer | None, context: Context, model: Mapping[str, Any]
    ) -> str | None:
        """Why an approval does not count."""
        if answer is None:
            return "nobody gave it"
        if not answer.reason:
            return f"{answer.name} gave no reason; write why in 'Reason'"
        if self.config.approvers and answer.id not in self.config.approvers:
            return f"{answer.name} is not among approval.approvers"
        if self.config.questions == 1:
            return None
        if {answer.id, answer.name} & _requesters(context, model):
            return f"{answer.name} has asked for this model; somebody else has to approve it"
        if answer.id in {earlier.id for earlier in self._earlier(context)}:
            return f"{answer.name} has approved before; somebody else has to, too"
        return None

    def _respondents(self, context: Context, model: Mapping[str, Any]) -> list[HITLUser] | None:
        """Who may answer; None for everybody whom Airflow lets answer."""
        if not self.config.approvers:
            return None
        barred: set[str] = set()
        if self.config.questions > 1:
            barred = _requesters(context, model) | {one.id for one in self._earlier(context)}
        allowed = [user for user in self.config.approvers if user not in barred]
        if not allowed:
            raise AirflowFailException(
                f"approval.approvers = {list(self.config.approvers)}: {', '.join(sorted(barred))} "
                "may not approve, and nobody else is named: name more users"
            )
        return [{"id": user, "name": user} for user in allowed]

    def _earlier(self, context: Context) -> list[Answer]:
        """The approvals of the tasks before this one."""
        if self.after is None:
            return []
        answers = context["ti"].xcom_pull(task_ids=self.after, key="answers")
        return [Answer(**answer) for answer in answers]

    def _result(
        self,
        model: Mapping[str, Any],
        decision: str,
        answers: list[Answer],
        at: datetime,
    ) -> dict[str, Any]:
        reasons = [f"{one.name}: {one.reason}" for one in answers]
        return {
            "version": model["version"],
            "model_digest": model["model_digest"],
            "decision_digest": model["decision_digest"],
            "requested_run_id": model["training_run_id"],
            "decision": decision,
            "approved_by": ", ".join(one.name for one in answers) or None,
            "approved_at": at.isoformat(),
            "reason": answers[0].reason if len(answers) == 1 else "; ".join(reasons),
            "answers": [asdict(one) for one in answers],
        }


def _decided(model: Mapping[str, Any]) -> GateDecision:
    """The decision that is shown, which must be the one that is approved."""
    decision = GateDecision.from_json(model["decision"])
    shown = (decision.candidate, decision.digest)
    if shown != (model["model_digest"], model["decision_digest"]):
        raise AirflowFailException(
            f"the event of version {model['version']} is void: its decision is not the one that it "
            "names, or of another model; train again"
        )
    return decision


def _answer(event: Mapping[str, Any]) -> Answer | None:
    """Who has answered, and why; None where it was nobody."""
    user = event.get("responded_by_user")
    if event.get(FROM_REGISTRY):
        user = {"id": IN_REGISTRY, "name": IN_REGISTRY}
    if user is None:
        return None
    reason = str((event.get("params_input") or {}).get(REASON) or "").strip()
    return Answer(user["id"], user["name"], reason)


def _requesters(context: Context, model: Mapping[str, Any]) -> set[str]:
    """Who has asked for the training or, by hand, for this run; nobody where a schedule did."""
    asked = (model.get("requested_by"), context["dag_run"].triggering_user_name)
    return {user for user in asked if user}


def _model_name(challenger: Asset) -> str:
    """The pipeline's: ``darkroom://<pipeline>/challenger``."""
    return challenger.uri.split("/")[2]
