"""Where everything lies: the only place that spells a path below the workspace."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from darkroom.contract.errors import MissingInputError
from darkroom.contract.results import StageResult, StageStatus
from darkroom.contract.stages import Stage


@dataclass(frozen=True)
class Workspace:
    """One folder that holds all state: tables, models, reports, results.

    Attributes:
        root: Absolute path of the folder; it need not exist yet.
    """

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root).absolute())

    @property
    def catalog_uri(self) -> str:
        """SQLAlchemy URI of the table catalog; ``DARKROOM_CATALOG_URI`` overrides."""
        return os.environ.get("DARKROOM_CATALOG_URI") or f"sqlite:///{self.root / 'catalog.db'}"

    @property
    def warehouse(self) -> Path:
        """Data and metadata files of all tables."""
        return self.root / "warehouse"

    def tables(self, pipeline: str) -> Path:
        """Files of a pipeline's tables; there once something was ingested."""
        return self.warehouse / pipeline

    @property
    def scratch(self) -> Path:
        """What a stage hands to its own workers; all workers must see it."""
        return self.root / "scratch"

    @property
    def mlflow(self) -> Path:
        """Database and artifacts of the local MLflow server."""
        return self.root / "mlflow"

    @property
    def airflow(self) -> Path:
        """AIRFLOW_HOME of the local Airflow."""
        return self.root / "airflow"

    @property
    def data_docs(self) -> Path:
        """Great Expectations' pages."""
        return self.root / "data_docs"

    @property
    def reports(self) -> Path:
        """Evaluation reports."""
        return self.root / "reports"

    @property
    def models(self) -> Path:
        """Deployed model files, one folder per digest."""
        return self.root / "models"

    @property
    def engines(self) -> Path:
        """What inference engines made of model files; all workers must see it."""
        return self.models / "engines"

    def trials(self, pipeline: str) -> Path:
        """Scores and heads of finished fits, by content; all workers must see it."""
        return self.root / "trials" / pipeline

    def accepted(self, pipeline: str) -> Path:
        """What the snapshots were like that passed validation, one file each."""
        return self.root / "results" / pipeline / "accepted"

    def drift(self, pipeline: str) -> Path:
        """What monitoring said of each window, one file each."""
        return self.root / "results" / pipeline / "drift"

    def earlier_result(self, pipeline: str, stage: Stage, input_key: str) -> Path:
        """File of the result that a stage had for the same inputs."""
        return self.root / "results" / pipeline / stage / f"{input_key}.json"

    def tried(self, pipeline: str, input_key: str) -> Path:
        """File that names the runs that began with the same inputs."""
        return self.root / "results" / pipeline / "tried" / f"{input_key}.json"

    def shadow(self, pipeline: str) -> Path:
        """The newest comparison of a waiting version with the deployed one."""
        return self.root / "shadow" / f"{pipeline}.json"

    def ledger(self, pipeline: str) -> Path:
        """A copy of the ledger's newest rows for who cannot read tables."""
        return self.root / "ledger" / f"{pipeline}.json"

    def run(self, pipeline: str, run_id: str) -> RunFolder:
        """The folder of one run of a pipeline."""
        return RunFolder(self.root / "runs" / pipeline / safe_name(run_id), run_id)


@dataclass(frozen=True)
class RunFolder:
    """Results of the stages of one run.

    Attributes:
        path: The folder.
        run_id: The run's id as Airflow spells it.
    """

    path: Path
    run_id: str

    def result_file(self, stage: Stage, key: str | None = None) -> Path:
        """File of a stage's result; ``key`` tells mapped tasks of one stage apart."""
        name = stage if key is None else f"{stage}.{safe_name(key)}"
        return self.path / f"{name}.json"

    def progress_file(self, stage: Stage, key: str | None = None) -> Path:
        """File of one line for people: how far the stage is while it runs."""
        return self.result_file(stage, key).with_suffix(".progress")

    def write(self, result: StageResult, key: str | None = None) -> None:
        """Stores a result so that a reader sees all of it or none."""
        write_atomically(self.result_file(result.stage, key), result.to_json())

    def result(self, stage: Stage, key: str | None = None) -> StageResult | None:
        """Reads how a stage of this run ended, a failure included; None if it has not.

        Raises:
            ValueError: Its file holds no result.
        """
        file = self.result_file(stage, key)
        return StageResult.from_json(file.read_text()) if file.exists() else None

    def read(self, stage: Stage, key: str | None = None) -> StageResult:
        """Reads the result of an earlier stage of this run.

        Raises:
            MissingInputError: The stage has not succeeded in this run.
        """
        result = self.result(stage, key)
        if result is None or result.status is StageStatus.FAILED:
            state = "has not run" if result is None else "failed"
            raise MissingInputError(f"stage {stage} {state} in run {self.run_id}: run it first")
        return result


def safe_name(name: str) -> str:
    """Replaces what file systems and URLs dislike (``manual__2026-01-01T00:00:00+00:00``)."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)


def write_atomically(file: Path, text: str) -> None:
    """Writes a text file by rename: a killed writer leaves the old content."""
    with replacing(file) as stream:
        stream.write(text.encode())


@contextmanager
def replacing(file: Path) -> Iterator[IO[bytes]]:
    """Opens a new file that takes the place of ``file`` once all of it is written.

    Yields:
        What to write to; after an exception the old content stands.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
        os.chmod(scratch, 0o644)
        os.replace(scratch, file)
    except BaseException:
        os.unlink(scratch)
        raise
