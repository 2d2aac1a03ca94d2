"""Who is asked before a model becomes champion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from darkroom.contract.checks import at_least, no_repeats, one_of
from darkroom.contract.errors import ConfigError


class ApprovalPolicy(StrEnum):
    """Who is asked."""

    AUTO = "auto"
    """Nobody where the gate said PASS, a person where it said INCONCLUSIVE."""
    ASK = "ask"
    """A person."""
    TWO_PERSON = "two_person"
    """Several people, and none of them the one who asked for the model."""


@dataclass(frozen=True, kw_only=True)
class NotifierConfig:
    """What else tells people that they are asked.

    Attributes:
        notifier: Dotted path of a class of Airflow notifiers, in Airflow's environment.
        arguments: Its keyword arguments; no secrets, but the ids of connections that hold them.
    """

    notifier: str
    arguments: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        module, _, name = self.notifier.rpartition(".")
        if not module or not all(part.isidentifier() for part in (*module.split("."), name)):
            remedy = "give the dotted path of a class, package.module.Class"
            raise ConfigError("approval.notifiers", self.notifier, remedy)


@dataclass(frozen=True, kw_only=True)
class ApprovalConfig:
    """Who is asked before a model becomes champion.

    Attributes:
        policy: One of `ApprovalPolicy`.
        approvers: Ids of the Airflow users who may answer; empty for everybody who may answer
            questions in Airflow at all.
        people: With the policy ``two_person``, how many have to approve.
        in_registry: Whether the answer may also be given in MLflow, as tags of the version.
        timeout_hours: After this long without an answer the request counts as rejected.
        notifiers: What tells people each time that they are asked.
    """

    policy: str = ApprovalPolicy.ASK.value
    approvers: tuple[str, ...] = ()
    people: int = 2
    in_registry: bool = False
    timeout_hours: float = 72.0
    notifiers: tuple[NotifierConfig, ...] = ()

    def __post_init__(self) -> None:
        one_of("approval.policy", self.policy, [policy.value for policy in ApprovalPolicy])
        no_repeats("approval.approvers", self.approvers)
        for user in self.approvers:
            if not user.strip():
                raise ConfigError("approval.approvers", user, "give the id of an Airflow user")
        at_least("approval.people", self.people, 2)
        if self.questions > 1 and 0 < len(self.approvers) < self.people:
            remedy = f"name at least approval.people = {self.people} users, or none"
            raise ConfigError("approval.approvers", list(self.approvers), remedy)
        if self.in_registry and (self.questions > 1 or self.approvers):
            remedy = (
                "MLflow does not say who set a tag: leave out two_person and approvers, or this"
            )
            raise ConfigError("approval.in_registry", self.in_registry, remedy)
        if self.timeout_hours <= 0:
            remedy = "give a number of hours above 0"
            raise ConfigError("approval.timeout_hours", self.timeout_hours, remedy)

    @property
    def questions(self) -> int:
        """How many people are asked, one after the other."""
        return self.people if self.policy == ApprovalPolicy.TWO_PERSON else 1
