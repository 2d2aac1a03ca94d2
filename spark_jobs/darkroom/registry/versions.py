"""The versions of one registered model, and the aliases that point to them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from darkroom.contract import GateFailedError, MissingInputError
from darkroom.contract.stages import CANDIDATE_RUN_TAG
from darkroom.contract.stages import MODEL_DIGEST_TAG as MODEL_DIGEST_TAG
from darkroom.contract.stages import REPORT_TAG as REPORT_TAG
from darkroom.contract.stages import VERDICT_TAG as VERDICT_TAG
from darkroom.registry.client import connect

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.exceptions import MlflowException

    from darkroom.registry.package import ModelPackage

DECISION_DIGEST_TAG: Final = "darkroom.decision_digest"
SNAPSHOT_TAG: Final = "darkroom.images_snapshot"
SPLITS_SNAPSHOT_TAG: Final = "darkroom.splits_snapshot"
METADATA_DIGEST_TAG: Final = "darkroom.metadata_digest"
LABELS_TAG: Final = "darkroom.labels"
PREPROCESSING_TAG: Final = "darkroom.preprocessing"
GIT_COMMIT_TAG: Final = "darkroom.git_commit"
LOCK_DIGEST_TAG: Final = "darkroom.lock_digest"
RUN_TAG: Final = CANDIDATE_RUN_TAG
LEDGER_TAG: Final = "darkroom.ledger"
"""Of the registered model: the entry of the ledger that its aliases follow."""

ARTIFACT_FOLDER = "artifacts"
"""Where MLflow keeps a pyfunc model's own files."""


class Registry:
    """The versions of one registered model.

    Attributes:
        name: The registered model's name, which is the pipeline's.
    """

    def __init__(self, name: str, client: MlflowClient | None = None) -> None:
        """Args: name: the registered model; client: None to connect to the configured server."""
        self.name = name
        self._client = client or connect()

    def version(self, version: str) -> ModelVersion:
        """The version of that number.

        Raises:
            MissingInputError: There is none.
        """
        from mlflow.exceptions import MlflowException

        try:
            found = self._client.get_model_version(self.name, version)
        except MlflowException as error:
            if not _is_absent(error):
                raise
            found = None
        # The server also finds version 1 as "01": only its own spelling may go into the ledger.
        if found is None or found.version != version:
            raise MissingInputError(
                f"the registry has no version {version!r} of model {self.name}: "
                "look up the versions in the MLflow UI"
            )
        return found

    def at(self, alias: str) -> ModelVersion | None:
        """The version that an alias points to, if any."""
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_model_version_by_alias(self.name, alias)
        except MlflowException as error:
            if not _is_absent(error):
                raise
            return None

    def with_digest(self, digest: str) -> ModelVersion | None:
        """The oldest version that holds the model file of that SHA-256, if any."""
        if not digest.isalnum():
            raise ValueError(f"not a digest: {digest!r}")
        found = self._client.search_model_versions(
            f"name = '{self.name}' and tags.`{MODEL_DIGEST_TAG}` = '{digest}'"
        )
        return min(found, key=lambda version: int(version.version), default=None)

    def create(
        self, model_uri: str, mlflow_run_id: str, tags: Mapping[str, str], card: str = ""
    ) -> ModelVersion:
        """Makes a version that points to a logged model; no file is copied.

        Args:
            model_uri: What logging the model returned: ``models:/m-...``.
            mlflow_run_id: The MLflow run that logged it.
            tags: Stored together with the version, all or nothing; the model's digest is one.
            card: The version's description, in Markdown.

        Returns:
            The new version.
        """
        self._ensure_model()
        made = self._client.create_model_version(
            self.name,
            source=model_uri,
            run_id=mlflow_run_id,
            tags=dict(tags),
            description=card,
            model_id=model_uri.removeprefix("models:/"),
            # The server answers when the version exists: there is nothing to wait for.
            await_creation_for=0,
        )
        return self._first_like(made)

    def tag(self, version: str, tags: Mapping[str, str]) -> None:
        """Sets tags of a version."""
        for key, value in tags.items():
            self._client.set_model_version_tag(self.name, version, key, value)

    def describe(self, version: str, card: str) -> None:
        """Replaces the description of a version; Markdown."""
        self._client.update_model_version(self.name, version, description=card)

    def point(self, alias: str, version: str) -> None:
        """Makes an alias point to a version; nothing happens when it does."""
        self._client.set_registered_model_alias(self.name, alias, version)

    def clear(self, alias: str, version: str) -> None:
        """Removes an alias if it points to that version."""
        current = self.at(alias)
        if current and current.version == version:
            self._client.delete_registered_model_alias(self.name, alias)

    def followed_entry(self) -> str | None:
        """Key of the ledger's entry that the aliases were last moved for."""
        from mlflow.exceptions import MlflowException

        try:
            tags = self._client.get_registered_model(self.name).tags
        except MlflowException as error:
            if not _is_absent(error):
                raise
            return None
        return str(tags[LEDGER_TAG]) if LEDGER_TAG in tags else None

    def follow_entry(self, key: str) -> None:
        """Notes that the aliases say what an entry of the ledger says."""
        self._client.set_registered_model_tag(self.name, LEDGER_TAG, key)

    def fetch(self, version: ModelVersion, models: Path) -> ModelPackage:
        """Brings a version's files to this machine, checked against its digest.

        Args:
            version: What to fetch.
            models: The files go to the sub-folder named by the digest; intact ones that are there
                already are used as they are.

        Returns:
            The package.

        Raises:
            GateFailedError: A stored file is not the one that was registered.
            DarkroomError: The files cannot be fetched.
        """
        from darkroom.registry.package import fetch_package

        metadata_digest = version.tags.get(METADATA_DIGEST_TAG)
        return fetch_package(
            self._client, str(version.source), digest_of(version), models, metadata_digest
        )

    def verify_file(self, version: ModelVersion) -> None:
        """Checks that a version's stored files are those that were registered.

        Raises:
            GateFailedError: It is not.
            DarkroomError: It cannot be fetched.
        """
        # Into an empty folder: a copy that is here already says nothing of the stored file.
        with tempfile.TemporaryDirectory(prefix="darkroom-") as folder:
            self.fetch(version, Path(folder))

    def _first_like(self, made: ModelVersion) -> ModelVersion:
        """MLflow's client sends a request anew whose answer was lost: one version is enough."""
        first = self.with_digest(digest_of(made))
        if first is None or first.version == made.version:
            return made
        self._client.delete_model_version(self.name, made.version)
        return first

    def _ensure_model(self) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


def digest_of(version: ModelVersion) -> str:
    """SHA-256 of the model file that a version was registered with.

    Raises:
        GateFailedError: The version does not say.
    """
    digest = version.tags.get(MODEL_DIGEST_TAG)
    if not digest:
        raise GateFailedError(
            f"version {version.version} of model {version.name} has no tag {MODEL_DIGEST_TAG}: "
            "it was not registered by Darkroom"
        )
    return str(digest)


def _is_absent(error: MlflowException) -> bool:
    # A missing alias is reported as an invalid parameter, a missing model as a missing resource.
    return error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
