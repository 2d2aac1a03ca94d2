"""The deployed functions of a gateway."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from darkroom.sql.deployments import Deployment

if TYPE_CHECKING:
    from darkroom.sql.serving import Functions

log = logging.getLogger(__name__)


class Champions:
    """The deployed functions of a gateway, as the table of functions has them."""

    def __init__(self, functions: Functions) -> None:
        """Args: functions: of the gateway."""
        self._functions = functions
        self._known: set[str] = set()

    def follow(self, versions: Mapping[str, Sequence[Deployment]]) -> bool:
        """Lets every function answer from its newest version that loads; ends withdrawn ones.

        Args:
            versions: What was deployed as each function, the newest first.

        Returns:
            True if something changed.
        """
        swapped = [self._functions.follow(name, versions[name]) for name in sorted(versions)]
        self._known |= versions.keys()
        renamed = sorted(self._known - versions.keys())
        gone = [name for name in renamed if self._ends(name, versions)]
        for name in gone:
            log.info("%s: withdrawn, its pipeline was deployed under another name", name)
            self._functions.forget(name)
        self._known -= set(gone)
        return any(swapped) or bool(gone)

    def _ends(self, name: str, versions: Mapping[str, Sequence[Deployment]]) -> bool:
        """Whether a withdrawn name need not answer any more: the pipeline's new one does."""
        served = self._functions.served
        serving = served[name].serving
        heirs = [
            heir
            for heir, found in versions.items()
            if serving and found[0].pipeline == serving.pipeline
        ]
        return all(served[heir].serving for heir in heirs)
