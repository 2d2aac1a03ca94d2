"""The versions that wait for approval, as functions beside the deployed ones."""

from __future__ import annotations

import datetime as dt
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from darkroom.contract import DarkroomError, Workspace
from darkroom.contract.names import CHALLENGER_SUFFIX
from darkroom.contract.stages import CHALLENGER
from darkroom.ml.model_files import METADATA_FILE, MODEL_FILE, ModelCard
from darkroom.registry import lookup
from darkroom.registry.client import TRACKING_URI
from darkroom.sql.deployments import Deployment

if TYPE_CHECKING:
    from darkroom.sql.serving import Functions

log = logging.getLogger(__name__)


def challenger_of(deployment: Deployment, workspace: Workspace) -> Deployment | None:
    """The version of a deployed model that waits for approval, as a deployment of its own.

    Its files are brought to this machine, checked against the registry's digest.

    Args:
        deployment: The deployed function.
        workspace: Where model files go.

    Returns:
        Named ``<function>_challenger``; None when no version waits.

    Raises:
        DarkroomError: The registry does not answer, or the files cannot be fetched.
        GateFailedError: The stored file is not the one that was registered.
    """
    found = lookup.at(deployment.model_name, CHALLENGER)
    if found is None:
        return None
    version, digest = found
    folder = workspace.models / digest
    if not digest or not all((folder / name).is_file() for name in (MODEL_FILE, METADATA_FILE)):
        # MLflow takes seconds to import: only for files that are not here.
        from darkroom.registry.versions import Registry

        registry = Registry(deployment.model_name)
        package = registry.fetch(registry.version(version), workspace.models)
        digest, folder = package.digest, package.folder
    return replace(
        deployment,
        function=f"{deployment.function}{CHALLENGER_SUFFIX}",
        model_version=version,
        model_digest=digest,
        model_path=str(folder.relative_to(workspace.root)),
        labels=ModelCard.read(folder / METADATA_FILE).labels,
        deployed_at=dt.datetime.now(dt.UTC),
    )


class Challengers:
    """The challengers' functions of a gateway, as the registry has them."""

    def __init__(self, functions: Functions, workspace: Workspace) -> None:
        """Args: functions: of the gateway; workspace: where model files go."""
        self._functions = functions
        self._workspace = workspace
        self._known: set[str] = set()
        self.problem = ""
        """Why the registry does not answer; empty while it does, or where there is none."""

    def follow(self, champions: Mapping[str, Deployment]) -> bool:
        """Lets ``<function>_challenger`` answer from the version that waits, if one does.

        What is served stays while the registry does not answer.

        Args:
            champions: The deployed functions by name.

        Returns:
            True if something changed.
        """
        if not os.environ.get(TRACKING_URI):
            return False
        try:
            found = [challenger_of(champion, self._workspace) for champion in champions.values()]
        except DarkroomError as error:
            if not self.problem:
                log.warning("%s; what is served stays", error)
            self.problem = str(error)
            return False
        if self.problem:
            log.info("the MLflow server answers again")
        self.problem = ""
        return self._serve([each for each in found if each is not None])

    def _serve(self, waiting: Sequence[Deployment]) -> bool:
        changed = [self._functions.follow(each.function, [each]) for each in waiting]
        names = {each.function for each in waiting}
        gone = self._known - names
        for name in gone:
            self._functions.forget(name)
        self._known = names
        return any(changed) or bool(gone)
