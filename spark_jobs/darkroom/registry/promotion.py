"""The one place where a champion changes.

A promotion is three steps: the ledger's row, the aliases `previous` and `champion`, the removal of
`challenger`. The row comes first and keeps which version was champion before, so that a retry
after a crash between any two steps ends in the same state as an undisturbed promotion, and never
writes a second row.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from darkroom.contract import ConfigError, GateFailedError
from darkroom.contract.stages import CHALLENGER, CHAMPION, PREVIOUS
from darkroom.registry.ledger import Entry, Ledger
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
        GateFailedError: The champion has changed since the model was judged.
    """
    champion = registry.at(CHAMPION)
    entry = Entry(
        pipeline=pipeline,
        who=approval.approved_by,
        at=dt.datetime.now(dt.UTC),
        why=approval.reason,
        from_version=champion.version if champion else None,
        to_version=approval.version,
        model_digest=approval.model_digest,
        decision_digest=approval.decision_digest,
        run_id=run_id,
    )
    recorded = _recorded(ledger, entry)
    if recorded is None:
        if entry.from_version == entry.to_version:
            registry.clear(CHALLENGER, entry.to_version)
            return _version_at(registry, PREVIOUS)
        _check_not_moved(entry, judged_against)
        ledger.append(entry)
        recorded = entry
    move_aliases(registry, recorded)
    return recorded.from_version


def move_aliases(registry: Registry, entry: Entry) -> None:
    """Makes the registry say what a ledger entry says; safe to repeat."""
    if entry.from_version is not None:
        registry.point(PREVIOUS, entry.from_version)
    registry.point(CHAMPION, entry.to_version)
    registry.clear(CHALLENGER, entry.to_version)


def _recorded(ledger: Ledger, entry: Entry) -> Entry | None:
    """The row that an earlier try of this promotion has written, if any."""
    entries = ledger.entries()
    mine = [earlier for earlier in entries if earlier.identity == entry.identity]
    if mine and entries[-1] is not mine[-1]:
        newest = entries[-1]
        raise GateFailedError(
            f"the promotion of version {entry.to_version} in run {entry.run_id} was overtaken: "
            f"version {newest.to_version} became champion at {newest.at:%Y-%m-%d %H:%M} UTC; "
            "start a new promotion"
        )
    return mine[-1] if mine else None


def _check_not_moved(entry: Entry, judged_against: str | None) -> None:
    if entry.from_version != judged_against:
        now = f"version {entry.from_version}" if entry.from_version else "none"
        then = f"version {judged_against}" if judged_against else "none"
        raise GateFailedError(
            f"the approval of version {entry.to_version} has expired: the champion was {then} "
            f"when the model was judged and is {now} now; train again"
        )


def _version_at(registry: Registry, alias: str) -> str | None:
    found = registry.at(alias)
    return found.version if found else None
