"""Waits for an answer in Airflow or in MLflow, whichever comes first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

import httpx
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.providers.standard.triggers.hitl import HITLTrigger
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time.hitl import update_hitl_detail_response
from airflow.triggers.base import TriggerEvent
from asgiref.sync import sync_to_async

from darkroom_airflow.forms import REASON, REASON_LENGTH
from darkroom_airflow.registry import APPROVED, REJECTED, RegistryAnswer, read_answer

FROM_REGISTRY = "registry"
"""Item of the event that says that the answer was given in MLflow."""

_OPTIONS = {APPROVED: ApprovalOperator.APPROVE, REJECTED: ApprovalOperator.REJECT}


class RegistryApprovalTrigger(HITLTrigger):
    """Fires when the question is answered in Airflow, by tags of the model version, or in time not.

    Tags are polled: nothing is lost while a server is down. What was there before the question is
    no answer to it.

    Args:
        model: The registered model.
        version: The version in question.
        seen: The `RegistryAnswer` that was there when the question was asked, as a mapping.
        kwargs: Of `HITLTrigger`: the question, and until when it may be answered.
    """

    def __init__(self, *, model: str, version: str, seen: dict[str, str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.version = version
        self.seen = RegistryAnswer(**seen)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """This class and all its arguments."""
        _, kwargs = super().serialize()
        own = {"model": self.model, "version": self.version, "seen": asdict(self.seen)}
        return f"{type(self).__module__}.{type(self).__qualname__}", {**kwargs, **own}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Waits for the answer; does not look for it in the first ten seconds.

        While the task that asked is still being put away, which takes five, Airflow takes its
        return for a crash, and asks again: https://github.com/apache/airflow/issues/67287.
        """
        await asyncio.sleep(2 * self.poke_interval)
        async for event in super().run():
            yield event

    async def _handle_response(self) -> TriggerEvent | None:
        # Called by Airflow's trigger every few seconds until it returns an event.
        return await self._answer_in_airflow() or await self._answer_in_registry()

    async def _answer_in_airflow(self) -> TriggerEvent | None:
        event: TriggerEvent | None = await super()._handle_response()  # type: ignore[no-untyped-call]
        return event

    async def _answer_in_registry(self) -> TriggerEvent | None:
        try:
            answer = await read_answer(self.model, self.version)
        except httpx.HTTPError as error:
            self.log.warning("MLflow does not say whether somebody has answered: %r", error)
            return None
        if answer == self.seen:
            return None
        # Each state of the tags is looked at once, so that a slip is not reported forever.
        self.seen = answer
        problem = _problem(answer)
        if problem:
            self.log.warning("The tags of version %s are no answer: %s", self.version, problem)
            return None
        return await self._settle(answer)

    async def _settle(self, answer: RegistryAnswer) -> TriggerEvent | None:
        """Closes the question in Airflow, unless somebody has answered it there meanwhile."""
        chosen = [_OPTIONS[answer.approval]]
        said = {REASON: answer.reason or None}
        try:
            closed = await sync_to_async(update_hitl_detail_response)(
                ti_id=self.ti_id, chosen_options=chosen, params_input=said
            )
        except AirflowRuntimeError as error:
            self.log.warning("Airflow does not take the answer from MLflow: %s", error)
            return await self._answer_in_airflow()
        return TriggerEvent(  # type: ignore[no-untyped-call]
            {
                "chosen_options": chosen,
                "params_input": said,
                "responded_by_user": None,
                "responded_at": closed.responded_at,
                "timedout": False,
                FROM_REGISTRY: True,
            }
        )


def _problem(answer: RegistryAnswer) -> str | None:
    if answer.approval not in _OPTIONS:
        return f"approval = {answer.approval!r}: set it to {APPROVED} or {REJECTED}"
    if answer.approval == APPROVED and not answer.reason:
        return "approval_reason = '': say in a few words why"
    if len(answer.reason) > REASON_LENGTH:
        return f"approval_reason has {len(answer.reason)} characters, {REASON_LENGTH} are enough"
    return None
