"""Which model answers to which SQL function: the table ``darkroom.functions``."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from darkroom.contract import ConfigError, DataError, MissingInputError, Stage, Workspace
from darkroom.contract import columns as c
from darkroom.contract.names import CHALLENGER_SUFFIX, IDENTIFIER
from darkroom.lake import Lake
from darkroom.ml.model_files import METADATA_FILE, MODEL_FILE, ModelCard

if TYPE_CHECKING:
    from pyspark.sql import Column


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One row of the table of functions; the fields are its columns.

    Attributes:
        function: Name of the SQL function.
        pipeline: The pipeline that it belongs to.
        view: Name of the SQL view of the pipeline's accepted images.
        model_name: The registered model.
        model_version: Its version.
        model_digest: SHA-256 of the model file.
        model_path: Folder of the model's files, below the workspace.
        labels: Class names in the order of the model's outputs.
        deployed_at: When, in UTC.
        run_id: The run that deployed it.
    """

    function: str
    pipeline: str
    view: str
    model_name: str
    model_version: str
    model_digest: str
    model_path: str
    labels: tuple[str, ...]
    deployed_at: dt.datetime
    run_id: str

    def __post_init__(self) -> None:
        # These names go into SQL text, and whoever can write the table is not the one who reads.
        for name in ("function", "pipeline", "view"):
            value = getattr(self, name)
            plain = str(value).removesuffix(CHALLENGER_SUFFIX)
            if not isinstance(value, str) or not IDENTIFIER.fullmatch(plain):
                raise DataError(
                    f"table {c.SHARED_NAMESPACE}.{c.FUNCTIONS} holds {name} {value!r}: "
                    "not a name that a configuration could have; deploy the pipeline again"
                )

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """Reads a row of the table.

        Raises:
            DataError: A name in it is not an identifier.
        """
        return cls(**{**row, c.LABELS: tuple(row[c.LABELS] or ())})

    @property
    def answers_like(self) -> tuple[object, ...]:
        """What two deployments have in common when nobody could tell them apart."""
        return (self.function, self.pipeline, self.view, self.model_version, self.model_digest)

    def gave(self) -> Column:
        """Whether a row of `predictions` is its own; versions count anew in a new registry."""
        from pyspark.sql import functions as f

        same_version = f.col(c.MODEL_VERSION) == self.model_version
        return same_version & (f.col(c.MODEL_DIGEST) == self.model_digest)

    def model_file(self, workspace: Workspace) -> Path:
        """The Keras file.

        Raises:
            MissingInputError: It is not there.
        """
        file = workspace.root / self.model_path / MODEL_FILE
        if not file.is_file():
            raise MissingInputError(
                f"function {self.function}: its model file {file} is missing; "
                f"deploy pipeline {self.pipeline} again"
            )
        return file

    def card(self, workspace: Workspace) -> ModelCard:
        """What must be known to call the model.

        Raises:
            DataError: Its file is missing or unusable.
        """
        return ModelCard.read(workspace.root / self.model_path / METADATA_FILE)


def deployed(lake: Lake) -> dict[str, Deployment]:
    """The newest deployment of every function, by its name.

    A pipeline has one function: when it is deployed under another name, the old one is withdrawn.

    Raises:
        DataError: A name in the table is not an identifier.
    """
    return {name: versions[0] for name, versions in versions_of(lake).items()}


def versions_of(lake: Lake) -> dict[str, list[Deployment]]:
    """All deployments of every function that is not withdrawn, by its name, the newest first.

    Raises:
        DataError: A name in the table is not an identifier.
    """
    history = _history(lake)
    names = {deployment.pipeline: deployment.function for deployment in history}
    versions: dict[str, list[Deployment]] = {}
    for deployment in reversed(history):
        if names[deployment.pipeline] == deployment.function:
            versions.setdefault(deployment.function, []).append(deployment)
    return versions


def newest_of(lake: Lake, pipeline: str) -> Deployment | None:
    """The newest deployment of a pipeline, whatever its function is called; None before the first.

    Raises:
        DataError: A name in the table is not an identifier.
    """
    return next((each for each in reversed(_history(lake)) if each.pipeline == pipeline), None)


def deployed_version(lake: Lake, function: str, version: str) -> Deployment:
    """The newest deployment of one version.

    Raises:
        ConfigError: That version was never deployed as this function.
        DataError: A name in the table is not an identifier.
    """
    mine = [each for each in _history(lake) if each.function == function]
    found = [each for each in mine if each.model_version == version]
    if not found:
        known = ", ".join(sorted({each.model_version for each in mine}, key=_number)) or "none"
        remedy = f"never deployed as {function}: choose one of {known}"
        raise ConfigError("version", version, remedy)
    return found[-1]


def _history(lake: Lake) -> list[Deployment]:
    """All deployments, oldest first."""
    rows = lake.rows(c.SHARED_NAMESPACE, c.FUNCTIONS)
    deployments = [Deployment.from_row(row) for row in rows]
    return sorted(deployments, key=lambda deployment: deployment.deployed_at)


def _number(version: str) -> tuple[int, str]:
    return (int(version) if version.isdecimal() else 0, version)


def publish(lake: Lake, deployment: Deployment) -> bool:
    """Makes a deployment the newest of its function.

    Returns:
        False if the newest one already answers like it: no row is added.
    """
    newest = deployed(lake).get(deployment.function)
    if newest and newest.answers_like == deployment.answers_like:
        return False
    row = {**asdict(deployment), c.LABELS: list(deployment.labels)}
    lake.append_rows(
        [row], c.SHARED_NAMESPACE, c.FUNCTIONS, run_id=deployment.run_id, stage=Stage.DEPLOY
    )
    return True
