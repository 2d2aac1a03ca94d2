"""What a stage knows about the run it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from darkroom.contract import RunFolder, Stage, StageResult, StageStatus, Workspace
from darkroom.contract.workspace import write_atomically
from darkroom.files.digests import digest_of_json

UNCHANGED_PREFIX: Final = "unchanged: "
"""What the summary of an earlier result begins with."""


@dataclass(frozen=True, kw_only=True)
class StageRun:
    """One execution of one stage.

    Attributes:
        folder: The run's results: `RunFolder.read` gives those of earlier stages.
        options: The stage's own command-line options, for example ``{"backbone": "embedded"}``.
        force: True to do the work even when nothing has changed.
        handed: What a stage's ``inputs`` had to find out and leaves to its work, by name.
    """

    folder: RunFolder
    options: Mapping[str, str] = field(default_factory=dict)
    force: bool = False
    handed: dict[str, Any] = field(default_factory=dict)

    @property
    def run_id(self) -> str:
        """The run's id as Airflow spells it."""
        return self.folder.run_id

    def earlier(self, stage: Stage, key: str | None = None) -> Mapping[str, Any]:
        """Outputs of an earlier stage of this run.

        Raises:
            MissingInputError: The stage has not succeeded in this run.
        """
        return self.folder.read(stage, key).outputs


def input_key(inputs: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of everything that a result depends on."""
    return digest_of_json(inputs)


def recall(workspace: Workspace, pipeline: str, stage: Stage, key: str) -> StageResult | None:
    """The result that a stage had for the same inputs, marked unchanged; None if there is none."""
    file = workspace.earlier_result(pipeline, stage, key)
    if not file.exists():
        return None
    earlier = StageResult.from_json(file.read_text())
    return StageResult(
        stage=stage,
        status=StageStatus.UNCHANGED,
        summary=f"{UNCHANGED_PREFIX}{earlier.summary}",
        outputs=earlier.outputs,
        report=earlier.report,
    )


def remember(workspace: Workspace, pipeline: str, key: str, result: StageResult) -> None:
    """Keeps a successful result for the next run with the same inputs."""
    if result.status is StageStatus.DONE:
        file = workspace.earlier_result(pipeline, result.stage, key)
        write_atomically(file, result.to_json())
