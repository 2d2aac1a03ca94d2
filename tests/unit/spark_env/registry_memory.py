"""A registry and a ledger in memory that die before the n-th write."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from darkroom.contract import ConflictError, MissingInputError
from darkroom.registry.ledger import Ledger
from darkroom.registry.versions import DECISION_DIGEST_TAG, MODEL_DIGEST_TAG, Registry

if TYPE_CHECKING:
    import pyarrow as pa


class KilledError(Exception):
    """Stands for kill -9 between two steps."""


class Memory:
    """Aliases and tables; version ``n`` holds the model of digest ``nnn...``."""

    def __init__(self, aliases: dict[str, str], versions: int = 9) -> None:
        self.name = "signs"
        self.aliases = aliases
        self.versions = {str(number) for number in range(1, versions + 1)}
        self.verified: list[str] = []
        self.table: list[dict[str, Any]] = []
        self.entry: str | None = None
        self.writes = 0
        self.dies_before: int | None = None
        self.before_put: Callable[[], object] | None = None

    @property
    def registry(self) -> Registry:
        return cast(Registry, self)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self, "signs")

    def _write(self) -> None:
        if self.writes == self.dies_before:
            raise KilledError
        self.writes += 1

    def at(self, alias: str) -> SimpleNamespace | None:
        return self.version(self.aliases[alias]) if alias in self.aliases else None

    def version(self, version: str) -> SimpleNamespace:
        if version not in self.versions:
            raise MissingInputError(f"the registry has no version {version!r}")
        tags = {MODEL_DIGEST_TAG: version * 64, DECISION_DIGEST_TAG: "d" * 64}
        return SimpleNamespace(version=version, name="signs", tags=tags)

    def verify_file(self, version: SimpleNamespace) -> None:
        self.verified.append(version.version)

    def point(self, alias: str, version: str) -> None:
        self._write()
        self.aliases[alias] = version

    def clear(self, alias: str, version: str) -> None:
        self._write()
        if self.aliases.get(alias) == version:
            del self.aliases[alias]

    def followed_entry(self) -> str | None:
        return self.entry

    def follow_entry(self, key: str) -> None:
        self._write()
        self.entry = key

    def snapshot(self, namespace: str, table: str) -> int | None:
        assert (namespace, table) == ("signs", "ledger")
        return len(self.table) or None

    def rows(self, namespace: str, table: str) -> list[dict[str, Any]]:
        assert (namespace, table) == ("signs", "ledger")
        return list(self.table)

    def put(
        self,
        namespace: str,
        table: str,
        rows: pa.Table,
        *,
        replace: bool,
        base: int | None,
        run_id: str,
        stage: str,
    ) -> int | None:
        assert (namespace, table, replace) == ("signs", "ledger", False)
        if self.before_put:
            hook, self.before_put = self.before_put, None
            hook()
        self._write()
        if base != self.snapshot(namespace, table):
            raise ConflictError("signs.ledger was changed by another process meanwhile")
        added = rows.to_pylist()
        assert all(row["run_id"] == run_id for row in added)
        self.table += added
        return len(self.table)
