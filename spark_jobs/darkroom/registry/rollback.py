"""Back to a version that was champion before: because a person says so, or the ledger."""

from __future__ import annotations

import datetime as dt

from darkroom.contract import ConfigError, GateFailedError, MissingInputError
from darkroom.registry.champion import Position, change
from darkroom.registry.ledger import Action, Entry, Ledger
from darkroom.registry.versions import DECISION_DIGEST_TAG, Registry, digest_of

WATCHER = "darkroom"
"""Who puts an alias back that nobody should have moved."""


def roll_back(
    registry: Registry,
    ledger: Ledger,
    *,
    pipeline: str,
    version: str | None,
    who: str,
    why: str,
    run_id: str,
) -> Entry:
    """Makes an earlier champion the champion again and records it; safe to repeat.

    Args:
        registry: Holds the versions and aliases.
        ledger: Says who was champion before, and gets one row.
        pipeline: Name of the pipeline.
        version: Which version; None for the champion before this one, or for the champion as the
            ledger has it if the alias was moved by other means.
        who: The person who asks for it.
        why: Their reason.
        run_id: The rollback's run; a retry has the same.

    Returns:
        The row.

    Raises:
        ConfigError: There is no person or no reason.
        MissingInputError: There is no earlier champion, or no such version.
        GateFailedError: The version never was champion, is champion, or is not what was approved.
    """
    for option, value, remedy in (
        ("--requested-by", who, "name the person who asks for it"),
        ("--reason", why, "say in a few words why the champion has to go"),
    ):
        if not value.strip():
            raise ConfigError(option, value, remedy)

    def is_own(entry: Entry) -> bool:
        named = version is None or entry.to_version == version
        return named and (entry.run_id, entry.action) == (run_id, Action.ROLLBACK)

    def propose(position: Position) -> Entry:
        target = version or _default(position)
        if target == position.alias and not position.moved:
            raise GateFailedError(
                f"version {target} of {registry.name} is champion already: name another version"
            )
        return _entry(registry, position, target, pipeline, who, why, run_id, Action.ROLLBACK)

    entry = change(registry, ledger, is_own=is_own, propose=propose)
    assert entry is not None
    return entry


def put_back(registry: Registry, ledger: Ledger, *, pipeline: str, run_id: str) -> Entry | None:
    """Moves the alias back to the ledger's champion and records it; safe to repeat.

    Returns:
        The row; None if the alias is where it belongs.

    Raises:
        MissingInputError: The ledger's champion is not in the registry any more.
        GateFailedError: It is not what was approved.
    """

    def is_own(entry: Entry) -> bool:
        return (entry.run_id, entry.action) == (run_id, Action.REVERT)

    def propose(position: Position) -> Entry | None:
        if not position.moved:
            return None
        found = f"version {position.alias}" if position.alias else "no version"
        why = f"the alias pointed to {found}, which no entry of the ledger says"
        target = position.entries[-1].to_version
        return _entry(registry, position, target, pipeline, WATCHER, why, run_id, Action.REVERT)

    return change(registry, ledger, is_own=is_own, propose=propose)


def _default(position: Position) -> str:
    target = position.recorded if position.moved else position.earlier
    if target is None:
        raise MissingInputError(
            f"{position.model} has had no champion before this one: there is nothing to go back to"
        )
    return target


def _entry(
    registry: Registry,
    position: Position,
    target: str,
    pipeline: str,
    who: str,
    why: str,
    run_id: str,
    action: Action,
) -> Entry:
    model_digest, decision_digest = _approved(registry, position, target)
    return Entry(
        pipeline=pipeline,
        who=who,
        at=dt.datetime.now(dt.UTC),
        why=why,
        from_version=position.recorded if position.alias == target else position.alias,
        to_version=target,
        model_digest=model_digest,
        decision_digest=decision_digest,
        run_id=run_id,
        action=action,
    )


def _approved(registry: Registry, position: Position, target: str) -> tuple[str, str]:
    """Digests of the model and of the decision that made a version champion, checked anew."""
    version = registry.version(target)
    made = [entry for entry in position.entries if entry.to_version == target]
    # Of the champion that was there before the ledger, the registry alone knows something.
    first = position.entries[0].from_version if position.entries else position.alias
    if not made and target != first:
        raise GateFailedError(
            f"version {target} of {registry.name} never was champion: it needs an approval, "
            f"run {registry.name}_promotion"
        )
    registered = digest_of(version)
    if made and made[-1].model_digest != registered:
        raise GateFailedError(
            f"version {target} of {registry.name} is model {registered[:12]}, but "
            f"{made[-1].model_digest[:12]} was champion: choose another version"
        )
    registry.verify_file(version)
    decided = made[-1].decision_digest if made else version.tags.get(DECISION_DIGEST_TAG, "")
    return registered, decided
