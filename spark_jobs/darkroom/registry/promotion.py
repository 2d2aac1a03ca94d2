"""From a person's approval to a new champion."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from darkroom.contract import ConfigError, GateFailedError
from darkroom.contract.stages import CHALLENGER, PREVIOUS
from darkroom.registry.champion import Position, change
from darkroom.registry.ledger import Action, Entry, Ledger
from darkroom.registry.versions import DECISION_DIGEST_TAG, Registry, digest_of


@dataclass(frozen=True, kw_only=True)
class Approval:
    """A person's word that one exact model may become champion.

    Attributes:
        version: The registry's version number.
        model_digest: SHA-256 of the model file that was approved.
        decision_digest: SHA-256 of the gate decision that was shown.
        approved_by: Who.
        reason: Why.
    """

    version: str
    model_digest: str
    decision_digest: str
    approved_by: str
    reason: str

    def __post_init__(self) -> None:
        remedies = {
            "version": "give the number of the version to promote",
            "model_digest": "give the SHA-256 of the model file that was approved",
            "decision_digest": "give the SHA-256 of the gate decision that was approved",
            "approved_by": "name the person who approved",
            "reason": "say in a few words why this model may become champion",
        }
        for name, remedy in remedies.items():
            value = getattr(self, name)
            if not value.strip():
                raise ConfigError(f"--{name.replace('_', '-')}", value, remedy)


def verify(registry: Registry, approval: Approval) -> None:
    """Checks that the version is, byte for byte, what was approved.

    Raises:
        MissingInputError: There is no such version.
        GateFailedError: The version, its stored file or its gate decision is another one.
    """
    version = registry.version(approval.version)
    name = f"version {version.version} of model {registry.name}"
    registered = digest_of(version)
    if registered != approval.model_digest:
        raise GateFailedError(
            f"{name} is model {registered[:12]}, but {approval.model_digest[:12]} was approved: "
            "approve the version that is registered"
        )
    decision = version.tags.get(DECISION_DIGEST_TAG, "")
    if decision != approval.decision_digest:
        raise GateFailedError(
            f"{name} was judged in decision {decision[:12] or 'none'}, but "
            f"{approval.decision_digest[:12]} was approved: approve the newest decision"
        )
    registry.verify_file(version)


def promote(
    registry: Registry,
    ledger: Ledger,
    approval: Approval,
    *,
    pipeline: str,
    judged_against: str | None,
    run_id: str,
) -> str | None:
    """Makes the approved version champion and records it; safe to repeat.

    Args:
        registry: Holds the versions and aliases.
        ledger: Gets one row per change.
        approval: `verify` has accepted it.
        pipeline: Name of the pipeline.
        judged_against: Version of the champion that the gate compared the model with, or None.
        run_id: The promotion's run; a retry has the same.

    Returns:
        The version that was champion before; None for the first champion.

    Raises:
        GateFailedError: The champion has changed since the model was judged, or by other means.
    """

    def is_own(entry: Entry) -> bool:
        made = (entry.run_id, entry.to_version, entry.model_digest, entry.decision_digest)
        return made == (run_id, approval.version, approval.model_digest, approval.decision_digest)

    def propose(position: Position) -> Entry | None:
        position.check()
        if position.entries and position.alias == approval.version:
            registry.clear(CHALLENGER, approval.version)
            return None
        _check_not_moved(approval.version, judged_against, position.alias)
        return Entry(
            pipeline=pipeline,
            who=approval.approved_by,
            at=dt.datetime.now(dt.UTC),
            why=approval.reason,
            from_version=position.alias,
            to_version=approval.version,
            model_digest=approval.model_digest,
            decision_digest=approval.decision_digest,
            run_id=run_id,
            action=Action.PROMOTE,
        )

    entry = change(registry, ledger, is_own=is_own, propose=propose)
    if entry is not None:
        return entry.from_version
    previous = registry.at(PREVIOUS)
    return previous.version if previous else None


def _check_not_moved(version: str, judged_against: str | None, champion: str | None) -> None:
    if champion != judged_against:
        now = f"version {champion}" if champion else "none"
        then = f"version {judged_against}" if judged_against else "none"
        raise GateFailedError(
            f"the approval of version {version} has expired: the champion was {then} "
            f"when the model was judged and is {now} now; train again"
        )
