"""Which version each function of a gateway answers from, and which ones it has refused."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from darkroom.contract import DarkroomError, Workspace, class_and_text
from darkroom.contract.names import with_companions
from darkroom.lake import Lake
from darkroom.registry.ledger import Ledger
from darkroom.registry.ledger_copy import copy_ledger
from darkroom.sql.deployments import Deployment
from darkroom.sql.errors import first_line
from darkroom.sql.functions import register_function
from darkroom.sql.load_check import check_loads

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RETRY_SECONDS: Final = 60.0
"""After so long a refused version is tried again: its files may have been brought back."""

WHO: Final = "sql-gateway"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Refusal:
    """A version that may not answer.

    Attributes:
        deployment: The version.
        reason: One line.
        at: When, in seconds of a monotonic clock.
    """

    deployment: Deployment
    reason: str
    at: float

    @property
    def is_recent(self) -> bool:
        """Whether it is too early for another try."""
        return time.monotonic() - self.at < RETRY_SECONDS


@dataclass
class ServedFunction:
    """One function of the gateway.

    Attributes:
        serving: What answers; None while nothing could be loaded.
        since: Since when, in UTC.
        refused: The newest version, where it may not answer.
    """

    serving: Deployment | None = None
    since: dt.datetime | None = None
    refused: Refusal | None = None

    def status(self) -> dict[str, Any]:
        """JSON values for the health endpoint."""
        refused = self.refused
        return {
            "version": self.serving.model_version if self.serving else None,
            "model_digest": self.serving.model_digest if self.serving else None,
            "since": self.since.isoformat(timespec="seconds") if self.since else None,
            "refused": {"version": refused.deployment.model_version, "reason": refused.reason}
            if refused
            else None,
        }


@dataclass
class Functions:
    """The functions that a gateway serves; the old version of one answers until the new one can.

    Attributes:
        spark: The session.
        workspace: Where the models lie.
        check: Raises a `DarkroomError` for a model that must not answer.
        served: Every function by name.
    """

    spark: SparkSession
    workspace: Workspace
    check: Callable[[Workspace, Deployment], None] = check_loads
    served: dict[str, ServedFunction] = field(default_factory=dict)

    def follow(self, name: str, versions: Sequence[Deployment]) -> bool:
        """Lets a function answer from its newest version that loads.

        Args:
            name: The function.
            versions: What was deployed as that function, the newest first.

        Returns:
            True if another version answers now.
        """
        function = self.served.setdefault(name, ServedFunction())
        newest = versions[0]
        if _alike(function.serving, newest):
            function.refused = None
            return False
        refused = function.refused
        if refused and _alike(refused.deployment, newest) and refused.is_recent:
            return False
        # After a restart nothing answers yet: then the last one that loads is taken.
        for version in [newest] if function.serving else versions:
            if self._swap(function, version):
                return True
        return False

    def forget(self, name: str) -> None:
        """Ends a function that nobody deploys any more."""
        self.served.pop(name, None)
        # One function's name may be that of another one's companion.
        kept = {companion for other in self.served for companion in with_companions(other)}
        for function in with_companions(name):
            if function not in kept:
                self.spark.sql(f"DROP TEMPORARY FUNCTION IF EXISTS `{function}`")

    def _swap(self, function: ServedFunction, version: Deployment) -> bool:
        from pyspark.errors import PySparkException

        try:
            self.check(self.workspace, version)
            register_function(self.spark, self.workspace, version)
        except DarkroomError as error:
            reason = str(error)
        except PySparkException as error:
            reason = first_line(str(error))
        except OSError as error:
            # A file that cannot be opened, or no memory for one more process.
            reason = class_and_text(error)
        else:
            if function.refused and _alike(function.refused.deployment, version):
                function.refused = None
            function.serving, function.since = version, dt.datetime.now(dt.UTC)
            return True
        self._refuse(function, version, reason)
        return False

    def _refuse(self, function: ServedFunction, version: Deployment, reason: str) -> None:
        serving = function.serving.model_version if function.serving else None
        stays = f"version {serving} stays" if serving else "an earlier version is looked for"
        known = function.refused
        if known is None or known.reason != reason or not _alike(known.deployment, version):
            log.error("%s: refused, %s: %s", version.function, stays, reason)
        # After a restart an earlier version may be tried too: the newest one is the news.
        if known is None or function.serving or _alike(known.deployment, version):
            function.refused = Refusal(version, reason, time.monotonic())
        record_refusal(self.workspace, version, serving, WHO, reason)


def record_refusal(
    workspace: Workspace, version: Deployment, serving: str | None, who: str, reason: str
) -> None:
    """Writes to the pipeline's ledger, and its copy, that a version may not answer.

    The same reason is written once.
    """
    ledger = Ledger(Lake(workspace), version.pipeline)
    ledger.refuse(
        who=who,
        why=reason,
        serving=serving,
        version=version.model_version,
        model_digest=version.model_digest,
        run_id=version.run_id,
    )
    copy_ledger(ledger, workspace.ledger(version.pipeline))


def _alike(one: Deployment | None, other: Deployment) -> bool:
    return one is not None and one.answers_like == other.answers_like
